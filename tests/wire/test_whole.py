"""Remembered heads of responses: never anything else than what a fresh reader says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire import whole
from skitai.wire.http1 import END, Data, ResponseHead, ResponseReader
from skitai.wire.whole import WholeResponses
from tests.wire.reading import in_two

LIMITS = Limits()
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Outcome = tuple[ResponseHead | None, bytes, bool] | str


def read(pieces: list[bytes], method: str = "GET") -> Outcome:
    """What a fresh reader says: head, body and whether the connection may be used again; or what is wrong."""
    reader = ResponseReader(method, LIMITS)
    head, body = None, b""
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next()) is not None:
                if isinstance(event, ResponseHead):
                    head = event
                elif isinstance(event, Data):
                    body += event.content
                elif event is END:
                    return head, body, reader.keep_alive
    except RemoteProtocolError as error:
        return str(error)
    return "incomplete"


def read_with(memory: WholeResponses, pieces: list[bytes], method: str = "GET") -> Outcome:
    """The same with a memory, as a connection uses it (``HttpConnection.data_received``)."""
    if method in ("HEAD", "CONNECT"):
        return read(pieces, method)
    found = memory.read(pieces[0])
    if found is not None:
        return found[0], found[1], True
    outcome = read(pieces[:1], method)
    if isinstance(outcome, tuple):
        memory.remember(pieces[0])
        return outcome
    return read(pieces, method)


def warm(*responses: bytes) -> WholeResponses:
    memory = WholeResponses(LIMITS)
    for _ in range(3):
        for data in responses:
            memory.remember(data)
    return memory


def test_a_head_is_remembered_when_it_comes_again() -> None:
    memory = WholeResponses(LIMITS)
    for _ in range(2):
        assert memory.read(PLAIN + b"ab") is None
        memory.remember(PLAIN + b"ab")
    head, body = memory.read(PLAIN + b"cd") or (None, None)
    assert (head, body, True) == read([PLAIN + b"cd"])


@pytest.mark.parametrize("data", [b"", b"a", b"abc", PLAIN])
def test_what_is_no_whole_response_is_left_to_the_reader(data: bytes) -> None:
    memory = warm(PLAIN + b"ab")
    assert memory.read(PLAIN + data) is None
    assert memory.read(data) is None
    assert memory.read(PLAIN[:-2]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nab",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n b\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + b"x" * 5000 + b"\r\n\r\nab",
        b"nonsense\r\n\r\n",
        CONTINUE,
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_what_is_framed_otherwise_is_not_remembered(data: bytes) -> None:
    memory = warm(data)
    assert memory.read(data) is None
    assert memory._known == {}


@pytest.mark.parametrize("interim", [CONTINUE, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_an_interim_response_has_nothing_of_the_final_one_behind_it(interim: bytes) -> None:
    first = interim + b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes"
    memory = warm(first)
    assert memory._known == {}
    second = interim + b"HTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\n\r\nno"
    for data in (first, second, interim + b"x" * 45):
        assert memory.read(data) is None
        assert read_with(memory, [data]) == read([data])


def test_what_one_caller_does_to_the_fields_another_does_not_see() -> None:
    memory = warm(PLAIN + b"ab")
    head, _ = memory.read(PLAIN + b"ab") or pytest.fail("it is remembered")
    head.fields.clear()
    again, _ = memory.read(PLAIN + b"ab") or pytest.fail("it is remembered")
    assert again.fields == [("Content-Length", "2"), ("X", "1")]


def test_a_memory_is_for_the_limits_it_was_made_with() -> None:
    few, many = Limits(header_count=1), Limits()
    memory = whole.memory_of(many)
    for _ in range(2):
        memory.remember(PLAIN + b"ab")
    assert whole.memory_of(many).read(PLAIN + b"ab") is not None
    assert whole.memory_of(few).read(PLAIN + b"ab") is None
    for _ in range(2):
        whole.memory_of(few).remember(PLAIN + b"ab")
    assert whole.memory_of(few).read(PLAIN + b"ab") is None


def test_the_memory_is_bounded() -> None:
    memory = WholeResponses(LIMITS)
    for number in range(10_000):
        for _ in range(2):
            memory.remember(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %d\r\n\r\n" % number)
    assert 0 < len(memory._known) <= 256
    assert 0 < len(memory._seen) <= 4096


# A memory beside a fresh reader, on the same bytes

STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 402 No",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 OK",
        b"HTTP/1.1 205 OK",
        b"HTTP/1.1 304 OK",
        b"HTTP/1.1 100 OK",
        b"HTTP/1.1 101 OK",
        b"HTTP/1.1 103 OK",
        b"HTTP/1.1 200",
        b"HTP",
    ]
)
FIELD_LINES = st.sampled_from(
    [
        b"Content-Length: 0",
        b"Content-Length: 38",
        b"Content-Length: 2",
        b"Content-Length: 3",
        b"content-length:2",
        b"Content-Length: 2, 2",
        b"Content-Length : 2",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Content-Encoding: br",
        b"X: 1",
        b"X: 2",
        b" folded",
        b"",
    ]
)
SECTIONS = st.builds(
    lambda line, fields: b"\r\n".join([line, *fields]) + b"\r\n\r\n", STATUS_LINES, st.lists(FIELD_LINES, max_size=3)
)
ANOTHER = b"HTTP/1.1 402 No\r\nContent-Length: 0\r\n\r\n"
BODIES = st.sampled_from([b"", b"ab", ANOTHER, b"cde", b"2\r\nab\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
MESSAGES = st.builds(
    lambda interim, section, body: b"".join(interim) + section + body,
    st.lists(st.sampled_from([CONTINUE, b"HTTP/1.1 103 Hints\r\nX: 1\r\n\r\n"]), max_size=2),
    SECTIONS,
    BODIES,
)
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "CONNECT", "POST"])


@given(st.lists(st.tuples(MESSAGES, METHODS, st.integers(0, 80)), min_size=1, max_size=6))
def test_it_never_says_anything_else_than_a_fresh_reader(messages: list[tuple[bytes, str, int]]) -> None:
    memory = WholeResponses(LIMITS)
    for _ in range(3):  # each comes again, in whole and in two pieces
        for data, method, cut in messages:
            for pieces in ([data], [data[:cut], data[cut:]] if 0 < cut < len(data) else [data]):
                assert read_with(memory, pieces, method) == read(pieces, method)


# Responses whose bodies are as long as other responses, or are such: what a server sends that wants to be misread.
TAILS = [b"HTTP/1.1 402 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n"]
HOSTILE = st.builds(
    lambda interim, status, body: (
        interim + b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    ),
    st.sampled_from([b"", CONTINUE, b"HTTP/1.1 103 Hints\r\n\r\n"]),
    st.sampled_from([200, 201]),
    st.sampled_from([b"", *TAILS, b"x" * len(TAILS[0])]),
)


@given(st.lists(HOSTILE, min_size=1, max_size=6))
def test_nor_when_servers_mean_it(messages: list[bytes]) -> None:
    memory = WholeResponses(LIMITS)
    for data in messages * 3 + [CONTINUE + tail for tail in TAILS]:
        assert read_with(memory, [data]) == read([data])


def test_nor_wherever_a_response_is_cut() -> None:
    data = CONTINUE + PLAIN + b"ab"
    memory = warm(data, PLAIN + b"ab", CONTINUE)
    for pieces in in_two(data):
        for method in ("GET", "HEAD"):
            assert read_with(memory, pieces, method) == read(pieces, method)


@given(st.integers(0, len(PLAIN) + 1), st.binary(min_size=0, max_size=2))
def test_a_byte_that_differs_is_a_difference(at: int, byte: bytes) -> None:
    memory = warm(PLAIN + b"ab")
    data = (PLAIN + b"ab")[:at] + byte + (PLAIN + b"ab")[at + 1 :]
    assert read_with(memory, [data or b"x"]) == read([data or b"x"])
