#!/usr/bin/env python3
"""Sends hostile requests over raw sockets and checks that the gateway neither falls over nor hangs.

    load-tests/hostile/run.py BASE_URL KEY [--requests 100000] [--clients 32] [--seed 1] [--pid PID]

Every request must end within five seconds: with a 4xx in the envelope of its path's format, or with a closed
connection. What is valid after all, such as a chunk extension, may be answered with 200. With the gateway's process id its
memory is read before and after, the first tenth being warm-up."""

import argparse
import collections
import json
import socket
import threading
import time
import urllib.parse
import urllib.request

import cases

LONGEST = 5.0
# Valid HTTP and valid JSON, or close enough that a lenient reader is right too.
MAY_PASS = {
    "chunk extension", "the same length twice", "a wild length", "an unknown version", "a key twice",
    "absurd numbers", "an invalid target", "the wrong types", "closed arrays in arrays", "a lone surrogate",
    "a model of great length", "a model with line breaks", "bad UTF-8", "half a head", "no JSON",
}


# Requests that do not end by themselves: this side says that no more will come, or the gateway would rightly wait.
ENDLESS = ("half a", "noise", "preface", "TLS", "chunk", "negative chunk", "two lengths", "a wild length", "a folded", "an unknown version", "an invalid", "unknown transfer", "nothing")


def is_whole(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(end) and len(body) >= int(line[15:])
    return False


def exchange(address, name, data):
    """What came back, and how long it took until the answer was whole or the connection closed."""
    began = time.monotonic()
    answer = b""
    with socket.create_connection(address, timeout=LONGEST) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass
        try:
            if name.startswith(ENDLESS):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while not is_whole(answer):
            left = LONGEST - (time.monotonic() - began)
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            try:
                piece = connection.recv(65536)
            except ConnectionError:
                break
            if not piece:
                break
            answer += piece
    return answer, time.monotonic() - began


def fault(name, wire_format, answer):
    """What is wrong with an answer; None when nothing is."""
    if not answer or answer.startswith(b"\0\0"):
        # Closed, or frames of HTTP/2.
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        return f"not HTTP: {answer[:60]!r}"
    status = int(head.split()[1])
    if 200 <= status < 300 and name in MAY_PASS:
        return None
    if not 400 <= status < 500:
        return f"status {status}"
    if b"content-type: application/json" not in head.lower():
        # Pingora refuses what it cannot parse by itself, without a body, and closes.
        return None if not body else f"{status} with a body that is no envelope: {body[:60]!r}"
    if name in ("an invalid target", "an invalid method"):
        return None
    error = json.loads(body)
    fits = {
        "openai": lambda: isinstance(error["error"]["message"], str) and "type" in error["error"],
        "anthropic": lambda: error["type"] == "error" and isinstance(error["error"]["message"], str),
        "gemini": lambda: error["error"]["code"] == status and isinstance(error["error"]["status"], str),
    }
    try:
        return None if fits[wire_format]() else f"{status} in another envelope: {body[:90]!r}"
    except (KeyError, TypeError):
        return f"{status} in another envelope: {body[:90]!r}"


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.outcomes = collections.Counter()
        self.faults = collections.Counter()
        self.slowest = 0.0

    def add(self, outcome, problem, took):
        with self.lock:
            self.outcomes[outcome] += 1
            self.slowest = max(self.slowest, took)
            if problem:
                self.faults[problem] += 1


def client(address, key, seed, count, tally):
    stream = cases.shuffled(key, seed)
    for _ in range(count):
        name, wire_format, data = next(stream)
        try:
            answer, took = exchange(address, name, data)
        except TimeoutError:
            tally.add("hang", f"{name} ({wire_format}): no end within {LONGEST:.0f} s", LONGEST)
            continue
        except OSError as error:
            tally.add("no connection", f"{name} ({wire_format}): {error}", 0)
            continue
        status = answer[9:12].decode(errors="replace") if answer.startswith(b"HTTP/1.") else "closed"
        problem = fault(name, wire_format, answer)
        tally.add(status, problem and f"{name} ({wire_format}): {problem}", took)


def send(address, arguments, seed, count, tally):
    share = max(1, count // arguments.clients)
    threads = [
        threading.Thread(target=client, args=(address, arguments.key, seed * 1000 + n, share, tally))
        for n in range(arguments.clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def resident_kib(pid):
    if not pid:
        return None
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url")
    parser.add_argument("key")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--growth", type=int, default=32, help="MiB that memory may grow after the warm-up")
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.base_url)
    address, tally, began = (url.hostname, url.port), Tally(), time.monotonic()
    send(address, arguments, arguments.seed, arguments.requests // 10, tally)
    before = resident_kib(arguments.pid)
    send(address, arguments, arguments.seed + 1, arguments.requests - arguments.requests // 10, tally)
    after = resident_kib(arguments.pid)
    with urllib.request.urlopen(f"http://{url.netloc}/healthz", timeout=LONGEST) as health:
        alive = health.status == 200

    took = time.monotonic() - began
    print(f"{sum(tally.outcomes.values())} hostile requests in {took:.0f} s, the slowest {tally.slowest:.2f} s")
    print("  " + ", ".join(f"{status}: {count}" for status, count in tally.outcomes.most_common()))
    grown = 0 if before is None else (after - before) / 1024
    if before is not None:
        print(f"  memory after the warm-up {before / 1024:.1f} MiB, at the end {after / 1024:.1f} MiB")
    for problem, count in tally.faults.most_common(30):
        print(f"FAULT {count}x {problem}")
    if grown > arguments.growth:
        print(f"FAULT memory grew by {grown:.1f} MiB")
    raise SystemExit(1 if tally.faults or not alive or grown > arguments.growth else 0)


if __name__ == "__main__":
    main()
