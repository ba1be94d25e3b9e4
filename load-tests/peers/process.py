"""Starts servers, waits until each answers, and ends them whatever happens. Knows no peer."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ENDS_WITHIN_SECONDS = 10


class Server:
    """One process in a process group of its own, so that a kill takes its workers with it."""

    def __init__(self, name, command, log, environment=None, folder=None):
        self.name = name
        self.log = log
        self.was_killed = False
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                start_new_session=True,
            )

    def wait_until(self, ready_url, within_seconds):
        """Returns the seconds it took until this URL answered 200."""
        started = time.monotonic()
        while time.monotonic() - started < within_seconds:
            if self.process.poll() is not None:
                status = self.process.returncode
                raise RuntimeError(f"{self.name} ended with {status} before it was ready:\n{self.tail()}")
            try:
                with urllib.request.urlopen(ready_url, timeout=2):
                    return time.monotonic() - started
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"{self.name} was not ready within {within_seconds} s:\n{self.tail()}")

    def tail(self):
        with open(self.log, errors="replace") as log:
            return "".join(f"    {line}" for line in log.readlines()[-15:])

    def kill(self):
        """As a crash would: no goodbye."""
        self.was_killed = True
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def _end(self, how):
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def is_taken(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
