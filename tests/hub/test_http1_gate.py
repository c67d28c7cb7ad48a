"""The corpus of raw requests over real sockets: each has its answer, then the end; nothing refused reaches an app."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from skitai.hub import make_server
from skitai.hub.wsgi import REFUSED_METHODS
from tests.wire.corpus import CASES, GET, INCOMPLETE, Case, Request

#: Seconds for one exchange; reaching it means that the server hangs.
PATIENCE = 10.0
#: Statuses of a server that has read a request and does not serve it: methods and lengths are not the gate's business.
SERVED = {200, 204, 405, 411}
INNOCENT = b"GET /innocent HTTP/1.1\r\nHost: innocent\r\n\r\n"

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


class Gate:
    """A server whose app writes down what reaches it."""

    def __init__(self) -> None:
        self.reached: list[Request] = []
        self._server = make_server(("127.0.0.1", 0), self._app, error_log=io.StringIO())
        self._server.start()

    def _app(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        host = environ.get("HTTP_HOST", "")
        self.reached.append((environ["REQUEST_METHOD"], environ["RAW_URI"], host, environ["wsgi.input"].read()))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._server.server_port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def ask(self, data: bytes, *, in_bytes: bool = False, half_close: bool = False) -> bytes:
        """Send, and return all that comes until the server ends the connection in peace."""
        self.reached.clear()
        with gevent.Timeout(PATIENCE, AssertionError("the server hangs")), self.connect() as sock:
            try:
                if in_bytes:
                    for at in range(len(data)):
                        sock.sendall(data[at : at + 1])
                        gevent.sleep(0)  # a turn of the hub, so that the server reads this byte alone
                else:
                    sock.sendall(data)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            except ConnectionError:
                assert in_bytes, "the server cut off a client that was sending"
            answer = b""
            while more := sock.recv(65536):
                answer += more
            return answer

    def stop(self) -> None:
        self._server.stop(1.0)


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    server = Gate()
    yield server
    server.stop()


def statuses(answer: bytes) -> list[int]:
    """The statuses of the final responses in ``answer``; no body of ours has a status line in it."""
    return [status for status in map(int, _STATUS_LINE.findall(answer)) if status >= 200]


#: With these a whole server goes over to HTTP/2: test_http2_server.py.
GOING_OVER = frozenset({"the preface of HTTP/2", "field: Upgrade to h2c"})
STAYING = [case for case in CASES if case.name not in GOING_OVER]
assert len(STAYING) == len(CASES) - len(GOING_OVER)

refused = pytest.mark.parametrize(
    "case", [case for case in STAYING if isinstance(case.outcome, int)], ids=lambda case: case.name
)
accepted = pytest.mark.parametrize(
    "case", [case for case in STAYING if isinstance(case.outcome, list)], ids=lambda case: case.name
)
incomplete = pytest.mark.parametrize(
    "case", [case for case in STAYING if case.outcome == INCOMPLETE], ids=lambda case: case.name
)

#: Longer ones take long to send in single bytes, and test_corpus.py reads them so in memory.
MOST_IN_BYTES = 1200


def check_refused(gate: Gate, case: Case, answer: bytes) -> None:
    found = statuses(answer)
    assert found[-1:] == [case.outcome]
    assert all(status in SERVED for status in found[:-1])
    assert len(gate.reached) < len(found)
    assert all(request[1] != "/innocent" and request[1] != "/x" for request in gate.reached)
    last = answer[[*_STATUS_LINE.finditer(answer)][-1].start() :]
    assert b"Connection: close\r\n" in last
    head, _, body = last.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head


@refused
@pytest.mark.parametrize("half_close", [False, True], ids=["open", "half closed"])
def test_refused(gate: Gate, case: Case, half_close: bool) -> None:
    check_refused(gate, case, gate.ask(case.data, half_close=half_close))


@refused
def test_refused_with_a_request_behind(gate: Gate, case: Case) -> None:
    check_refused(gate, case, gate.ask(case.data + INNOCENT))


@refused
def test_refused_in_single_bytes(gate: Gate, case: Case) -> None:
    if len(case.data) <= MOST_IN_BYTES:
        check_refused(gate, case, gate.ask(case.data, in_bytes=True))


def check_accepted(gate: Gate, case: Case, answer: bytes) -> None:
    assert isinstance(case.outcome, list)
    expected = [each for each in case.outcome if each[0] not in REFUSED_METHODS]
    found = statuses(answer)
    assert found
    assert all(status in SERVED for status in found)
    assert found.count(200) == len(gate.reached)
    if set(found) == {200}:
        assert gate.reached == expected[: len(gate.reached)]
        if b"Connection: close\r\n" not in answer:
            assert gate.reached == expected
    else:
        assert all(request in expected for request in gate.reached)


@accepted
def test_accepted(gate: Gate, case: Case) -> None:
    check_accepted(gate, case, gate.ask(case.data, half_close=True))


@accepted
def test_accepted_in_single_bytes(gate: Gate, case: Case) -> None:
    if len(case.data) <= MOST_IN_BYTES:
        check_accepted(gate, case, gate.ask(case.data, in_bytes=True, half_close=True))


@incomplete
def test_a_client_that_ends_early_is_told(gate: Gate, case: Case) -> None:
    for in_bytes in (False, True):
        answer = gate.ask(case.data, in_bytes=in_bytes, half_close=True)
        assert statuses(answer) == [400]
        assert gate.reached == []


@pytest.mark.row("H2-12")
@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "x, Close", False),
        ("1.0", None, False),
        ("1.0", "close", False),
        ("1.0", "Keep-Alive", True),
    ],
)
def test_keep_alive_and_pipelining(gate: Gate, version: str, connection: str | None, keeps: bool) -> None:
    """Three requests at once are answered in order, as far as the first lets the connection stay open."""
    field = "" if connection is None else f"Connection: {connection}\r\n"
    requests = [f"GET /{number} HTTP/{version}\r\nHost: a\r\n{field}\r\n" for number in range(3)]
    answer = gate.ask("".join(requests).encode(), half_close=True)
    count = 3 if keeps else 1
    assert statuses(answer) == [200] * count
    assert [target for _, target, _, _ in gate.reached] == ["/0", "/1", "/2"][:count]
    assert answer.count(b"Connection: keep-alive\r\n") == (count if version == "1.0" and keeps else 0)
    assert (b"Connection: close\r\n" in answer) is not keeps


def test_a_pipeline_up_to_a_bad_request(gate: Gate) -> None:
    answer = gate.ask((GET + b"\r\n") * 3 + GET + b"X : y\r\n\r\n" + INNOCENT)
    assert statuses(answer) == [200, 200, 200, 400]
    assert len(gate.reached) == 3


def test_a_chunk_larger_than_any_limit_is_not_waited_for(gate: Gate) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\nabc"
    assert statuses(gate.ask(data)) == [413]
    assert gate.reached == []


def test_a_refused_connect_ends_the_connection(gate: Gate) -> None:
    """What a client has sent for the tunnel is no request."""
    answer = gate.ask(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + INNOCENT)
    assert statuses(answer) == [405]
    assert gate.reached == []


@pytest.mark.row("WSGI-16")
def test_garbage_never_stops_the_accept_loop(gate: Gate) -> None:
    """Broken requests, port scans and resets, many at a time and none read to its end; then a good request."""
    linger_off = struct.pack("ii", 1, 0)
    for number, case in enumerate(CASES):
        sock = gate.connect()
        if number % 4:  # every fourth says nothing, like a port scan
            with contextlib.suppress(ConnectionError):
                sock.sendall(case.data[: 64 * 1024])
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)  # close with a reset
        sock.close()
    answer = gate.ask(GET + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200]
    assert gate.reached[-1:] == [("GET", "/", "a", b"")]
