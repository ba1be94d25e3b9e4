"""Who is measured, and how each is started: every one in front of the same mock, with one worker thread."""

import contextlib
import pathlib
import socket
import subprocess
import tempfile
import time

MOCK = 19000
KEY = "sk-bench-0123456789abcdef"


class Process:
    """A server that is started pinned to a core and ended with the run."""

    def __init__(self, name, port, command, children=False):
        self.name, self.port, self.command = name, port, command
        self.children = children
        self.process = None

    def start(self, core):
        """Starts it and waits until it accepts connections."""
        if accepts(self.port):
            raise SystemExit(f"port {self.port} is taken: end what listens there")
        self.process = subprocess.Popen(["taskset", "-c", str(core), *self.command])
        deadline = time.monotonic() + 20
        while not accepts(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} did not start: {' '.join(self.command)}")
            time.sleep(0.05)

    def stop(self):
        """Ends it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def pids(self):
        """The process, and its children where those do the work."""
        pid = self.process.pid
        if not self.children:
            return [pid]
        listed = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *map(int, listed.split())]

    def cpu(self):
        """CPU time so far, in microseconds, of all threads (man 5 proc, schedstat)."""
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e3

    def rss(self):
        """Resident memory in MB (10^6 bytes)."""
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total / 1e6


@contextlib.contextmanager
def running(servers, core):
    """Has all of them run on this core, and ends them in any case."""
    try:
        for server in servers:
            server.start(core)
        yield
    finally:
        for server in reversed(servers):
            server.stop()


class Mock(Process):
    """The provider's stand-in. `direct` is the same process, seen as a target."""

    def __init__(self, root):
        listen = f"127.0.0.1:{MOCK}"
        binary = str(root / "target/release/mock-upstream")
        super().__init__("direct", MOCK, [binary, "--listen", listen, "--gap", "10ms", "--chunks", "100"])


class Direct:
    """No gateway: what the mock and the client do by themselves."""

    def __init__(self, mock):
        self.name, self.port, self.mock = "direct", mock.port, mock
        self.cpu, self.rss = mock.cpu, mock.rss

    def start(self, core):
        """The mock runs already."""

    def stop(self):
        """The mock is ended last."""


def targets(root, mock):
    """Direct, nginx, bare Pingora, Signalbox plain, Signalbox with everything on, and that with a route in front of the model."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="signalbox-bench-"))
    nginx = folder / "nginx.conf"
    nginx.write_text(NGINX.format(folder=folder, port=19001, mock=MOCK))
    plain = folder / "plain.yaml"
    plain.write_text(SIGNALBOX.format(port=19003, admin=19013, mock=MOCK, key=KEY, log="'off'", limits="", models=ONE))
    full = everything(folder, "full", 19004, ONE)
    routed = everything(folder, "routed", 19005, ROUTE)
    binary = str(root / "target/release/signalbox")
    pass_through = [str(root / "target/release/pass-through"), "--listen", "127.0.0.1:19002"]
    return [
        Direct(mock),
        Process("nginx", 19001, ["/usr/sbin/nginx", "-c", str(nginx)], children=True),
        Process("bare", 19002, [*pass_through, "--upstream", f"127.0.0.1:{MOCK}"]),
        Process("plain", 19003, [binary, "serve", "--config", str(plain)]),
        Process("full", 19004, [binary, "serve", "--config", str(full)]),
        Process("routed", 19005, [binary, "serve", "--config", str(routed)]),
    ]


def everything(folder, name, port, models):
    """The configuration file with limits, log, store and ledger."""
    limits = ", rpm: 100000000, tpm: 1000000000000, max_parallel: 100000"
    file, log = folder / f"{name}.yaml", folder / f"{name}.log"
    store = f"store: sqlite:{folder}/{name}.db\nledger: {{path: {folder}/{name}-ledger}}\n"
    text = SIGNALBOX.format(port=port, admin=port + 10, mock=MOCK, key=KEY, log=log, limits=limits, models=models)
    file.write_text(store + text)
    return file


def accepts(port):
    """True when something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# The settings an LLM proxy needs: kept-alive upstream connections and no buffering of answers.
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_body_buffer_size 64k;
  keepalive_requests 100000000;
  upstream mock {{ server 127.0.0.1:{mock}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

SIGNALBOX = """
listen: 127.0.0.1:{port}
admin: {{listen: 127.0.0.1:{admin}}}
threads: 1
log: {{access: {log}, level: error}}
providers:
  mock: {{kind: openai, base_url: 'http://127.0.0.1:{mock}/v1', api_key: provider-credential}}
models:
{models}
keys:
  - {{name: bench, key: {key}, models: [gpt-4o-mini]{limits}}}
"""

ONE = "  gpt-4o-mini: {deployments: [{provider: mock, model: gpt-4o-mini}], retries: {attempts: 2}}"

# The classifier chooses between two models that the mock answers alike.
ROUTE = """
  large: {deployments: [{provider: mock, model: gpt-4o-mini}], retries: {attempts: 2}}
  small: {deployments: [{provider: mock, model: gpt-4o-mini}], retries: {attempts: 2}}
  gpt-4o-mini: {route: {strong: large, weak: small, share: 0.5}}
"""
