"""A provider with a slow tail of 2 %: hedging cuts the 99th percentile at least by half for at most 3 % more calls."""

from client import Client, at_rate, chat, percentile
from stand import Gateway, Mock

RATE, SECONDS = 200, 30


async def run():
    mock = Mock("--ttft", "20ms")
    models = "\n".join(
        f"  {name}: {{deployments: [{{provider: mock, model: '{name};ttft=500ms;every=50'}}]{hedge}}}"
        for name, hedge in [("plain", ""), ("hedged", ", hedge: {share: 0.03}")]
    )
    gateway = Gateway({"mock": ("openai", mock.port, "/v1")}, models)
    client, figures, p99 = Client(gateway.port), {}, {}
    for name in ["plain", "hedged"]:
        # The first seconds are for learning what is usual.
        await at_rate(RATE, 3, lambda _: client.ask(chat(name, True)))
        before = mock.calls()
        answers = await at_rate(RATE, SECONDS, lambda _: client.ask(chat(name, True)))
        if not all(getattr(answer, "is_complete", False) for answer in answers):
            return figures, False, [answer for answer in answers if isinstance(answer, Exception)][:5]
        calls, took = mock.calls() - before, [answer.first for answer in answers]
        p99[name] = percentile(took, 0.99)
        figures[name] = {
            "requests": len(answers), "upstream calls": calls, "p50 ms": round(percentile(took, 0.5) * 1e3, 1),
            "p99 ms": round(p99[name] * 1e3, 1), "p99.9 ms": round(percentile(took, 0.999) * 1e3, 1),
        }
    gateway.stop(), mock.stop()
    hedged = figures["hedged"]
    good = p99["hedged"] <= p99["plain"] / 2 and hedged["upstream calls"] <= hedged["requests"] * 1.03
    return figures, good, []
