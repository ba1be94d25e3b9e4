"""Five times what a model can do, for a minute: what it can do is done, the rest is refused at once."""

import asyncio
import time

from client import Client, at_rate, chat, percentile
from stand import Gateway, Mock

PLACES, TTFT_MS, SECONDS = 20, 100, 60


async def run(seconds=SECONDS):
    mock = Mock("--ttft", f"{TTFT_MS}ms")
    models = f"""  m:
    deployments: [{{provider: mock, model: m}}]
    max_in_flight: {PLACES}
    queue: {{length: {PLACES // 2}, wait: 30ms}}"""
    gateway = Gateway({"mock": ("openai", mock.port, "/v1")}, models)
    client, body = Client(gateway.port), chat("m", True)
    before = gateway.resident_kib()

    # The peak: as many clients as there are places, each with the next request as soon as one is answered.
    served, until = 0, time.perf_counter() + 10
    async def worker():
        nonlocal served
        while time.perf_counter() < until:
            answer = await client.ask(body)
            served += answer.is_complete
    await asyncio.gather(*(worker() for _ in range(PLACES)))
    peak = served / 10

    answers = await at_rate(peak * 5, seconds, lambda _: client.ask(body))
    rss = gateway.resident_kib()
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    answers = [answer for answer in answers if not isinstance(answer, Exception)]
    good = [answer for answer in answers if answer.is_complete]
    refused = [answer for answer in answers if answer.status in (429, 503)]
    told = all(answer.header("retry-after") for answer in refused)
    waits = [answer.took for answer in refused]

    await asyncio.sleep(1)
    after = await at_rate(peak * 0.8, 5, lambda _: client.ask(body))
    normal = sum(getattr(answer, "is_complete", False) for answer in after) / len(after)
    gateway.stop(), mock.stop()
    goodput = len(good) / seconds
    figures = {
        "peak per s": round(peak), "offered per s": round(peak * 5), "goodput per s": round(goodput),
        "share of the peak": round(goodput / peak, 3), "refused": len(refused), "others": len(answers) - len(good) - len(refused),
        "no answer": len(errors), "refusal p50 ms": round(percentile(waits, 0.5) * 1e3, 1),
        "refusal p99 ms": round(percentile(waits, 0.99) * 1e3, 1), "refusal max ms": round(max(waits) * 1e3, 1),
        "refusals above 50 ms": sum(wait > 0.05 for wait in waits),
        "served 1 s later": round(normal, 3), "RSS MiB before": before >> 10, "RSS MiB in overload": rss >> 10,
    }
    held = goodput >= 0.9 * peak and len(answers) == len(good) + len(refused) and not errors and told
    return figures, held and percentile(waits, 0.99) <= 0.05 and normal == 1, errors[:5]
