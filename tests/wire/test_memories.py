"""What is remembered of requests and of header sections: warm memories beside fresh readers, on the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hpack import Decoder, Encoder, HeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from skitai.errors import LocalProtocolError, RemoteProtocolError
from skitai.settings import Limits
from skitai.wire import fields as field_rules
from skitai.wire import memory, urls
from skitai.wire.events import RequestHead
from skitai.wire.http1 import END, Data, RequestReader
from skitai.wire.http2 import heads, responses
from skitai.wire.http2.coders import SectionDecoder, SectionEncoder
from skitai.wire.http2.errors import StreamError
from skitai.wire.response import CommonFields, ResponseHead

# Requests over HTTP/1.1

LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"GET /a HTTP/1.1",
        b"HEAD / HTTP/1.1",
        b"POST / HTTP/1.1",
        b"GET / HTTP/1.0",
        b"CONNECT a:1 HTTP/1.1",
        b"GET http://b/ HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET / HTTP/2.0",
        b"GET /\x00 HTTP/1.1",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Host: a",
        b"Host: b",
        b"host:a",
        b"Content-Length: 0",
        b"Content-Length: 2",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Connection: upgrade",
        b"X: 1",
        b"X: 2",
        b" folded",
        b"Content-Length : 2",
    ]
)
REQUESTS = st.builds(
    lambda line, fields, body: b"\r\n".join([line, *fields]) + b"\r\n\r\n" + body,
    LINES,
    st.lists(FIELDS, max_size=3),
    st.sampled_from([b"", b"", b"ab", b"2\r\nab\r\n0\r\n\r\n"]),
)


def say(head: RequestHead) -> tuple[Any, ...]:
    """All that a head says."""
    return (
        head.method,
        head.target,
        head.version,
        head.host,
        head.keep_alive,
        head.fields,
        dict(head.environ),
        head.length,
        head.chunked,
        head.expects_continue,
        head.upgrade,
        head.is_plain,
        head.protocol,
    )


def read(reader: RequestReader, pieces: list[bytes]) -> list[Any]:
    """What a reader makes of a connection, each piece read as the server does (``Http1Session.receive``)."""
    events: list[Any] = []
    is_in_body = False
    try:
        for piece in pieces:
            head = None if is_in_body else reader.read_whole(piece)
            if head is not None:
                events.append(say(head))
                is_in_body = head.has_body
                continue
            reader.feed(piece)
            while (event := reader.next()) is not None:
                if isinstance(event, RequestHead):
                    events.append(say(event))
                    is_in_body = event.has_body
                elif isinstance(event, Data):
                    events.append(event.content)
                elif event is END:
                    events.append(END)
                    is_in_body = False
    except RemoteProtocolError as error:
        events.append((error.status, str(error)))
    return events


@given(st.lists(st.tuples(REQUESTS, st.integers(0, 90)), min_size=1, max_size=5))
def test_a_request_is_read_as_by_a_reader_that_remembers_nothing(requests: list[tuple[bytes, int]]) -> None:
    limits = Limits()
    memory.memory_of.cache_clear()
    connections = []
    for data, cut in requests:  # each on a connection of its own, three times: in whole, and cut
        connections += [[data] * 3, [data[:cut], data[cut:], data] if 0 < cut < len(data) else [data]]
    connections.append([data for data, _ in requests])
    connections += connections
    for pieces in connections:
        warm = read(RequestReader(limits), pieces)
        memory_before, memory.memory_of(limits).sections, memory.memory_of(limits).heads = (
            (memory.memory_of(limits).sections, memory.memory_of(limits).heads),
            {},
            {},
        )
        fresh = read(RequestReader(limits), [bytes([byte]) for byte in b"".join(pieces)])
        memory.memory_of(limits).sections, memory.memory_of(limits).heads = memory_before
        assert joined(warm) == joined(fresh)


def joined(events: list[Any]) -> list[Any]:
    """Parts of one body as one."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)
    return found


def test_a_request_that_is_known_is_none_inside_a_body() -> None:
    known = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ in range(3):
        RequestReader(Limits()).read_whole(known)
    one = RequestReader(Limits())
    for _ in range(3):
        assert one.read_whole(known) is not None
    reader = RequestReader(Limits())
    reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(known))
    assert isinstance(reader.next(), RequestHead)
    assert reader.next() is None
    assert reader.read_whole(known) is None
    reader.feed(known)
    assert reader.next() == Data(known)


def test_limits_have_memories_of_their_own() -> None:
    data = b"GET /a-long-target HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"
    wide = RequestReader(Limits())
    for _ in range(3):
        assert wide.read_whole(data) is not None
    for narrow in (Limits(header_count=1), Limits(request_line=16), Limits(header_bytes=20)):
        reader = RequestReader(narrow)
        assert reader.read_whole(data) is None
        reader.feed(data)
        with pytest.raises(RemoteProtocolError):
            reader.next()


def test_long_names_of_clients_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, str] = {}
    monkeypatch.setattr(field_rules, "cgi_names", known)
    assert field_rules.cgi_name("X-" + "y" * 5_000) == "HTTP_X_" + "Y" * 5_000
    assert field_rules.cgi_name("X-Short") == "HTTP_X_SHORT"
    assert list(known) == ["X-Short"]


# Header sections of HTTP/2

NAMES = st.sampled_from([b"a", b"b", b"cookie", b"etag", b"content-length", b"long-name-" + b"n" * 80])
VALUES = st.sampled_from([b"", b"1", b"2", b"v" * 30, b"w" * 900])
SECTIONS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


SIZES = st.sampled_from([None, None, 0, 100, 4096])


@given(st.lists(st.tuples(SECTIONS, SIZES), min_size=1, max_size=8))
def test_sections_are_decoded_as_without_a_memory(sections: list[tuple[Any, int | None]]) -> None:
    encoder, warm, fresh = Encoder(), SectionDecoder(1 << 20), Decoder(1 << 20)
    for fields, size in sections * 2:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(3):
            data = encoder.encode(fields)
            found = warm.decode(data, raw=True)
            assert found == list(fresh.decode(data, raw=True)) == fields
            found.clear()  # of the caller's own


@given(st.lists(st.tuples(SECTIONS, SIZES), min_size=1, max_size=8))
def test_sections_are_encoded_so_that_others_read_the_same(sections: list[tuple[Any, int | None]]) -> None:
    encoder, other = SectionEncoder(), Decoder(1 << 20)
    for fields, size in sections * 2:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(3):
            data = encoder.encode([HeaderTuple(*each) for each in fields])
            assert list(other.decode(data, raw=True)) == fields


RAW = st.lists(
    st.sampled_from(
        [
            (b":method", b"GET"),
            (b":method", b"HEAD"),
            (b":method", b"CONNECT"),
            (b":path", b"/"),
            (b":path", b"/a"),
            (b":scheme", b"http"),
            (b":scheme", b"https"),
            (b":authority", b"a"),
            (b":authority", b"b"),
            (b":protocol", b"websocket"),
            (b"host", b"a"),
            (b"x", b"1"),
            (b"content-length", b"2"),
            (b"expect", b"100-continue"),
            (b"connection", b"close"),
            (b"X", b"1"),
        ]
    ),
    max_size=7,
)
PLAIN = [(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"http"), (b":authority", b"a")]


@given(st.lists(st.tuples(RAW, st.booleans(), st.booleans()), min_size=1, max_size=5))
def test_heads_of_streams_are_as_without_a_memory(sections: list[tuple[Any, bool, bool]]) -> None:
    heads._memory_of.cache_clear()

    def outcome(requests: heads.Requests, raw: Any) -> Any:
        try:
            return say(requests.head(raw))
        except StreamError as error:
            return str(error)
        except heads.Refused as error:
            return error.status, str(error)

    connections = {offered: heads.Requests(Limits(), offered) for offered in (False, True)}
    for extra, offered, is_plain in sections * 2:
        raw = PLAIN + extra if is_plain else extra
        fresh = heads.Requests(Limits(), offered)
        fresh._memory = {}
        for _ in range(3):
            assert outcome(connections[offered], raw) == outcome(fresh, raw)


# Heads of responses that we send

RESPONSES = st.tuples(
    st.sampled_from([200, 204, 304, 404, 99]),
    st.sampled_from([None, "OK", "No"]),
    st.lists(
        st.sampled_from(
            [
                ("X", "1"),
                ("x", "1"),
                ("Content-Length", "2"),
                ("Content-Length", "3"),
                ("Connection", "close"),
                ("Set-Cookie", "a=b"),
                ("Date", "now"),
                ("Server", "me"),
                ("X", "a\r\nb"),
                ("Y", "y" * 2_000),
                ("Z", 1),
            ]
        ),
        max_size=3,
    ),
    st.sampled_from([None, 2]),
    st.sampled_from(["GET", "HEAD"]),
    st.sampled_from([10, 11]),
    st.booleans(),
)


@given(st.lists(RESPONSES, min_size=1, max_size=6))
def test_heads_are_made_as_without_a_memory(given_: list[Any]) -> None:
    from skitai.wire import response

    common = CommonFields("s")
    common.refresh("now")

    def outcome(args: Any) -> Any:
        try:
            head = ResponseHead(*args, common)
            return head.data, head.framing, head.length, head.keep_alive, head.is_common
        except LocalProtocolError as error:
            return str(error)

    def section(args: Any) -> Any:
        status, _, fields, length, method, *_ = args
        try:
            made = responses.ResponseSection(status, fields, length, method, common)
            return made.raw, made.length, made.has_body
        except LocalProtocolError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response, "_remembered", {})
        patch.setattr(responses, "_remembered", {})
        warm = [(outcome(args), section(args)) for args in given_ * 3]
        for (head, raw), args in zip(warm, given_ * 3, strict=True):
            patch.setattr(response, "_remembered", {})
            patch.setattr(responses, "_remembered", {})
            assert head == outcome(args)
            assert raw == section(args)


def test_large_and_personal_heads_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    from skitai.wire import response

    for module in (response, responses):
        monkeypatch.setattr(module, "_remembered", {})
    common = CommonFields("s")
    for fields in ([("X", "y" * 5_000)], [("Set-Cookie", "a=b")], [("SET-COOKIE", "a=b")]):
        head = ResponseHead(200, None, fields, 2, "GET", 11, True, common)
        common.keep(head, (200,), fields)
        responses.ResponseSection(200, fields, 2, "GET", common)
    assert response._remembered == responses._remembered == common.ready == {}


# URLs


def test_long_urls_are_read_and_not_kept() -> None:
    before = urls._parse_url.cache_info().currsize, urls._quote_target.cache_info().currsize
    long = "http://a/" + "b" * 5_000
    assert urls.parse_url(long).target == "/" + "b" * 5_000
    assert urls.quote_target("/" + "ä" * 2_000) == "/" + "%C3%A4" * 2_000
    assert before[0] == urls._parse_url.cache_info().currsize
    assert urls._quote_target.cache_info().currsize <= before[1] + 1


@pytest.mark.parametrize("url", ["http://a/b", "http://a/" + "b" * 2_000])
def test_a_url_is_read_for_the_schemes_that_are_asked_for(url: str) -> None:
    assert urls.parse_url(url, urls.HTTP).scheme == "http"
    with pytest.raises(ValueError, match="absolute"):
        urls.parse_url(url, urls.WEBSOCKET)
