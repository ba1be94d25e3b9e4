#!/usr/bin/env python3
"""The paired macro-benchmark: what a request costs in Signalbox, as a ratio to nginx and to a bare Pingora
pass-through, measured in the same run against the same mock with the same client.

    bench/macro/run.py [--rounds N] [--seconds N] [--core N] [--million] [--out FILE]

Client, mock and gateway share one core: pinned figures repeat within a few per cent on a small virtual
machine, where unpinned ones swing by a factor. CPU time is the process's own, from the kernel's scheduler
statistics, so that it does not matter who waits for whom. Standard library only.
"""

import argparse
import datetime
import os
import pathlib
import statistics
import subprocess
import sys

import load
import report
from targets import Mock, running, targets

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONCURRENCY = (1, 32, 256)
MILLION = 1_000_000


def measure(arguments, mock):
    """All measurements: {target: {measure: [value of each round]}}, rounds outermost, so that a machine that
    changes its speed changes it for every target."""
    found = {}
    with_targets = targets(ROOT, mock)
    with running(with_targets, arguments.core):
        for target in with_targets:
            load.wrk(target, 32, 1, arguments.core)  # connections and caches get warm
        for round_number in range(arguments.rounds):
            print(f"round {round_number + 1} of {arguments.rounds}", file=sys.stderr)
            order = with_targets if round_number % 2 == 0 else list(reversed(with_targets))
            for concurrency in CONCURRENCY:
                for target in order:
                    keep(found, target, f"c{concurrency}", load.wrk(target, concurrency, arguments.seconds, arguments.core))
            for target in order:
                keep(found, target, "open", load.open_loop(target, arguments.seconds, arguments.core))
            for target in order:
                keep(found, target, "streams", load.streams(target, arguments.core))
        if arguments.million:
            for target in with_targets:
                if target.name == "full":
                    keep(found, target, "million", load.million(target, MILLION, arguments.core))
    return found


def keep(found, target, measure_name, values):
    """Files the values of one measurement under their target."""
    for name, value in values.items():
        found.setdefault(target.name, {}).setdefault(f"{measure_name}.{name}", []).append(value)
    print(f"  {target.name:8} {measure_name:8} {values}", file=sys.stderr)


def build():
    """The programs, as they are released."""
    programs = ("signalbox", "mock-upstream", "pass-through", "probe")
    command = ["cargo", "build", "--release", "--locked", *(f"--bin={program}" for program in programs)]
    subprocess.run(command, cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--core", type=int, default=(os.cpu_count() or 1) - 1, help="the core all share")
    parser.add_argument("--million", action="store_true", help="also the memory after a million requests")
    parser.add_argument("--out", type=pathlib.Path, help="default: bench/results/DATE.md")
    arguments = parser.parse_args()
    build()
    mock = Mock(ROOT)
    with running([mock], arguments.core):
        found = measure(arguments, mock)
    today = datetime.date.today().isoformat()
    text = report.write(found, arguments, today, statistics.median)
    out = arguments.out or ROOT / "bench" / "results" / f"{today}.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
