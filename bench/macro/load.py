"""The loads: each returns named figures of one target."""

import json
import pathlib
import re
import subprocess
import time

from targets import KEY

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = str(ROOT / "target/release/probe")
SCRIPT = str(ROOT / "load-tests/wrk/chat.lua")
MODEL = "gpt-4o-mini"
LINE = re.compile(r"rps (\S+) p50 (\S+) ms p99 (\S+) ms status-errors (\d+) socket-errors (\d+)")
TOTAL = re.compile(r"(\d+) requests in")
OPEN_LOOP_RATE = 1000


def wrk(target, concurrency, seconds, core):
    """Closed loop: requests a second, latencies in ms, CPU of the target in microseconds a request, RSS in MB."""
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "-s", SCRIPT]
    command += [f"http://127.0.0.1:{target.port}", "--", MODEL, KEY]
    before = target.cpu()
    text = pinned(command, core)
    spent = target.cpu() - before
    rps, p50, p99, status, broken = LINE.search(text).groups()
    if int(status) or int(broken):
        raise SystemExit(f"{target.name}: {status} wrong answers and {broken} broken connections:\n{text}")
    requests = int(TOTAL.search(text).group(1))
    return {"rps": float(rps), "p50": float(p50), "p99": float(p99), "cpu": spent / requests, "rss": target.rss()}


def open_loop(target, seconds, core):
    """1,000 requests a second, latency from the moment each was due, in ms."""
    options = ["open-loop", "--rate", str(OPEN_LOOP_RATE), "--seconds", str(seconds)]
    found = probe(target, options, core)
    if found["failed"]:
        raise SystemExit(f"{target.name}: {found['failed']} requests failed")
    return {"p50": found["p50_ms"], "p99": found["p99_ms"]}


def streams(target, core):
    """50 streams of 100 chunks, 10 ms apart, on connections that have served before."""
    before = target.cpu()
    found = probe(target, ["streams", "--streams", "50", "--rounds", "4"], core)
    spent = target.cpu() - before
    return {
        "p50": found["ttft_p50_ms"],
        "p99": found["ttft_p99_ms"],
        "gap": found["gap_p99_ms"],
        "merged": found["merged_percent"],
        "cpu": spent / found["events"],
    }


def million(target, requests, core):
    """Memory before and after so many requests at c=32, in MB."""
    before, sent, began = target.rss(), 0, time.monotonic()
    peak = before
    while sent < requests:
        text = pinned(["wrk", "-t1", "-c32", "-d20s", "-s", SCRIPT, f"http://127.0.0.1:{target.port}", "--", MODEL, KEY], core)
        sent += int(TOTAL.search(text).group(1))
        peak = max(peak, target.rss())
    return {"before": before, "after": target.rss(), "peak": peak, "requests": sent, "seconds": time.monotonic() - began}


def probe(target, options, core):
    """One run of our own client."""
    where = ["--address", f"127.0.0.1:{target.port}", "--model", MODEL, "--key", KEY]
    return json.loads(pinned([PROBE, *options, *where], core))


def pinned(command, core):
    """The output of a command that shares the core."""
    done = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
