"""Starts the mock upstream, the scripted provider and a gateway before them, and ends them again."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KEY = "sk-clients-signalbox"
CREDENTIAL = "clients-credential"

# What makes every case fail, to show that it can: other words, another count of calls, and no limit.
WRONG = "demo;chunks=3;calls=3"
BEHAVIOURS = {"": "demo", "-two-calls": "demo;calls=2", "-limited": "demo;status=429;retry_after=1"}


def configuration(port, wrong):
    """Models named for the format of their deployment: of the mock, and (`agent-`) of the scripted provider."""
    mock, scripted = f"http://127.0.0.1:{port + 2}", f"http://127.0.0.1:{port + 3}"
    models = []
    for form in ["openai", "compatible", "anthropic"]:
        for suffix, behaviour in BEHAVIOURS.items():
            model = WRONG if wrong else behaviour
            # A 429 must reach the client as it is, in one attempt.
            models.append(
                f"  {form}{suffix}: {{deployments: [{{provider: mock-{form}, model: {model}}}], retries: {{attempts: 1}}}}"
            )
        # Codex offers a web search, which only its own provider has.
        models.append(
            f"  agent-{form}: {{deployments: [{{provider: scripted-{form}, model: scripted}}], drop_params: true}}"
        )
    return f"""
listen: 127.0.0.1:{port}
admin: {{listen: 127.0.0.1:{port + 1}}}
log: {{access: 'off', level: warn}}
providers:
  mock-openai: {{kind: openai, base_url: '{mock}/v1', api_key: {CREDENTIAL}}}
  mock-compatible: {{kind: vllm, base_url: '{mock}/v1', api_key: {CREDENTIAL}}}
  mock-anthropic: {{kind: anthropic, base_url: '{mock}', api_key: {CREDENTIAL}}}
  scripted-openai: {{kind: openai, base_url: '{scripted}/v1', api_key: {CREDENTIAL}}}
  scripted-compatible: {{kind: vllm, base_url: '{scripted}/v1', api_key: {CREDENTIAL}}}
  scripted-anthropic: {{kind: anthropic, base_url: '{scripted}', api_key: {CREDENTIAL}}}
models:
{chr(10).join(models)}
keys:
  - {{name: clients, key: {KEY}, models: ['*']}}
"""


@contextmanager
def running(port, wrong):
    """The gateway's address, while it runs. Four ports from `port` on must be free."""
    for taken in range(port, port + 4):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", taken)) == 0:
                sys.exit(f"error: something else listens on 127.0.0.1:{taken}; give another --port")
    folder = Path(tempfile.mkdtemp(prefix="signalbox-clients-"))
    (folder / "signalbox.yaml").write_text(configuration(port, wrong))
    mock = os.environ.get("MOCK_UPSTREAM", ROOT / "target/release/mock-upstream")
    signalbox = os.environ.get("SIGNALBOX", ROOT / "target/release/signalbox")
    for binary in [mock, signalbox]:
        if not os.access(binary, os.X_OK):
            sys.exit(f"error: {binary} is not there (make release builds it)")
    scripted = [sys.executable, HERE / "agents/scripted_provider.py", str(port + 3), "wrong" if wrong else "right"]
    commands = [
        ([mock, "--listen", f"127.0.0.1:{port + 2}", "--credential", CREDENTIAL], f"127.0.0.1:{port + 2}/health"),
        (scripted, f"127.0.0.1:{port + 3}/health"),
        ([signalbox, "serve", "--config", folder / "signalbox.yaml"], f"127.0.0.1:{port + 1}/healthz"),
    ]
    with ExitStack() as stack:
        for command, health in commands:
            stack.enter_context(process(command, health, folder))
        yield f"http://127.0.0.1:{port}"


@contextmanager
def process(command, health, folder):
    log = folder / f"{Path(command[0]).name}-{command[1]}.log".replace("/", "-")
    with open(log, "wb") as output:
        started = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        wait_until_ready(started, f"http://{health}", log)
        yield
        if started.poll() is not None:
            sys.exit(f"error: {command[0]} ended during the run with status {started.returncode}; see {log}")
    finally:
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()


def wait_until_ready(started, url, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and started.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    sys.exit(f"error: {started.args[0]} did not get ready; it said:\n{log.read_text()}")
