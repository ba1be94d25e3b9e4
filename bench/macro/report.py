"""The figures as a Markdown page: medians over the rounds, and ratios taken within each round."""

import os
import pathlib
import platform
import subprocess

NAMES = {
    "direct": "direct (no gateway)",
    "nginx": "nginx",
    "bare": "bare Pingora",
    "plain": "Signalbox, plain",
    "full": "Signalbox, limits, metrics, log",
    "routed": "the same with a route",
}
BOUNDS = [
    ("plain", "bare", 1.25),
    ("full", "bare", 1.5),
    ("routed", "bare", 1.5),
    ("plain", "nginx", 4.5),
    ("full", "nginx", 4.5),
]


def write(found, arguments, today, median):
    """The page."""
    lines = [f"# Paired benchmark, {today}", "", *machine(arguments), ""]
    for concurrency in (1, 32, 256):
        lines += table(found, median, f"Closed loop, c={concurrency}, 1 KB chat", f"c{concurrency}", [
            ("rps", "requests/s", 0), ("p50", "p50 ms", 3), ("p99", "p99 ms", 3), ("cpu", "CPU µs/request", 1), ("rss", "RSS MB", 1),
        ])
    lines += ratios(found, median)
    lines += table(found, median, "Open loop, 1,000 requests/s, latency from the due time", "open",
                   [("p50", "p50 ms", 3), ("p99", "p99 ms", 3)])
    lines += table(found, median, "50 streams of 100 chunks, 10 ms apart, kept-alive connections", "streams", [
        ("p50", "TTFT p50 ms", 3), ("p99", "TTFT p99 ms", 3), ("gap", "longest gap p99 ms", 2),
        ("merged", "merged %", 2), ("cpu", "CPU µs/event", 1),
    ])
    lines += added(found, median)
    memory = found.get("full", {})
    if "million.after" in memory:
        before, after, peak = (memory[f"million.{name}"][0] for name in ("before", "after", "peak"))
        lines += [f"Memory: {before:.1f} MB before, {after:.1f} MB after {memory['million.requests'][0]:,} more requests "
                  f"at c=32 in {memory['million.seconds'][0]:.0f} s, {peak:.1f} MB at most.", ""]
    return "\n".join(lines)


def machine(arguments):
    """What was measured on, and how."""
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    nginx = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True).stderr.strip().split("/")[-1]
    return [
        f"{os.cpu_count()} cores of {model}, {platform.system()} {platform.release()}; commit {commit}; nginx {nginx}.",
        f"Client, mock and gateway pinned together to core {arguments.core}; one worker thread each; "
        f"{arguments.rounds} rounds of {arguments.seconds} s, order reversed every other round. Medians over the rounds.",
        "Command: `make bench`" + (" with `--million`" if arguments.million else "") + ".",
    ]


def table(found, median, title, measure, columns):
    """One table: a row for each target."""
    lines = [f"## {title}", "", "| | " + " | ".join(head for _, head, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for target, name in NAMES.items():
        values = found[target]
        cells = [f"{median(values[f'{measure}.{field}']):,.{digits}f}" for field, _, digits in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def ratios(found, median):
    """CPU and throughput as ratios, each taken within a round."""
    lines = ["## Ratios at c=32", "", "| | CPU a request | least to most over the rounds | bound | requests/s |", "|---|---|---|---|---|"]
    for target, yardstick, bound in BOUNDS:
        cpu = [a / b for a, b in zip(found[target]["c32.cpu"], found[yardstick]["c32.cpu"])]
        rps = [a / b for a, b in zip(found[target]["c32.rps"], found[yardstick]["c32.rps"])]
        verdict = "met" if median(cpu) <= bound else "missed"
        lines.append(f"| {NAMES[target]} to {NAMES[yardstick]} | {median(cpu):.2f} | {min(cpu):.2f} to {max(cpu):.2f} "
                     f"| {bound} ({verdict}) | {median(rps):.2f} |")
    mock = median([a / b for a, b in zip(found["direct"]["c32.rps"], found["plain"]["c32.rps"])])
    return [*lines, "", f"The mock alone answers {mock:.1f} times as many requests a second as Signalbox in front of it.", ""]


def added(found, median):
    """What a gateway adds to the time to the first event."""
    lines = ["Added time to the first event, in ms (bounds for Signalbox: p50 0.3, p99 1):", ""]
    for target, name in NAMES.items():
        if target == "direct":
            continue
        p50, p99 = (median([a - b for a, b in zip(found[target][f"streams.{q}"], found["direct"][f"streams.{q}"])]) for q in ("p50", "p99"))
        lines.append(f"- {name}: p50 {p50:+.3f}, p99 {p99:+.3f}")
    return [*lines, ""]
