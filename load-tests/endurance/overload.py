"""Five times what can be served, for a minute: what can be done is done, the rest is refused at once.

Two things can be short. `provider`: a model server that answers 50 requests at once, in 50 ms each, which the model's
adaptive limit has to find out. `gateway`: the gateway's one worker, with translated streams of 1,000 events that cost it
milliseconds each, so that the gate has to notice its lateness. The gateway has a core for itself; the mock and the
client (`probe overload`) share the other one. The peak is measured in the same run."""

import asyncio
import json
import pathlib

from stand import BINARIES, KEY, Gateway, Mock

SECONDS, FACTOR = 60, 5
LEAST_SHARE, LONGEST_REFUSAL_MS, GROWTH_MIB = 0.9, 50, 150
GATEWAY_CORE, LOAD_CORE = ("taskset", "-c", "0"), ("taskset", "-c", "1")
VARIANTS = {
    "provider": ("openai", "m;ttft=50ms", "/v1", ["--capacity", "50"], []),
    "gateway": ("anthropic", "m;chunks=1000", "", [], ["--stream", "--clients", "8,16,32,64"]),
}


async def run(seconds=SECONDS):
    figures, held = {}, True
    for variant in VARIANTS:
        figures[variant], good = await rush(variant, seconds)
        held &= good
    return figures, held, []


async def rush(variant, seconds):
    kind, model, path, capacity, load = VARIANTS[variant]
    mock = Mock(*capacity, prefix=LOAD_CORE)
    models = f"  m:\n    deployments: [{{provider: mock, model: '{model}'}}]\n    max_in_flight: adaptive"
    gateway = Gateway({"mock": (kind, mock.port, path)}, models, "threads: 1", prefix=GATEWAY_CORE)
    before = gateway.resident_kib() >> 10
    command = [*LOAD_CORE, BINARIES / "probe", "--address", f"127.0.0.1:{gateway.port}", "--model", "m", "--key", KEY,
               "overload", "--seconds", str(seconds), "--factor", str(FACTOR), *load]
    probe = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    (output, _), peak = await asyncio.gather(probe.communicate(), watch(gateway, probe))
    if probe.returncode:
        raise SystemExit(f"the probe failed in {variant}")
    figures = json.loads(output)
    figures["memory_mib"] = {"before": before, "peak": peak, "after": gateway.resident_kib() >> 10}
    figures["starved_seconds"] = starved(gateway.process.pid)
    figures["shed"] = {reason: gateway.metric(f'signalbox_shed_total{{reason="{reason}"}}')
                       for reason in ("queue_full", "queue_wait", "lag", "in_flight")}
    gateway.stop(), mock.stop()
    inside, refusals = figures["rush"], figures["rush"]["refused_times"] or {"max_ms": 0.0}
    held = (
        inside["unsent"] == 0 and inside["others"] == 0 and figures["faults"] == 0
        and figures["share"] >= LEAST_SHARE and refusals["max_ms"] <= LONGEST_REFUSAL_MS
        and figures["refused_later"] == 0 and figures["after"]["served"] > 0 and peak - before <= GROWTH_MIB
    )
    return figures, held


async def watch(gateway, probe):
    """The most resident memory in MiB as long as the probe runs."""
    peak = 0
    while probe.returncode is None:
        peak = max(peak, gateway.resident_kib() >> 10)
        await asyncio.sleep(0.2)
    return peak


def starved(pid):
    """Seconds for which its threads could run and had no core: with a core for itself next to nothing."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return round(sum(int(task.read_text().split()[1]) for task in tasks) / 1e9, 2)
