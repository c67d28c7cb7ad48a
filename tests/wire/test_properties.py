"""What must hold for any request and any response: round trips, cuts, and mutations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.errors import LocalProtocolError, RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.http1 import (
    END,
    LAST_CHUNK,
    Data,
    RequestHead,
    RequestReader,
    chunk,
    serialize_request,
)
from skitai.wire.response import CommonFields, ResponseHead
from skitai.wire.target import is_valid_host, split_host
from tests.wire.corpus import CASES
from tests.wire.generated import bodies, cuts, fields, hosts, methods, mutations, names, requests, targets, values
from tests.wire.reading import in_bytes, read_requests, read_response

COMMON = CommonFields("test")
any_text = st.text(st.characters(max_codepoint=0x17F), max_size=20)


@given(methods, targets, hosts, fields)
def test_a_serialized_request_is_read_as_it_was(
    method: str, target: str, host: str, lines: list[tuple[str, str]]
) -> None:
    reader = RequestReader(Limits())
    reader.feed(serialize_request(method, target, [("Host", host), *lines]))
    head = reader.next()
    assert isinstance(head, RequestHead)
    assert (head.method, head.target, head.host, head.version) == (method, target, host, 11)
    assert head.fields == [("Host", host), *lines]
    assert reader.is_between


@given(any_text, any_text, st.lists(st.tuples(any_text, any_text), max_size=3))
def test_a_request_is_serialized_as_one_or_not_at_all(method: str, target: str, lines: list[tuple[str, str]]) -> None:
    """Whatever text a caller gives, no second line, field or request comes out of it."""
    try:
        data = serialize_request(method, target, lines)
    except LocalProtocolError:
        return
    assert data.count(b"\n") == data.count(b"\r\n") == len(lines) + 2
    assert data.index(b"\r\n\r\n") == len(data) - 4


@given(st.integers(100, 1100), st.none() | any_text, st.lists(st.tuples(any_text, any_text), max_size=3))
def test_a_response_head_is_one_or_none(status: int, reason: str | None, lines: list[tuple[str, str]]) -> None:
    try:
        data = ResponseHead(status, reason, lines, 0, "GET", 11, True, COMMON).data
    except LocalProtocolError:
        return
    assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
    assert b"\0" not in data
    assert data.index(b"\r\n\r\n") == len(data) - 4
    assert read_response([data])[1] == b""


@given(st.integers(200, 599), st.lists(st.tuples(names, values), max_size=8), bodies, st.booleans(), st.data())
def test_a_response_is_read_as_it_was(
    status: int, lines: list[tuple[str, str]], body: bytes, is_length_known: bool, data: st.DataObject
) -> None:
    head = ResponseHead(status, None, lines, len(body) if is_length_known else None, "GET", 11, True, COMMON)
    if status in (204, 304):
        sent, body = head.data, b""
    elif is_length_known:
        sent = head.data + body
    else:
        sent = head.data + chunk(body) + LAST_CHUNK
    for pieces in ([sent], in_bytes(sent), data.draw(cuts(sent))):
        read, content, reader = read_response(pieces)
        assert read is not None
        assert read.status == status
        kept = [(name, value) for name, value in lines if name.lower() not in ("keep-alive", "trailer")]
        assert [pair for pair in kept if pair not in read.fields] == []
        assert content == body
        assert reader.keep_alive


@given(requests(), st.data())
def test_any_cut_gives_the_same(request_: tuple[bytes, object], data: st.DataObject) -> None:
    sent = request_[0]
    whole = read_requests([sent])
    assert whole[1] is None
    assert read_requests(in_bytes(sent)) == whole
    assert read_requests(data.draw(cuts(sent))) == whole


@given(st.data())
@settings(max_examples=1500, deadline=None)
def test_mutated_requests(data: st.DataObject) -> None:
    """Nothing but a refusal with a status, the same for any cut, and never a reader that takes bytes for ever."""
    good = data.draw(
        requests().map(lambda each: each[0]) | st.sampled_from([case.data for case in CASES if len(case.data) < 400])
    )
    sent = data.draw(mutations(good))
    whole = read_requests([sent])
    assert whole[1] in (None, "incomplete", 400, 413, 414, 417, 431, 501, 505)
    assert read_requests(in_bytes(sent)) == whole
    assert read_requests(data.draw(cuts(sent))) == whole


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_mutated_responses(data: st.DataObject) -> None:
    good = data.draw(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
                b"HTTP/1.0 404 Not Found\r\nX: y\r\n\r\nbody",
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nother bytes",
            ]
        )
    )
    sent = data.draw(mutations(good))
    outcomes = []
    for pieces in ([sent], in_bytes(sent), data.draw(cuts(sent))):
        try:
            head, body, _ = read_response(pieces, is_over=True)
            outcomes.append((head, body))
        except RemoteProtocolError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_random_octets(data: bytes) -> None:
    whole = read_requests([data])
    assert read_requests(in_bytes(data)) == whole
    assert whole[0] == []


@given(st.text(max_size=30))
def test_any_host_is_valid_or_not(value: str) -> None:
    if is_valid_host(value):
        assert value.isascii()
        assert not set(value) & set(' \t\r\n\0/?#@\\<>"`^{}|,')
        host, port = split_host(value)
        assert host == host.lower()
        assert port == "" or 0 <= int(port) <= 65535


def test_empty_data_is_no_chunk() -> None:
    assert chunk(b"") == b""
    assert chunk(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_connection_pair(size: int) -> None:
    """A request from the client role to the server role and the answer back, three times on one connection."""
    server = RequestReader(Limits())
    for _ in range(3):
        server.feed(
            serialize_request("POST", "/x", [("Host", "a"), ("Transfer-Encoding", "chunked")]) + chunk(b"x" * size)
        )
        head = server.next()
        assert isinstance(head, RequestHead)
        assert head.chunked
        if size:
            assert server.next() == Data(b"x" * size)
        assert server.next() is None
        server.feed(LAST_CHUNK)
        assert server.next() is END
        assert server.is_between
        answer = ResponseHead(200, None, [("X", "y")], size, head.method, head.version, head.keep_alive, COMMON)
        response, body, reader = read_response([answer.data + b"z" * size], "POST")
        assert response is not None
        assert response.status == 200
        assert body == b"z" * size
        assert reader.keep_alive
