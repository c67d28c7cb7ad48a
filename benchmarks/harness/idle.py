"""Memory and answer time of a server that holds many idle keep-alive connections."""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import dataclass

from harness.contenders import IDLE
from harness.process import BenchError, Process

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PROBES = 500
SETTLE = 1.0
# Seconds that opening all may take; a loop that looks at every connection at every turn needs minutes.
OPEN_TIME = 30.0
# Every so many connections one is asked again at the end, to see that it was kept and not dropped in silence.
SAMPLE_STEP = 20


@dataclass(frozen=True)
class IdleSample:
    """What one server did with ``connections`` idle connections."""

    connections: int
    before: int  # resident bytes, warm, without connections
    during: int
    after: int  # a second after all were closed
    median_ms: float  # time of `/` over one more connection, while the others idle
    p99_ms: float
    alive: int  # of the sampled idle connections, those that answered again
    sampled: int

    @property
    def bytes_each(self) -> float:
        """Resident bytes that one idle connection costs, without what the kernel holds for its socket."""
        return (self.during - self.before) / self.connections


def ask(connection: socket.socket, body: bytes) -> None:
    """One request and its whole answer, which ends with ``body``.

    Raises:
        BenchError: the server closed instead.
    """
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith(body):
        data = connection.recv(65536)
        if not data:
            raise BenchError("the server closed a connection instead of answering")
        answer += data


def connect(port: int) -> socket.socket:
    """One connection to the server."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answer_times(port: int, body: bytes) -> list[float]:
    """Milliseconds of each of ``PROBES`` requests over one new connection."""
    times = []
    try:
        with connect(port) as connection:
            for _ in range(PROBES):
                start = time.perf_counter()
                ask(connection, body)
                times.append((time.perf_counter() - start) * 1000)
    except OSError as error:
        raise BenchError(f"one more connection failed: {error}") from error
    return times


def still_answers(connection: socket.socket, body: bytes) -> bool:
    """Whether an idle connection takes one more request."""
    try:
        ask(connection, body)
    except (OSError, BenchError):
        return False
    return True


def open_idle(port: int, body: bytes, held: list[socket.socket]) -> None:
    """Fill ``held`` with connections that each made one request and now wait.

    Raises:
        BenchError: a connection failed, or ``OPEN_TIME`` passed.
    """
    end = time.monotonic() + OPEN_TIME
    for number in range(IDLE):
        if time.monotonic() > end:
            raise BenchError(f"only {number} of {IDLE} connections were served in {OPEN_TIME:.0f} s")
        try:
            connection = connect(port)
            held.append(connection)
            ask(connection, body)
        except (OSError, BenchError) as error:
            raise BenchError(f"connection {number + 1} of {IDLE} failed: {error}") from error


def measure_idle(server: Process, port: int, body: bytes) -> IdleSample:
    """Open the connections, measure, ask some of them again, close them.

    Raises:
        BenchError: a connection was refused or dropped while they were opened.
    """
    answer_times(port, body)
    time.sleep(SETTLE)
    before = server.resident_bytes()
    held: list[socket.socket] = []
    try:
        open_idle(port, body, held)
        time.sleep(SETTLE)
        during = server.resident_bytes()
        times = answer_times(port, body)
        sampled = held[::SAMPLE_STEP]
        alive = sum(still_answers(connection, body) for connection in sampled)
    finally:
        for connection in held:
            connection.close()
    time.sleep(SETTLE)
    p99 = statistics.quantiles(times, n=100)[98]
    return IdleSample(IDLE, before, during, server.resident_bytes(), statistics.median(times), p99, alive, len(sampled))
