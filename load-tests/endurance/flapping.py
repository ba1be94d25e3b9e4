"""A primary that is down for a minute and comes back: nobody notices, it is probed by one request at a time, and has its
traffic back within 30 s."""

import asyncio
import time

from client import Client, at_rate, chat
from stand import Gateway, Mock

RATE = 50


class DeadProvider:
    """Takes connections and never answers, so that probes can be counted while they run."""

    def __init__(self, port):
        self.port, self.open, self.most, self.seen = port, 0, 0, 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.take, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def take(self, reader, writer):
        if await reader.read(1):
            self.open, self.seen = self.open + 1, self.seen + 1
            self.most = max(self.most, self.open)
            while await reader.read(65536):
                pass
            self.open -= 1
        writer.close()


async def run(seconds=60):
    primary, spare = Mock("--ttft", "5ms"), Mock("--ttft", "5ms")
    providers = {"primary": ("openai", primary.port, "/v1"), "spare": ("anthropic", spare.port, "")}
    models = """  m:
    deployments: [{provider: primary, model: a}]
    timeouts: {connect: 1s, first_token: 1s, answer: 1s}
    cooldown: {failures: 3, open: 2s}
    fallbacks: [spare]
  spare: {deployments: [{provider: spare, model: b}]}"""
    gateway = Gateway(providers, models)
    client, by_primary, failed = Client(gateway.port), [], []

    async def ask(number):
        try:
            answer = await client.ask(chat("m", number % 2 == 0))
        except Exception as error:
            failed.append(repr(error))
            return
        if not answer.is_complete:
            failed.append((answer.status, answer.body[:200]))
        elif answer.header("x-signalbox-deployment") == "primary/a":
            by_primary.append(time.monotonic())

    load = asyncio.create_task(at_rate(RATE, seconds + 45, ask))
    await asyncio.sleep(5)
    await asyncio.to_thread(primary.stop)
    async with DeadProvider(primary.port) as dead:
        await asyncio.sleep(3)
        # What was sent before the cooldown opened has timed out by now; from here on only probes come.
        dead.most, dead.seen = dead.open, 0
        await asyncio.sleep(seconds - 3)
        probes, most = dead.seen, dead.most
    await asyncio.to_thread(primary.start)
    back, after = time.monotonic(), len(by_primary)
    await load
    returned = by_primary[after] - back if len(by_primary) > after else float("inf")
    share = sum(1 for at in by_primary if at > back + 30) / (RATE * 10)
    gateway.stop(), primary.stop(), spare.stop()
    figures = {
        "requests": int(RATE * (seconds + 45)), "failed": len(failed), "probes while down": probes,
        "probes at once": most, "back after s": round(returned, 1), "share of the primary 30 s later": round(share, 2),
    }
    good = not failed and most <= 1 and probes > 0 and returned <= 30 and share > 0.9
    return figures, good, failed[:5]
