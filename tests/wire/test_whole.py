"""Remembered heads of responses: never anything else than what the reader says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.settings import Limits
from skitai.wire import whole
from skitai.wire.http1 import Data, ResponseHead, ResponseReader


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "_known", {})
    monkeypatch.setattr(whole, "_seen", set())


def read(data: bytes) -> tuple[ResponseHead, bytes]:
    reader = ResponseReader("GET", Limits())
    reader.feed(data)
    head = reader.next()
    assert isinstance(head, ResponseHead)
    body = b""
    while isinstance(event := reader.next(), Data):
        body += event.content
    return head, body


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n\r\n"


def test_a_head_is_remembered_when_it_comes_again() -> None:
    head, _ = read(PLAIN + b"ab")
    assert whole.read_whole(PLAIN + b"ab") is None
    whole.remember(PLAIN + b"ab", head)
    assert whole.read_whole(PLAIN + b"ab") is None
    whole.remember(PLAIN + b"ab", head)
    assert whole.read_whole(PLAIN + b"cd") == read(PLAIN + b"cd")


@pytest.mark.parametrize("data", [b"", b"a", b"abc", PLAIN])
def test_what_is_no_whole_response_is_left_to_the_reader(data: bytes) -> None:
    head, _ = read(PLAIN + b"ab")
    for _ in range(2):
        whole.remember(PLAIN + b"ab", head)
    assert whole.read_whole(PLAIN + data) is None
    assert whole.read_whole(data) is None
    assert whole.read_whole(PLAIN[:-2]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nab",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + b"x" * 5000 + b"\r\n\r\nab",
    ],
)
def test_what_is_framed_otherwise_is_not_remembered(data: bytes) -> None:
    head, _ = read(data)
    for _ in range(3):
        whole.remember(data, head)
    assert whole.read_whole(data) is None


def test_the_memory_is_bounded() -> None:
    for number in range(10_000):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %d\r\n\r\n" % number
        head, _ = read(data)
        for _ in range(2):
            whole.remember(data, head)
    assert len(whole._known) <= 256
    assert len(whole._seen) <= 4096


HEADS = st.builds(
    lambda status, length, extra: b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n%b\r\n" % (status, length, extra),
    st.sampled_from([200, 201, 204, 304, 404]),
    st.integers(0, 3),
    st.sampled_from([b"", b"X: 1\r\n", b"Connection: close\r\n", b"Content-Encoding: br\r\n"]),
)


@given(st.lists(st.tuples(HEADS, st.binary(max_size=4)), max_size=20))
def test_it_never_says_anything_else_than_the_reader(responses: list[tuple[bytes, bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        forget(patch)
        for section, rest in responses:
            data = section + rest
            head, body = read(data)
            found = whole.read_whole(data)
            if found is not None:
                assert found == (head, body)
                assert len(data) == len(section) + len(body)
            whole.remember(data, head)
