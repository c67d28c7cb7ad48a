"""PostgreSQL and Redis for the servers that are measured: started as the tests start them, pinned to one core."""

from __future__ import annotations

import json
import os
import subprocess
from types import TracebackType
from typing import Self

from harness.contenders import ROOT, our_python
from harness.process import TICKS, BenchError, stat_fields

STOP_TIME = 30.0


class Databases:
    """See the module. Use as a context manager.

    Args:
        core: where they run.

    Attributes:
        env: ``POSTGRES`` and ``REDIS``: host, port, name, user and password as JSON.
    """

    def __init__(self, core: int) -> None:
        self._core = core
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            ["taskset", "-c", str(self._core), our_python(), "-m", "tests.servers"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )  # fmt: skip
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self.stop()
            raise BenchError("PostgreSQL and Redis do not start: see what python -m tests.servers says")
        self.env = {name: json.dumps(address) for name, address in json.loads(line).items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """They end when nobody holds their input any more."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(STOP_TIME)
        self._child.stdout.close()

    def cpu_seconds(self) -> float:
        """Processor time used by all their living processes so far, which are in several sessions."""
        times: dict[int, int] = {}
        parents: dict[int, int] = {}
        for name in os.listdir("/proc"):
            fields = stat_fields(int(name)) if name.isdigit() else None
            if fields:
                parents[int(name)] = int(fields[1])
                times[int(name)] = int(fields[11]) + int(fields[12])
        return sum(time for pid, time in times.items() if self._is_ours(pid, parents)) / TICKS

    def _is_ours(self, pid: int, parents: dict[int, int]) -> bool:
        while pid:
            if pid == self._child.pid:
                return True
            pid = parents.get(pid, 0)
        return False
