"""One measurement by wrk: ask once to see the right page, warm up, load, and refuse a run with errors."""

from __future__ import annotations

import http.client
import re
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness.process import BenchError, Process, core_seconds

WARM_UP = 1
NUMBER = r"([\d.]+)"
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Sample:
    """What one measurement saw."""

    rate: float  # responses per second
    requests: int  # responses in the measured time
    median_ms: float
    p99_ms: float
    server_core: float  # share of its core that the server used, 0 to 1
    load_core: float  # share of its core that wrk (and the upstream) used, 0 to 1
    others: float  # share of either core that neither of them used: what disturbed the measurement


@dataclass(frozen=True)
class Shape:
    """What wrk sends."""

    connections: int
    path: str = "/"
    script: Path | None = None  # in Lua, makes each request


def fetch(port: int, path: str = "/") -> bytes:
    """The body of one GET over a connection of its own.

    Raises:
        BenchError: the status is not 200 or the connection failed.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"no answer to GET {path}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"GET {path} answered {response.status}: {body[:60]!r}")
    return body


def check_page(port: int, expected: bytes) -> None:
    """Raise BenchError unless ``/`` answers ``expected``."""
    body = fetch(port)
    if body != expected:
        raise BenchError(f"wrong page: {body[:60]!r} instead of {expected!r}")


def milliseconds(report: str, percentile: int) -> float:
    """One line of wrk's latency distribution."""
    found = re.search(rf"^\s+{percentile}%\s+{NUMBER}(us|ms|s|m)\s*$", report, re.MULTILINE)
    return float(found[1]) * UNITS[found[2]] if found else float("nan")


def figure(pattern: str, report: str) -> float:
    """The number that ``pattern`` finds in wrk's report."""
    found = re.search(pattern, report)
    if not found:
        raise BenchError(f"no {pattern!r} in the report of wrk: {report[-300:]!r}")
    return float(found[1])


def check_report(report: str) -> None:
    """Raise BenchError if wrk saw a socket error, a status other than 2xx or 3xx, or nothing."""
    bad = re.findall(r"^.*(?:Socket errors|Non-2xx).*$", report, re.MULTILINE)
    if bad:
        raise BenchError("wrk saw errors: " + "; ".join(line.strip() for line in bad))
    if not figure(r"(\d+) requests in", report):
        raise BenchError("wrk got no answer")


def run_wrk(port: int, core: int, shape: Shape, seconds: int) -> str:
    """The report that wrk prints after loading the server.

    Raises:
        BenchError: wrk failed, saw any error, or got no answer at all.
    """
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{shape.connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["--latency", *(("-s", str(shape.script)) if shape.script else ())]
    command.append(f"http://127.0.0.1:{port}{shape.path}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise BenchError(f"wrk ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
    check_report(done.stdout)
    return done.stdout


def children_seconds() -> float:
    """Processor time of the children that have ended: only wrk ends between two calls."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Cores:
    """Which core serves and which one loads; the same on a machine with one."""

    server: int
    load: int


class Meter:
    """Processor time of the server, of the load, and of both cores, between two moments.

    Args:
        upstream: a process whose time counts as load, besides that of wrk.
    """

    def __init__(self, cores: Cores, server: Process, upstream: Process | None) -> None:
        self._cores, self._server, self._upstream = cores, server, upstream
        self._start = time.monotonic()
        self._before = self._read()

    def _read(self) -> tuple[float, float, float, float]:
        load = children_seconds() + (self._upstream.cpu_seconds() if self._upstream else 0.0)
        busy = core_seconds(self._cores.server), core_seconds(self._cores.load)
        return self._server.cpu_seconds(), load, *busy

    def shares(self) -> tuple[float, float, float]:
        """Shares of a core: the server's, the load's, and what others took of the core where they took most."""
        elapsed = time.monotonic() - self._start
        server, load, first, second = (
            (now - then) / elapsed for now, then in zip(self._read(), self._before, strict=True)
        )
        return server, load, max(0.0, first - server, second - load)


def measure(
    server: Process, port: int, cores: Cores, shape: Shape, seconds: int, upstream: Process | None = None
) -> Sample:
    """Warm the server up, then load it for ``seconds``.

    Raises:
        BenchError: wrk failed or saw any error.
    """
    run_wrk(port, cores.load, shape, WARM_UP)
    meter = Meter(cores, server, upstream)
    report = run_wrk(port, cores.load, shape, seconds)
    server_core, load_core, others = meter.shares()
    return Sample(
        rate=figure(rf"Requests/sec:\s+{NUMBER}", report),
        requests=int(figure(r"(\d+) requests in", report)),
        median_ms=milliseconds(report, 50),
        p99_ms=milliseconds(report, 99),
        server_core=server_core,
        load_core=load_core,
        others=others,
    )
