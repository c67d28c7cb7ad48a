"""One measurement by wrk or h2load: ask once to see the right page, warm up, load, and refuse a run with errors."""

from __future__ import annotations

import http.client
import re
import resource
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.process import BenchError, Process, core_seconds

WARM_UP = 1
# Requests before a further page of a server that is warm: enough for its code to be specialized and its caches filled.
PAGE_WARM_UP = 300
# A share of a core that other programs may take; above it the rate is not counted.
DISTURBED = 0.10
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
    cpu_us: float  # microseconds of processor time that all processes of the server used for each response

    @property
    def is_calm(self) -> bool:
        """Whether other programs left enough of the cores for the rate to count."""
        return self.others <= DISTURBED


@dataclass(frozen=True)
class Shape:
    """What wrk sends."""

    connections: int
    path: str = "/"
    script: Path | None = None  # in Lua, makes each request
    streams: int = 0  # of HTTP/2 on each connection, sent by h2load; 0 is HTTP/1.1, by wrk
    body: bytes = b""  # posted by h2load
    fields: tuple[str, ...] = ()  # header fields of every request, as "Name: value"
    scheme: str = "http"


def client(port: int, scheme: str) -> http.client.HTTPConnection:
    """A connection of our own to a server. Its certificate is made for the run, so there is nothing to check it by."""
    if scheme == "https":
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def visit(port: int, path: str, fields: Sequence[str] = (), scheme: str = "http") -> tuple[bytes, list[str]]:
    """One GET over a connection of its own.

    Args:
        fields: header fields as "Name: value".

    Returns:
        The body, and the cookies that were set, as "name=value".

    Raises:
        BenchError: the status is not 200 or the connection failed.
    """
    connection = client(port, scheme)
    try:
        return ask(connection, path, fields)
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, path: str, fields: Sequence[str]) -> tuple[bytes, list[str]]:
    """As :func:`visit`, over this connection."""
    try:
        connection.request("GET", path, headers=dict(field.split(": ", 1) for field in fields))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"no answer to GET {path}: {error!r}") from error
    if response.status != 200:
        raise BenchError(f"GET {path} answered {response.status}: {body[:60]!r}")
    return body, [field.partition(";")[0] for field in response.headers.get_all("Set-Cookie", [])]


def fetch(port: int, path: str = "/", scheme: str = "http") -> bytes:
    """The body of one GET. Errors as :func:`visit`."""
    return visit(port, path, scheme=scheme)[0]


def warm_page(port: int, shape: Shape) -> None:
    """Ask for one page some hundred times. Errors as :func:`visit`."""
    connection = client(port, shape.scheme)
    try:
        for _ in range(PAGE_WARM_UP):
            ask(connection, shape.path, shape.fields)
    finally:
        connection.close()


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
    command += [word for field in shape.fields for word in ("-H", field)]
    command.append(f"{shape.scheme}://127.0.0.1:{port}{shape.path}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError("wrk did not end in time") from error
    if done.returncode:
        raise BenchError(f"wrk ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
    check_report(done.stdout)
    return done.stdout


class Http2Report(NamedTuple):
    """What h2load saw."""

    requests: int
    rate: float
    median_ms: float
    p99_ms: float


def run_h2load(port: int, core: int, shape: Shape, seconds: int) -> Http2Report:
    """Load the server over HTTP/2.

    Raises:
        BenchError: h2load failed, or a request did.
    """
    with tempfile.NamedTemporaryFile() as log, tempfile.NamedTemporaryFile() as body:
        command = ["taskset", "-c", str(core), "h2load", "-t1", f"-c{shape.connections}", f"-m{shape.streams}"]
        command += [f"-D{seconds}", f"--log-file={log.name}", *(f"-H{field}" for field in shape.fields)]
        if shape.body:
            body.write(shape.body)
            body.flush()
            command.append(f"-d{body.name}")
        command.append(f"{shape.scheme}://127.0.0.1:{port}{shape.path}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchError("h2load did not end in time") from error
        if done.returncode:
            raise BenchError(f"h2load ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
        times = sorted(int(line.split(b"\t")[2]) for line in log.read().splitlines())
    report = done.stdout
    requests = int(figure(r"(\d+) succeeded", report))
    failed = int(figure(r"(\d+) failed", report)) + int(figure(r"(\d+) errored", report))
    if not requests or failed or not times or "Application protocol: h2" not in report:
        raise BenchError(f"h2load: {requests} requests succeeded, {failed} failed")
    rate = figure(rf"finished in {NUMBER}s, ", report)
    return Http2Report(requests, requests / rate, times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000)


def children_seconds() -> float:
    """Processor time of the children that have ended: only wrk ends between two calls."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Cores:
    """Which core serves and which one loads; the same on a machine with one."""

    server: int
    load: int


@dataclass(frozen=True)
class Usage:
    """Processor time between two moments: the server's in seconds, and shares of a core."""

    server_seconds: float
    server_core: float
    load_core: float
    others: float  # of the core where they took most


class HasTime(Protocol):
    """Something whose processor time counts as load."""

    def cpu_seconds(self) -> float:
        """Processor time used so far."""


class Meter:
    """Processor time of the server, of the load, and of both cores, between two moments.

    Args:
        upstream: a process whose time counts as load, besides that of wrk.
    """

    def __init__(self, cores: Cores, server: Process, upstream: HasTime | None) -> None:
        self._cores, self._server, self._upstream = cores, server, upstream
        self._start = time.monotonic()
        self._before = self._read()

    def _read(self) -> tuple[float, float, float, float]:
        load = children_seconds() + (self._upstream.cpu_seconds() if self._upstream else 0.0)
        busy = core_seconds(self._cores.server), core_seconds(self._cores.load)
        return self._server.cpu_seconds(), load, *busy

    def usage(self) -> Usage:
        """What was used since this was made."""
        elapsed = time.monotonic() - self._start
        server, load, first, second = (now - then for now, then in zip(self._read(), self._before, strict=True))
        others = max(0.0, first - server, second - load)
        return Usage(server, server / elapsed, load / elapsed, others / elapsed)


def measure(server: Process, port: int, cores: Cores, shape: Shape, seconds: int, upstream: HasTime | None) -> Sample:
    """Load a warm server for ``seconds``.

    Raises:
        BenchError: wrk failed or saw any error.
    """
    meter = Meter(cores, server, upstream)
    report: Http2Report | str = (run_h2load if shape.streams else run_wrk)(port, cores.load, shape, seconds)
    usage = meter.usage()
    if isinstance(report, Http2Report):
        requests, rate, median, p99 = report
    else:
        requests = int(figure(r"(\d+) requests in", report))
        rate = figure(rf"Requests/sec:\s+{NUMBER}", report)
        median, p99 = milliseconds(report, 50), milliseconds(report, 99)
    return Sample(
        rate=rate,
        requests=requests,
        median_ms=median,
        p99_ms=p99,
        server_core=usage.server_core,
        load_core=usage.load_core,
        others=usage.others,
        cpu_us=usage.server_seconds / requests * 1e6,
    )
