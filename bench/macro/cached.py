#!/usr/bin/env python3
"""How many requests a second a gateway answers from its cache, beside forwarding, and what of its time a hit takes.

    cargo build --release --locked --bin signalbox --bin mock-upstream && bench/macro/cached.py

Two gateways that differ in `cache` alone take turns on the core of the mock provider and the client. Prints the requests a
second of each, the median of the rounds' ratios, and the cached one's own histogram of overhead. Arguments: rounds and their
seconds.
"""

import pathlib
import re
import statistics
import sys
import tempfile
import urllib.request

import load
from targets import KEY, MOCK, ONE, SIGNALBOX, Mock, Process, running

BUCKET = re.compile(r'^signalbox_overhead_seconds_bucket\{[^}]*le="([^"]+)"\} (\d+)', re.M)


def gateway(folder, name, port, cache):
    """A gateway with this cache section."""
    text = SIGNALBOX.format(port=port, admin=port + 10, mock=MOCK, key=KEY, log="'off'", limits="", models=ONE)
    config = folder / f"{name}.yaml"
    config.write_text(f"{cache}\n{text}")
    binary = str(load.ROOT / "target/release/signalbox")
    return Process(name, port, [binary, "serve", "--config", str(config)])


def overhead(target):
    """Share of requests within each bound in microseconds, by the target's own histogram."""
    with urllib.request.urlopen(f"http://127.0.0.1:{target.port + 10}/metrics") as answer:
        text = answer.read().decode()
    sums = {}
    for bound, count in BUCKET.findall(text):
        sums[bound] = sums.get(bound, 0) + int(count)
    total = sums.get("+Inf", 0) or 1
    return {bound: 100 * count / total for bound, count in sums.items()}


def main():
    """6 rounds of 4 seconds unless told otherwise."""
    rounds, seconds = (int(text) for text in (sys.argv[1:3] + ["6", "4"][len(sys.argv[1:3]):]))
    core = 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="signalbox-cached-"))
    forwards = gateway(folder, "forwards", 19007, "")
    cached = gateway(folder, "cached", 19008, "cache: {memory: 64MiB, exact: {ttl: 1h}}")
    with running([Mock(load.ROOT), forwards, cached], core):
        for target in (forwards, cached):
            load.wrk(target, 32, 1, core)
        ratios = []
        for number in range(rounds):
            one, other = (load.wrk(target, 32, seconds, core) for target in (forwards, cached))
            ratios.append(other["rps"] / one["rps"])
            figures = ", ".join(f"{it['rps']:.0f} a second at {it['cpu']:.1f} us" for it in (one, other))
            print(f"round {number + 1}: forwarded and cached: {figures}, {ratios[-1]:.2f} times as many", flush=True)
        print(f"median ratio: {statistics.median(ratios):.2f}")
        for bound, share in overhead(cached).items():
            print(f"overhead of the cached one within {bound} s: {share:.2f} %")


if __name__ == "__main__":
    main()
