"""A gateway and mock providers as processes of their own, on free ports, in a folder that is thrown away."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("BINARIES", ROOT / "target/release"))
KEY = "sk-endurance"
# Notices of secrets that are written out, in a file that is thrown away.
SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"never happened: {what}")
        time.sleep(0.02)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class Mock:
    """A provider that can be taken away and come back at the same address."""

    def __init__(self, *options, prefix=()):
        self.port, self.options, self.prefix, self.process = free_port(), options, prefix, None
        self.looks = 0
        self.start()

    def start(self):
        command = [*self.prefix, BINARIES / "mock-upstream", "--listen", f"127.0.0.1:{self.port}", *self.options]
        self.process = subprocess.Popen(command, **SILENT)
        until("the mock answers", lambda: answers(f"http://127.0.0.1:{self.port}/health"))

    def stop(self):
        self.process.kill()
        self.process.wait()

    def calls(self):
        """Requests so far, the looks at this number left out."""
        self.looks += 1
        return json.loads(get(f"http://127.0.0.1:{self.port}/_mock/stats"))["requests"] - self.looks


class Gateway:
    """`text` is YAML below `providers:`; `extra` stands at the end of the file."""

    def __init__(self, providers, models, extra="", prefix=()):
        self.port, self.admin = free_port(), free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="signalbox-endurance-"))
        self.config, self.prefix = self.folder / "signalbox.yaml", prefix
        self.socket = self.folder / "hand-over.sock"
        self.write(providers, models, extra)
        self.process = self.spawn()
        until("the gateway answers", lambda: answers(f"http://127.0.0.1:{self.port}/healthz"))

    def write(self, providers, models, extra=""):
        lines = [
            f"listen: 127.0.0.1:{self.port}", f"admin: {{listen: '127.0.0.1:{self.admin}'}}",
            "log: {access: 'off', level: error}", "providers:",
            *(f"  {name}: {{kind: {kind}, base_url: 'http://127.0.0.1:{port}{path}', api_key: sk-upstream}}"
              for name, (kind, port, path) in providers.items()),
            "models:", models, "keys:", f"  - {{name: run, key: {KEY}, models: ['*']}}", extra,
        ]
        new = self.config.with_suffix(".new")
        new.write_text("\n".join(lines))
        new.rename(self.config)

    def spawn(self, *options):
        command = [*self.prefix, BINARIES / "signalbox", "serve", "--config", self.config]
        return subprocess.Popen([*command, "--hand-over-socket", self.socket, *options], **SILENT)

    def hand_over(self):
        """A new process takes the sockets; the old one is returned, finishing what it has begun."""
        old, self.process = self.process, self.spawn("--upgrade")
        until("the new process waits for the sockets", self.socket.exists)
        old.send_signal(signal.SIGQUIT)
        until("the sockets are taken", lambda: not self.socket.exists())
        return old

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def metric(self, line_start):
        lines = get(f"http://127.0.0.1:{self.admin}/metrics").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(line_start))

    def state(self, deployment):
        rows = json.loads(get(f"http://127.0.0.1:{self.admin}/api/v1/deployments"))["deployments"]
        return next(row["state"] for row in rows if row["id"] == deployment)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
