#!/usr/bin/env python3
"""Runs LiteLLM's proxy, Portkey's gateway and OptiLLM behind Signalbox, then Signalbox behind the first two.

    scripts/peers                        # installs what is missing, runs everything, prints a table
    scripts/peers --only portkey         # one peer
    scripts/peers --spoil ';fault=close' # every model of the mock misbehaves: no case may pass

Exits 1 when a case failed, with --spoil when a case passed that the mock takes part in.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import string
import sys
import traceback

import cases
import reverse
from mock import Mock
from peers import HERE, PEERS, ENVIRONMENTS
from process import Server, is_taken

ROOT = HERE.parent.parent
READY_WITHIN_SECONDS = {"litellm": 180, "optillm": 120}


class Table:
    """Results by case and peer, in the order of arrival."""

    def __init__(self, is_spoiled):
        self.rows = {}
        self.is_spoiled = is_spoiled

    def check(self, case, peer, action, needs_mock=True):
        """Runs one case. What it returns is shown instead of `ok`."""
        if self.is_spoiled and not needs_mock:
            return
        try:
            outcome = action() or "ok"
        except Exception as error:  # every failure counts, whatever its class
            place = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error} ({place.name}:{place.lineno})"
            print(f"FAILED {peer.name}: {case}: {reason}", flush=True)
            outcome = "FAILED"
        self.rows.setdefault(case, {})[peer.name] = outcome

    def show(self, peers):
        width = max(map(len, self.rows))
        print(f"\n{'case':{width}}  " + "  ".join(f"{peer.name:8}" for peer in peers))
        for case, row in self.rows.items():
            print(f"{case:{width}}  " + "  ".join(f"{row.get(peer.name, '-'):8}" for peer in peers))
        outcomes = [outcome for row in self.rows.values() for outcome in row.values()]
        failed = outcomes.count("FAILED")
        print(f"\n{len(outcomes) - failed} passed, {failed} failed")
        return len(outcomes) - failed, failed


def addresses(first_port, spoil):
    """What the configurations and commands may name: of each server its URL, `_address` and `_port`."""
    names = ["mock", "signalbox", "admin", *(peer.name for peer in PEERS)]
    values = {"spoil": spoil, "work": str(ENVIRONMENTS / "run")}
    for port, name in enumerate(names, first_port):
        if is_taken(port):
            sys.exit(f"error: something else listens on 127.0.0.1:{port} already; set PEERS_PORT")
        values |= {name: f"http://127.0.0.1:{port}", f"{name}_address": f"127.0.0.1:{port}", f"{name}_port": str(port)}
    return values


def write_configurations(values):
    pathlib.Path(values["work"]).mkdir(parents=True, exist_ok=True)
    for source in (HERE / "config").glob("*.yaml"):
        (ENVIRONMENTS / "run" / source.name).write_text(string.Template(source.read_text()).substitute(values))


def start(name, command, ready, values, environment=()):
    command = [part.format(**values) for part in command]
    server = Server(name, command, ENVIRONMENTS / "run" / f"{name}.log", dict(environment), folder=values["work"])
    try:
        took = server.wait_until(values[name] + ready, READY_WITHIN_SECONDS.get(name, 30))
    except BaseException:
        server.stop()
        raise
    print(f"{name} is ready after {took:.1f} s", flush=True)
    return server


def binary(variable, name):
    found = pathlib.Path(os.environ.get(variable, ROOT / "target/release" / name)).resolve()
    if not found.exists():
        sys.exit(f"error: {found} is not there (make release builds it)")
    return str(found)


def main():
    parser = argparse.ArgumentParser(description="Signalbox with its peers on both sides.")
    parser.add_argument("--only", choices=[peer.name for peer in PEERS])
    parser.add_argument("--spoil", default="", help="appended to every model of the mock, e.g. ';fault=close'")
    options = parser.parse_args()
    peers = [peer for peer in PEERS if options.only in (None, peer.name)]
    values = addresses(int(os.environ.get("PEERS_PORT", "18200")), options.spoil)
    write_configurations(values)
    # So that a run which is ended ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    table = Table(bool(options.spoil))
    with contextlib.ExitStack() as servers:
        # Every hop's credential is checked: nothing but `sk-mock` may reach the mock.
        mock_command = [
            binary("MOCK_UPSTREAM", "mock-upstream"),
            "--listen", "{mock_address}", "--record", "64", "--credential", "sk-mock",
        ]
        servers.callback(start("mock", mock_command, "/health", values).stop)
        gateway = [binary("SIGNALBOX", "signalbox"), "serve", "--config", "{work}/signalbox.yaml"]
        servers.callback(start("signalbox", gateway, "/healthz", values).stop)
        for peer in peers:
            server = start(peer.name, peer.command, peer.ready, values, peer.environment)
            servers.callback(server.stop)
            mock = Mock(values["mock"])
            reverse.run(table, peer, values, mock)
            # The last of these kill the peer.
            cases.run(table, peer, values, mock, server)
    passed, failed = table.show(peers)
    if options.spoil:
        return 1 if passed else 0
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
