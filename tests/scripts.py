"""Run scripts that call ``skitai.run()`` in processes of their own, and talk to them."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import gevent

# Seconds after which a test gives up on a process; only ever reached by a failure.
PATIENCE = 60


class Script:
    """One run script and the process that runs it. Use :meth:`start`, then :meth:`line` or :attr:`port`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.output: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "start() first"
        return self._process

    def start(self, *arguments: str, launcher: tuple[str, ...] = (), cwd: Path | None = None, **env: str) -> Script:
        """Start the script; ``launcher`` goes between the interpreter and the script."""
        self._process = subprocess.Popen(
            [sys.executable, *launcher, str(self.path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=cwd,
            env={**clean_environment(), **env},
        )
        return self

    def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line of output that has the pattern; it is also looked for in the lines read before."""
        for text in self.output:
            if match := re.search(pattern, text):
                return match
        return self.next_line(pattern)

    def next_line(self, pattern: str) -> re.Match[str]:
        """Wait for a further line of output that has the pattern."""
        assert self.process.stdout is not None
        with gevent.Timeout(PATIENCE, TimeoutError(f"no line with {pattern!r} in:\n{''.join(self.output)}")):
            for text in self.process.stdout:
                self.output.append(text)
                if match := re.search(pattern, text):
                    return match
        raise AssertionError(f"the process ended without a line with {pattern!r}:\n{''.join(self.output)}")

    @property
    def port(self) -> int:
        """The port that the server said it serves."""
        return int(self.line(r"started on \S+:(\d+)")[1])

    def get(self, path: str = "/", host: str | None = None, port: int | None = None) -> Answer:
        """Ask the server."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={} if host is None else {"Host": host})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """Open a connection to the server."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process of the server."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; return the exit code. The rest of the output is in ``output``."""
        assert self.process.stdout is not None
        with gevent.Timeout(PATIENCE, TimeoutError(f"it did not end:\n{''.join(self.output)}")):
            self.output += list(self.process.stdout)
            return self.process.wait()

    def stop(self) -> int:
        """Ask the server to end; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.end()

    def run(self, *arguments: str, **env: str) -> int:
        """Start, and wait for the end."""
        self.start(*arguments, **env)
        return self.end()

    @property
    def text(self) -> str:
        """All output read so far."""
        return "".join(self.output)

    def clean_up(self) -> None:
        """Leave no process behind."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Answer:
    """A whole HTTP response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()


class Workplace:
    """A directory for the files of a test, and the scripts started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._scripts: list[Script] = []

    def file(self, name: str, text: str = "") -> Path:
        """Write a file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def script(self, text: str, name: str = "app.py") -> Script:
        """Write a run script."""
        script = Script(self.file(name, text))
        self._scripts.append(script)
        return script

    def serve(self, text: str, *arguments: str, name: str = "app.py", **env: str) -> Script:
        """Write a run script and start it."""
        return self.script(text, name).start(*arguments, **env)

    def clean_up(self) -> None:
        """Leave no process behind."""
        for script in self._scripts:
            script.clean_up()


def clean_environment() -> dict[str, str]:
    """The environment without what would change how a script starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SKITAI_")} | {
        "PYTHONUNBUFFERED": "1"
    }


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_end(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    with gevent.Timeout(PATIENCE, TimeoutError(f"process {pid} did not end")):
        while is_alive(pid):
            gevent.sleep(0.01)
