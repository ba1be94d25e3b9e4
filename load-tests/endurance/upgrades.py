"""A hundred hand-overs and a hundred reloads under 300 requests a second and 50 open streams: nothing fails, nothing is
cut."""

import asyncio

from client import Client, at_rate, chat
from stand import Gateway, Mock, until

RATE, STREAMS = 300, 50
RELOADED = 'signalbox_config_reloads_total{outcome="ok"}'


async def run(times=100):
    mock = Mock("--record", "0")
    providers = {"mock": ("openai", mock.port, "/v1")}
    model = "  m: {{deployments: [{{provider: mock, model: m}}, {{provider: mock, model: 'long;gap=100ms;chunks=80', weight: 0}}], cooldown: {{failures: {}}}}}\n  long: {{deployments: [{{provider: mock, model: 'long;gap=100ms;chunks=80'}}]}}"
    gateway = Gateway(providers, model.format(3), "drain: 30s")
    client, streams = Client(gateway.port), Client(gateway.port)
    failed, counted, done = [], {"requests": 0, "streams": 0}, False

    async def ask(number):
        body, kind = chat("m", number % 2 == 0), "requests"
        await judge(client.ask(body), kind)

    async def judge(request, kind):
        counted[kind] += 1
        try:
            answer = await request
            if not answer.is_complete:
                failed.append((kind, answer.status, answer.whole, answer.body[-200:]))
        except Exception as error:
            failed.append((kind, repr(error)))

    async def stream():
        while not done:
            await judge(streams.ask(chat("long", True), timeout=120), "streams")

    async def load():
        while not done:
            await at_rate(RATE, 2, ask)

    running = [asyncio.create_task(stream()) for _ in range(STREAMS)] + [asyncio.create_task(load())]
    await asyncio.sleep(2)
    old, reloads = [], 0
    for turn in range(times):
        gateway.write(providers, model.format(4 - turn % 2), "drain: 30s")
        await asyncio.to_thread(until, "the file is read again", lambda: gateway.metric(RELOADED) >= 1)
        reloads += 1
        old.append(await asyncio.to_thread(gateway.hand_over))
        await asyncio.sleep(0.5)
    done = True
    await asyncio.gather(*running)
    codes = [await asyncio.to_thread(process.wait, 60) for process in old]
    gateway.stop(), mock.stop()
    figures = {
        "hand-overs": times, "reloads": reloads, **counted, "failed or cut": len(failed),
        "kept connections found closed": client.stale + streams.stale, "old processes that ended badly": sum(map(bool, codes)),
    }
    return figures, not failed and reloads == times and not any(codes), failed[:5]
