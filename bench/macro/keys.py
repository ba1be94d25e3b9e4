#!/usr/bin/env python3
"""What a request costs more among 10,000 keys with limits and budgets than with one key, over real sockets.

    cargo build --release --locked --bin signalbox --bin mock-upstream && bench/macro/keys.py

Two gateways, one with a single key and one with 10,000 that come in an order of chance, take turns on the core of the mock
provider and the client. Prints CPU microseconds a request of each and the median of the rounds' differences. Arguments:
rounds, their seconds, and `ledger` for a SQLite store and the ledger, whose sums have rows for each key.
"""

import pathlib
import statistics
import sys
import tempfile

import load
from targets import MOCK, ONE, SIGNALBOX, Mock, Process, running

KEYS = 10_000
SCRIPT = str(load.ROOT / "load-tests/wrk/keys.lua")
LIMITS = "rpm: 4000000000, tpm: 4000000000000, max_parallel: 1000, budget: {usd: 1000000000, per: 30d}"
PRICED = "model: gpt-4o-mini, price: {input: 0.15, output: 0.6}"


def gateway(folder, keys, port, has_ledger):
    """A gateway with so many keys."""
    head = SIGNALBOX.format(port=port, admin=port + 10, mock=MOCK, key="sk-none", log="'off'", limits="", models=ONE)
    head = head.replace("model: gpt-4o-mini}", PRICED + "}")
    home = folder / str(keys)
    home.mkdir()
    store = f"store: sqlite:{home}/signalbox.db\nledger: {{path: {home}/ledger, size: 8GiB}}"
    lines = [store if has_ledger else "store: none", head]
    for index in range(keys):
        lines.append(f"  - {{name: key-{index}, key: sk-bench-{index:040}, models: [gpt-4o-mini], {LIMITS}}}")
    config = home / "signalbox.yaml"
    config.write_text("\n".join(lines) + "\n")
    binary = str(load.ROOT / "target/release/signalbox")
    return Process(f"{keys} keys", port, [binary, "serve", "--config", str(config)])


def cost(target, keys, seconds, core):
    """CPU microseconds of the gateway for each request."""
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", SCRIPT, f"http://127.0.0.1:{target.port}"]
    before = target.cpu()
    text = load.pinned([*command, "--", load.MODEL, str(keys)], core)
    spent = target.cpu() - before
    status, broken = load.LINE.search(text).groups()[3:]
    if int(status) or int(broken):
        raise SystemExit(f"{target.name}: {status} wrong answers and {broken} broken connections:\n{text}")
    return spent / int(load.TOTAL.search(text).group(1))


def main():
    """6 rounds of 4 seconds unless told otherwise."""
    rounds, seconds = (int(text) for text in (sys.argv[1:3] + ["6", "4"][len(sys.argv[1:3]):]))
    has_ledger = "ledger" in sys.argv
    core = 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="signalbox-keys-"))
    pair = [(gateway(folder, keys, port, has_ledger), keys) for keys, port in ((1, 19005), (KEYS, 19006))]
    with running([Mock(load.ROOT), *(target for target, _ in pair)], core):
        for target, keys in pair:
            cost(target, keys, 1, core)
        differences = []
        for number in range(rounds):
            one, many = (cost(target, keys, seconds, core) for target, keys in pair)
            differences.append(many - one)
            print(f"round {number + 1}: 1 key {one:.2f} us, {KEYS} keys {many:.2f} us a request", flush=True)
        print(f"median difference: {statistics.median(differences):.2f} us a request")
        print(f"resident: {pair[0][0].rss():.0f} and {pair[1][0].rss():.0f} MB")


if __name__ == "__main__":
    main()
