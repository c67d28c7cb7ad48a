"""The corpus against the engine in memory: whole, cut anywhere, in single bytes, and with a request behind."""

from __future__ import annotations

import pytest

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.http1 import RequestReader
from tests.wire.corpus import CASES, GET, INCOMPLETE, Case, Request
from tests.wire.reading import in_bytes, in_two, read_requests

INNOCENT = GET + b"X-Innocent: yes\r\n\r\n"
INNOCENT_REQUEST: Request = ("GET", "/", "a", b"")

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def expected_of(case: Case) -> tuple[list[Request] | None, int | str | None]:
    """What read_requests() must return; no requests are named for what is refused or waits."""
    return (case.outcome, None) if isinstance(case.outcome, list) else (None, case.outcome)


def check(case: Case, pieces: list[bytes]) -> None:
    requests, end = read_requests(pieces)
    wanted, wanted_end = expected_of(case)
    assert end == wanted_end
    # Of a refused pipeline the requests before the bad one stand; no case of the corpus has more than one such.
    assert requests == wanted if wanted is not None else len(requests) <= 1


@each_case
def test_whole(case: Case) -> None:
    check(case, [case.data])


@each_case
def test_cut_anywhere(case: Case) -> None:
    for pieces in in_two(case.data, 400 if len(case.data) < 1000 else 40):
        check(case, pieces)


@each_case
def test_in_single_bytes(case: Case) -> None:
    check(case, in_bytes(case.data))


@each_case
def test_read_whole_agrees(case: Case) -> None:
    """The short way in takes a head that the other way takes, and the same one; it refuses nothing else."""
    for _ in range(4):  # a head that comes again is remembered
        reader = RequestReader(Limits())
        for _ in range(3):
            try:
                head = reader.read_whole(case.data)
            except RemoteProtocolError as error:
                assert error.status == case.outcome
                break
            if head is None or head.has_body:
                break
            assert [(head.method, head.target, head.host, b"")] == case.outcome


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.outcome, int)], ids=lambda case: case.name)
def test_nothing_behind_a_refused_request_is_read(case: Case) -> None:
    for pieces in ([case.data + INNOCENT], [case.data, INNOCENT], in_bytes(case.data + INNOCENT)):
        requests, end = read_requests(pieces)
        assert INNOCENT_REQUEST not in requests[1:]
        assert isinstance(end, int)


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.outcome, list)], ids=lambda case: case.name)
def test_a_request_behind_an_accepted_one_is_read(case: Case) -> None:
    assert isinstance(case.outcome, list)
    for pieces in ([case.data + INNOCENT], in_bytes(case.data + INNOCENT)):
        assert read_requests(pieces) == ([*case.outcome, INNOCENT_REQUEST], None)


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == INCOMPLETE], ids=lambda case: case.name)
def test_incomplete_bytes_are_refused_when_the_client_ends(case: Case) -> None:
    assert read_requests([case.data])[1] == INCOMPLETE
    assert read_requests(in_bytes(case.data))[1] == INCOMPLETE


def test_who_keeps_the_connection() -> None:
    for version, connection, keeps in (
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.1", "keep-alive", True),
        ("1.1", "keep-alive, close", False),
        ("1.1", "x,  close ,y", False),
        ("1.1", "closed", True),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
        ("1.0", "Keep-Alive", True),
        ("1.0", "close, keep-alive", False),
        ("1.0", "upgrade", False),
    ):
        field = "" if connection is None else f"Connection: {connection}\r\n"
        data = f"GET / HTTP/{version}\r\nHost: a\r\n{field}\r\n".encode()
        for _ in range(3):  # remembered sections must not mix the versions up
            reader = RequestReader(Limits())
            reader.feed(data)
            head = reader.next()
            assert head is not None
            assert head.keep_alive is keeps, (version, connection)  # type: ignore[union-attr]


def test_a_refused_connect_ends_the_connection() -> None:
    reader = RequestReader(Limits())
    reader.feed(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
    assert reader.next().keep_alive is False  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 1, 16, 100, 199, 200, 201])
def test_limits_hold_for_any_cut(size: int) -> None:
    limits = Limits(request_line=60, header_bytes=200, header_count=5)
    for data in (
        b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * size + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (size % 7) + b"\r\n",
        b"GET /" + b"a" * size + b"\x00",
        b"GET / HTTP/1.1\r\nX: " + b"y" * size + b"\x00",
    ):
        whole = read_requests([data], limits)
        assert read_requests(in_bytes(data), limits) == whole
        for pieces in in_two(data):
            assert read_requests(pieces, limits) == whole


def test_the_exact_limits() -> None:
    line = b"GET /aaaa HTTP/1.1\r\n"
    data = line + b"Host: a\r\n\r\n"
    accepted = [("GET", "/aaaa", "a", b"")]
    assert read_requests([data], Limits(request_line=len(line))) == (accepted, None)
    assert read_requests([data], Limits(request_line=len(line) - 1)) == ([], 414)
    assert read_requests([data], Limits(header_bytes=len(data))) == (accepted, None)
    assert read_requests([data], Limits(header_bytes=len(data) - 1)) == ([], 431)
    assert read_requests([data], Limits(header_count=1)) == (accepted, None)
    assert read_requests([data], Limits(header_count=0)) == ([], 431)


def test_environ() -> None:
    reader = RequestReader(Limits())
    reader.feed(
        b"POST / HTTP/1.1\r\nhost: a\r\nX-A:  1 \r\nx-a: 2\r\nCookie: b=1\r\ncookie: c=2\r\nX_A: 3\r\nProxy: http://x\r\n"
        b"Content-Type: t/t\r\ncontent-length: 0\r\n\r\n"
    )
    head = reader.next()
    assert head.environ == {  # type: ignore[union-attr]
        "HTTP_HOST": "a",
        "HTTP_X_A": "1, 2",
        "HTTP_COOKIE": "b=1; c=2",
        "CONTENT_TYPE": "t/t",
        "CONTENT_LENGTH": "0",
    }
    assert head.fields[1:3] == [("X-A", "1"), ("x-a", "2")]  # type: ignore[union-attr]


def test_the_authority_of_the_target_is_the_host_of_the_environ() -> None:
    reader = RequestReader(Limits())
    reader.feed(b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"\r\n")
    first, second = reader.next(), reader.next()
    assert first.environ["HTTP_HOST"] == "b"  # type: ignore[union-attr]
    assert second.environ["HTTP_HOST"] == "a"  # type: ignore[union-attr]


def test_remembered_requests_stay_apart() -> None:
    """Same section with other lines, same line with other sections, on one connection and on several."""
    for _ in range(5):
        reader = RequestReader(Limits())
        for host in ("a", "a", "b", "b", "a"):
            for target in ("/x", "/x", "/y"):
                for minor in (1, 1, 0):
                    data = f"GET {target} HTTP/1.{minor}\r\nHost: {host}\r\n\r\n".encode()
                    head = reader.read_whole(data)
                    assert head is not None
                    assert (head.target, head.host, head.version) == (target, host, 10 + minor)
                    assert head.keep_alive is bool(minor)
                    head.fields.clear()


def test_a_remembered_request_keeps_to_the_limits_of_its_reader() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
    generous = RequestReader(Limits())
    assert all(generous.read_whole(data) for _ in range(4))
    assert RequestReader(Limits(header_count=1)).read_whole(data) is None
    assert read_requests([data], Limits(header_count=1)) == ([], 431)


def test_what_is_announced() -> None:
    reader = RequestReader(Limits())
    assert reader.announced == 0
    reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")
    reader.next()
    reader.next()
    assert reader.announced == 255 - 3
    reader = RequestReader(Limits())
    reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    reader.next()
    reader.next()
    assert reader.announced == 6


def test_many_small_chunks_are_one_event() -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"
    assert read_requests([data]) == ([("POST", "/", "a", b"x" * 10_000)], None)
