"""Servers as processes of this program: started, watched, and ended with it, whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
# Seconds for a server to start, and to end after it was asked to.
START_PATIENCE = 60.0
END_PATIENCE = 15.0

_STARTED = re.compile(r"started on \S+:(\d+)")


class StartError(Exception):
    """A server did not start; the text has what it said."""


class Server:
    """One run script in a process of its own.

    Args:
        name: for people.
        process: whose output says when it serves.
        on_line: called with each further line of its output, on another thread.

    Attributes:
        port: that it serves, after :meth:`wait_until_ready`.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], on_line: Callable[[str, str], None]) -> None:
        self.name = name
        self.process = process
        self.port = 0
        self.lines: list[str] = []
        self._on_line = on_line
        self._is_settled = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Wait until it serves.

        Raises:
            StartError: it ended instead, or takes too long.
        """
        self._is_settled.wait(START_PATIENCE)
        if not self.port:
            raise StartError(f"{self.name} did not start:\n" + "".join(self.lines))

    def kill(self) -> None:
        """End it as a power cut would, its workers with it: nothing is finished, nobody is told."""
        # Its process group is its own: it was started so, and has not been waited for.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(END_PATIENCE)

    def stop(self, deadline: float) -> int:
        """Wait for its end after it was asked to, and kill what is left.

        Args:
            deadline: monotonic time to wait for its own end.

        Returns:
            Its exit code; below 0, the number of the signal that killed it.
        """
        try:
            self.process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(END_PATIENCE)
        return self.process.returncode

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if not self.port and (match := _STARTED.search(line)):
                self.port = int(match[1])
                self._is_settled.set()
            self._on_line(self.name, line)
        self._is_settled.set()


class Servers:
    """Servers that end with this block: after an exception, and on SIGINT, SIGTERM and SIGHUP, which become one.

    ::

        with Servers() as servers:
            member = servers.start("member", "member.py", PORT="0")
            member.wait_until_ready()

    Args:
        on_line: called with the name of a server and a line of its output.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, on_line: Callable[[str, str], None] = lambda name, line: None) -> None:
        self.all: list[Server] = []
        self.exit_codes: dict[str, int] = {}
        self._on_line = on_line
        self._is_holding = False
        self._held: int | None = None

    def start(self, name: str, script: str, **env: str) -> Server:
        """Start ``python script`` with more environment variables; does not wait for it."""
        with self._held_back():
            process = subprocess.Popen(
                [sys.executable, str(HERE / script)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # A group of its own: Ctrl-C reaches this program alone, which then ends the servers in order.
                start_new_session=True,
                env={**os.environ, **env},
            )
            server = Server(name, process, self._on_line)
            self.all.append(server)
        return server

    def __enter__(self) -> Self:
        for number in self._SIGNALS:
            signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # ending is bounded, and must not be cut short
        for server in self.all:
            if server.process.poll() is None:
                server.process.terminate()
        deadline = time.monotonic() + END_PATIENCE
        for server in self.all:
            self.exit_codes[server.name] = server.stop(deadline)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_holding:
            self._held = number
        else:
            raise SystemExit(0 if number == signal.SIGINT else 128 + number)

    @contextmanager
    def _held_back(self) -> Iterator[None]:
        """No signal comes between the start of a process and knowing it: nobody would end that process."""
        self._is_holding = True
        try:
            yield
        finally:
            self._is_holding = False
        if self._held is not None:
            self._interrupt(self._held, None)
