"""Start one process pinned to a core, watch what it costs, and end it with all its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
START_TIME = 20.0
STOP_TIME = 10.0


class BenchError(Exception):
    """A measurement that cannot be trusted or made; the text says why."""


class StartError(BenchError):
    """A server that does not start, or does not answer as it should: trying again would only take time."""


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stat_fields(pid: int) -> list[str] | None:
    """The fields of ``/proc/PID/stat`` after the command name (state is first), or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def core_seconds(core: int) -> float:
    """Processor time that ``core`` spent on anything so far, whoever asked for it."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *figures = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, steal, *_ = map(int, figures)
            return (user + nice + system + irq + softirq + steal) / TICKS
    raise BenchError(f"/proc/stat does not know core {core}")


class Process:
    """One command in a session of its own, pinned to ``core``, ended by ``timeout`` after ``seconds`` at the latest.

    Use as a context manager; leaving it ends the whole process group, also on an error.
    """

    def __init__(
        self, command: Sequence[str], core: int, seconds: float, log: Path, env: Mapping[str, str], folder: Path
    ) -> None:
        self.log = log
        self._command = ["timeout", "--kill-after=5", str(int(seconds)), "taskset", "-c", str(core), *command]
        self._env = dict(env)
        self._folder = folder

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._env,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_for_port(self, port: int) -> None:
        """Return when something accepts on ``port``.

        Raises:
            StartError: the process ended first, or ``START_TIME`` seconds passed; with the end of its output.
        """
        end = time.monotonic() + START_TIME
        while time.monotonic() < end:
            if self._child.poll() is not None:
                raise StartError(f"ended at start with {self._child.returncode}: {self.tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise StartError(f"did not listen within {START_TIME:.0f} s: {self.tail()}")

    def tail(self) -> str:
        """The last line of what the process printed."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")

    def members(self) -> Iterator[tuple[int, list[str]]]:
        """Each living process of this session, with its stat fields."""
        for name in os.listdir("/proc"):
            if name.isdigit():
                fields = stat_fields(int(name))
                if fields and int(fields[3]) == self._child.pid:
                    yield int(name), fields

    def cpu_seconds(self) -> float:
        """Processor time used by all living processes of this session so far."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self.members()) / TICKS

    def resident_bytes(self) -> int:
        """Resident memory of all processes of this session together."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(fields[21]) * page for _, fields in self.members())

    def stop(self) -> None:
        """End the process group: politely, then for certain."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._child.pid, number)
            except ProcessLookupError:
                break
            try:
                self._child.wait(STOP_TIME)
            except subprocess.TimeoutExpired:
                continue
        self._child.wait(STOP_TIME)
