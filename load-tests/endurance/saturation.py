"""More than the gateway's own processor can do: 2,000 connections that ask again as soon as they are answered. Gateway
on one core, client (wrk) and mock on the other."""

import re
import subprocess

from client import Client, at_rate, chat
from stand import KEY, ROOT, Gateway, Mock

CROWD, SECONDS = 2_000, 30


def wrk(port, connections, seconds):
    """Answers with 200 a second, others a second, p50 and p99 in ms of all, errors of the sockets."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s",
               "-s", ROOT / "load-tests/wrk/chat.lua", f"http://127.0.0.1:{port}", "--", "m", KEY]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    number = lambda pattern: int(found.group(1)) if (found := re.search(pattern, text)) else 0
    total, bad = number(r"(\d+) requests in"), number(r"Non-2xx or 3xx responses: (\d+)")
    errors = [int(value) for value in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)]
    return (total - bad) / seconds, bad / seconds, re.findall(r"(?:50|99)%\s+(\S+)", text), errors


async def run():
    mock = Mock(prefix=("taskset", "-c", "1"))
    models = "  m: {deployments: [{provider: mock, model: m}]}"
    gateway = Gateway({"mock": ("openai", mock.port, "/v1")}, models, "threads: 1", prefix=("taskset", "-c", "0"))
    wrk(gateway.port, 32, 2)
    before = gateway.resident_kib()
    peak, _, usual, _ = wrk(gateway.port, 32, 10)
    goodput, refused, latency, errors = wrk(gateway.port, CROWD, SECONDS)
    rss = gateway.resident_kib()
    client = Client(gateway.port)
    after = await at_rate(100, 2, lambda _: client.ask(chat("m", True)))
    normal = sum(getattr(answer, "is_complete", False) for answer in after) / len(after)
    gateway.stop(), mock.stop()
    figures = {
        "peak per s": round(peak), "p50 and p99 at the peak": usual, "goodput per s": round(goodput), "refused per s": round(refused),
        "share of the peak": round(goodput / peak, 2), "asked, in peaks": round((goodput + refused) / peak, 2),
        "p50 and p99 of all answers": latency, "socket errors": sum(errors), "served right after": normal,
        "RSS MiB before": before >> 10, "RSS MiB with the crowd": rss >> 10,
    }
    return figures, goodput >= 0.9 * peak and not any(errors) and normal == 1, []
