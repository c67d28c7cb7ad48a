"""Two HTTP/2 engines that talk to each other, cut at every byte; and what ends a connection that is abused."""

from __future__ import annotations

import base64

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.errors import LocalProtocolError
from skitai.settings import Limits
from skitai.wire.http2 import frames
from skitai.wire.http2.caps import CONTROLS, EMPTIES, RESETS, UPDATES
from skitai.wire.http2.coders import SectionDecoder, SectionEncoder, raw_field
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import BrokenConnection, Code
from skitai.wire.http2.events import (
    BodyReceived,
    ConnectionBroken,
    Event,
    GoAwayReceived,
    RequestStarted,
    ResponseStarted,
    SettingsReceived,
    TrailersReceived,
    WindowOpened,
)
from skitai.wire.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    serialize,
)
from skitai.wire.http2.heads import raw_fields
from tests.wire.http2_peer import GET, POST, Peer, setting

CALM = Code.ENHANCE_YOUR_CALM


class Pair:
    """A client and a server; bytes go over in pieces of ``size``."""

    def __init__(self, size: int = 1 << 20, **options: int) -> None:
        self.client = Http2Engine(False, Limits())
        self.server = Http2Engine(True, Limits(), **options)  # type: ignore[arg-type]
        self.size = size
        self.client.begin()
        self.server.begin()
        self.exchange()

    def exchange(self) -> tuple[list[Event], list[Event]]:
        """Carry bytes until nobody has any; return (what the client, what the server was told)."""
        told: tuple[list[Event], list[Event]] = ([], [])
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return told
            for data, engine, events in ((up, self.server, told[1]), (down, self.client, told[0])):
                for start in range(0, len(data), self.size):
                    events += engine.receive(data[start : start + self.size], 0.0)


def without_noise(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, (WindowOpened, SettingsReceived))]


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10, 64, 1 << 20])
def test_a_request_and_its_response_in_pieces_of_any_size(size: int) -> None:
    pair = Pair(size)
    number = pair.client.open(_raw(POST), False)
    pair.client.send_data(number, b"question", False)
    pair.client.send_trailers(number, [("x-sum", "1")])
    _, told = pair.exchange()
    request, *parts = without_noise(told)
    assert isinstance(request, RequestStarted) and request.head.method == "POST"
    assert parts == [BodyReceived(1, b"question", 8, False), TrailersReceived(1, [("x-sum", "1")])]
    pair.server.send_head(number, [(b":status", b"103"), (b"link", b"</x>")], False)
    pair.server.send_head(number, [(b":status", b"200"), (b"content-length", b"6")], False)
    pair.server.send_data(number, b"answer", True)
    told, _ = pair.exchange()
    _, response, body = without_noise(told)
    assert isinstance(response, ResponseStarted) and response.head.status == 200
    assert body == BodyReceived(1, b"answer", 6, True)
    assert not pair.client.streams and not pair.server.streams


def _raw(fields: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [raw_field(name.encode(), value.encode()) for name, value in fields]


def test_bodies_larger_than_the_windows_in_both_directions_at_once() -> None:
    pair = Pair()
    number = pair.client.open(_raw(POST), False)
    pair.exchange()
    pair.server.send_head(number, [(b":status", b"200")], False)
    size = 3_000_000
    left = {pair.client: size, pair.server: size}
    got = {pair.client: 0, pair.server: 0}
    while any(left.values()):
        for engine in left:
            while left[engine] and (room := engine.window(number)) > 0:
                count = min(room, left[engine])
                left[engine] -= count
                engine.send_data(number, b"x" * count, not left[engine])
        for engine, events in zip((pair.client, pair.server), pair.exchange(), strict=True):
            for event in events:
                if isinstance(event, BodyReceived):
                    got[engine] += len(event.content)
                    engine.acknowledge(number, event.size)
    for engine, events in zip((pair.client, pair.server), pair.exchange(), strict=True):
        got[engine] += sum(len(event.content) for event in events if isinstance(event, BodyReceived))
    assert set(got.values()) == {size}
    assert not pair.client.streams and not pair.server.streams


def test_a_body_that_nobody_consumes_stops_its_stream_only() -> None:
    pair = Pair()
    first, second = pair.client.open(_raw(POST), False), pair.client.open(_raw(POST), False)
    while (room := pair.client.window(first)) > 0:
        pair.client.send_data(first, b"x" * room, False)
        pair.exchange()
    assert pair.client.window(second) > 0


def test_pushes() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    assert peer.engine.can_push
    promised, head = peer.engine.push(1, _raw([*GET[:2], (":path", "/style.css"), GET[3]]))
    assert (promised, head.target, head.method) == (2, "/style.css", "GET")
    peer.engine.send_head(2, [(b":status", b"204")], True)
    peer.collect()
    assert [frame.kind for frame in peer.answers] == [frames.PUSH_PROMISE, HEADERS]


@pytest.mark.parametrize("payload", [setting(2, 0), setting(3, 0)])
def test_no_pushes_for_who_wants_none(payload: bytes) -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, payload), peer.headers(1))
    assert not peer.engine.can_push


def test_an_upgraded_connection_goes_on_with_stream_1() -> None:
    peer = Peer()
    (event,) = peer.say(peer.headers(1))
    assert isinstance(event, RequestStarted)
    engine = Http2Engine(True, Limits())
    engine.begin_upgraded("AAQAAAAF", event.head)  # INITIAL_WINDOW_SIZE = 5
    assert engine.window(1) == 5 and set(engine.streams) == {1}
    engine.send_head(1, [(b":status", b"200")], False)
    engine.send_data(1, b"12345", True)
    engine.receive(frames.PREFACE + serialize(SETTINGS, 0, 0), 0)
    assert not engine.is_broken and engine.has_settings


@pytest.mark.parametrize("settings", ["!", "AAQAAAA", "AAQAAAAF,AAQAAAAF", "AAT_____", "é"])
def test_upgrades_with_settings_that_are_not_valid(settings: str) -> None:
    peer = Peer()
    (event,) = peer.say(peer.headers(1))
    assert isinstance(event, RequestStarted)
    with pytest.raises(ValueError):
        Http2Engine(True, Limits()).begin_upgraded(settings, event.head)


def test_streams_that_ended_cannot_send() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    peer.engine.reset(1, Code.CANCEL)
    peer.engine.reset(1, Code.CANCEL)
    with pytest.raises(LocalProtocolError):
        peer.engine.send_head(1, [(b":status", b"200")], True)
    peer.collect()
    assert peer.resets() == [(1, Code.CANCEL)]


@pytest.mark.parametrize("field", [("x", "a\nb"), ("b c", "x"), ("connection", "close"), ("x", "€")])
def test_fields_that_cannot_be_sent(field: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        raw_fields([field])


# Sections that come again


def test_sections_that_come_again_are_the_same_bytes_and_fields() -> None:
    encoder, decoder = SectionEncoder(), SectionDecoder(65_536)
    fields = _raw([*GET, ("user-agent", "x"), ("accept", "*/*")])
    sections = [encoder.encode(fields) for _ in range(4)]
    assert sections[1] == sections[2] == sections[3] != sections[0]
    assert all(decoder.decode(section) == fields for section in sections)
    other = _raw([*GET, ("user-agent", "y")])
    assert decoder.decode(encoder.encode(other)) == other
    assert decoder.decode(encoder.encode(fields)) == fields


def test_a_new_table_size_is_said_once() -> None:
    encoder, decoder = SectionEncoder(), SectionDecoder(65_536)
    fields = _raw(GET)
    for size in (4096, 100, 100, 1 << 30, 0):
        encoder.header_table_size = size
        for _ in range(3):
            assert decoder.decode(encoder.encode(fields)) == fields
    assert encoder.header_table_size == 0


def test_the_table_of_our_encoder_is_bounded_whatever_the_peer_offers() -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(1, 1 << 30)))
    assert peer.engine._h2.encoder.header_table_size == 4096


def test_cookies_are_never_put_into_a_table() -> None:
    encoder = SectionEncoder()
    section = encoder.encode([raw_field(b"set-cookie", b"secret=1")])
    assert section[0] & 0xF0 == 0x10  # RFC 7541 section 6.2.3
    assert not encoder.header_table.dynamic_entries


# Abuse


def flood(peer: Peer, frame: bytes, count: int) -> None:
    """Say a frame so often that nothing happens, and then once more."""
    for _ in range(count):
        assert not peer.engine.is_broken
        peer.say(frame)
    assert not peer.engine.is_broken, "too early"
    peer.expect_broken(CALM, frame)


def test_settings_count_by_their_size() -> None:
    """Forty frames of 2,700 settings each are as much work as a thousand of a few."""
    payload = b"".join([number.to_bytes(2, "big") + bytes(4) for number in range(10_000, 12_700)])
    server = Http2Engine(True, Limits())
    server.begin()
    events = server.receive(frames.PREFACE + serialize(SETTINGS, 0, 0) + serialize(SETTINGS, 0, 0, payload) * 40, 0.0)
    assert isinstance(events[-1], ConnectionBroken)
    assert events[-1].code == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "frame",
    [
        serialize(PING, 0, 0, b"12345678"),
        serialize(PING, ACK, 0, b"12345678"),
        serialize(SETTINGS, 0, 0, setting(4, 65_535)),
        serialize(SETTINGS, ACK, 0),
        serialize(frames.PRIORITY, 0, 9, b"\0\0\0\0\x10"),
        serialize(0x99, 0, 0, b"x"),
    ],
)
def test_floods_of_control_frames(frame: bytes) -> None:
    peer = Peer()
    peer.say()
    used = 2  # the SETTINGS of the begin, and the answer to ours
    flood(peer, frame, CONTROLS[0] - used)


@pytest.mark.parametrize("frame", [serialize(DATA, 0, 1, b""), serialize(DATA, PADDED, 1, b"\x03\0\0\0")])
def test_floods_of_empty_data(frame: bytes) -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    flood(peer, frame, EMPTIES[0])


def test_floods_of_window_updates() -> None:
    peer = Peer()
    flood(peer, serialize(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"), UPDATES[0])


def test_rapid_reset() -> None:
    """CVE-2023-44487."""
    peer = Peer()
    number = 1
    while not peer.engine.is_broken:
        peer.say(peer.headers(number), serialize(RST_STREAM, 0, number, b"\0\0\0\x08"))
        number += 2
    assert peer.goodbye() is not None and peer.goodbye()[1] == CALM  # type: ignore[index]
    assert number // 2 <= RESETS[0] + 1
    assert not peer.engine.streams or len(peer.engine.streams) <= 1


def test_made_you_reset() -> None:
    """CVE-2025-8671: the client breaks rules so that the server does the resets."""
    peer = Peer()
    number = 1
    while not peer.engine.is_broken:
        peer.say(peer.headers(number), serialize(WINDOW_UPDATE, 0, number, b"\0\0\0\0"))
        number += 2
    assert peer.goodbye() is not None and peer.goodbye()[1] == CALM  # type: ignore[index]
    assert number // 2 <= RESETS[0] + 1


@pytest.mark.parametrize("is_reset_by_peer", [True, False])
@pytest.mark.parametrize("kind", [HEADERS, DATA])
def test_frames_on_streams_that_are_over(kind: int, is_reset_by_peer: bool) -> None:
    """Those that were under way when we reset the stream are ignored; those of a client that did it are abuse."""
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    if is_reset_by_peer:
        peer.say(serialize(RST_STREAM, 0, 1, b"\0\0\0\x08"))
    else:
        peer.engine.reset(1, Code.CANCEL)
    late = peer.headers(1) if kind == HEADERS else peer.data(1, b"x")
    count = 0
    while not peer.engine.is_broken and count < 5_000:
        peer.say(late)
        count += 1
    if is_reset_by_peer:
        assert peer.goodbye() == (1, CALM)
        assert count <= RESETS[0]
    else:
        assert peer.goodbye() is None
        assert peer.resets() == [(1, Code.CANCEL)]
        assert peer.say(peer.headers(3)) != []


def test_a_late_section_still_counts_for_the_table() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    peer.engine.reset(1, Code.CANCEL)
    peer.say(peer.headers(1, [*GET, ("x-indexed", "value")]))
    (event,) = peer.say(peer.headers(3, [*GET, ("x-indexed", "value")]))
    assert isinstance(event, RequestStarted) and ("x-indexed", "value") in event.head.fields


def test_settings_that_nobody_knows_are_not_kept() -> None:
    """h2 would keep 65,536 of them, which take 55 MB."""
    peer = Peer()
    before = len(peer.engine._h2.remote_settings)
    for first in range(0, 65_536, 2_700):
        numbers = range(max(first, 9), min(first + 2_700, 65_536))
        peer.say(serialize(SETTINGS, 0, 0, b"".join([setting(number, 7) for number in numbers])))
    assert len(peer.engine._h2.remote_settings) == before
    (started,) = Peer().say(Peer().headers(1))
    assert isinstance(started, RequestStarted)
    upgraded = Http2Engine(True, Limits())
    payload = b"".join([setting(number, 7) for number in range(100, 8_000)])
    upgraded.begin_upgraded(base64.urlsafe_b64encode(payload).decode(), started.head)
    assert len(upgraded._h2.remote_settings) == before
    peer.say(serialize(SETTINGS, 0, 0, setting(99, 5) + setting(4, 1) + setting(4, 1_000) + setting(7, 5)))
    peer.say(peer.headers(1))
    assert peer.engine.window(1) == 1_000
    assert peer.goodbye() is None


def test_a_window_of_one_byte_earns_no_updates() -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(4, 0)), peer.headers(1))
    peer.engine.send_head(1, [(b":status", b"200")], False)
    count = 0
    while not peer.engine.is_broken:
        peer.say(serialize(WINDOW_UPDATE, 0, 1, b"\0\0\0\x01"))
        if not peer.engine.is_broken:
            peer.engine.send_data(1, b"x", False)
        count += 1
    assert count == UPDATES[0] + 1


def test_small_frames_inside_a_window_earn_updates() -> None:
    """Those of a client that confirms each message of a stream, on the stream and on the connection."""
    peer = Peer()
    peer.say(peer.headers(1))
    peer.engine.send_head(1, [(b":status", b"200")], False)
    for _ in range(UPDATES[0]):
        peer.engine.send_data(1, b"x", False)
        peer.say(serialize(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"), serialize(WINDOW_UPDATE, 0, 1, b"\0\0\0\x01"))
    assert not peer.engine.is_broken


def test_requests_that_are_still_worked_on_count_as_streams() -> None:
    peer = Peer()
    peer.engine.held = 128
    number = 1
    while not peer.engine.is_broken:
        assert not any(isinstance(event, RequestStarted) for event in peer.say(peer.headers(number)))
        number += 2
    assert peer.resets()[0] == (1, Code.REFUSED_STREAM)
    assert number // 2 == RESETS[0] + 1
    assert peer.goodbye() == (0, CALM)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_frames_a_few_at_a_time(most: int) -> None:
    peer = Peer()
    data = b"".join([peer.headers(number) for number in (1, 3, 5)]) + peer.headers(7)[:-1]
    assert peer.engine.receive(data, 0.0, 0) == [] and peer.engine.has_more
    seen: list[Event] = []
    while peer.engine.has_more:
        new = peer.engine.receive(b"", 0.0, most)
        assert len(new) <= most
        seen += new
    assert [event.stream for event in seen if isinstance(event, RequestStarted)] == [1, 3, 5]
    assert not peer.engine.is_between


def test_allowances_refill_with_time() -> None:
    peer = Peer()
    for _ in range(3 * CONTROLS[0]):
        peer.now += 0.1
        peer.say(serialize(PING, 0, 0, b"12345678"))
    assert not peer.engine.is_broken


def test_continuation_floods() -> None:
    peer = Peer()
    peer.expect_broken(
        CALM,
        serialize(HEADERS, END_STREAM, 1, b"\x82"),
        *[serialize(CONTINUATION, 0, 1, b"")] * (frames.MOST_CONTINUATIONS + 1),
    )
    peer = Peer()
    peer.expect_broken(
        CALM,
        serialize(HEADERS, END_STREAM, 1, b"\x82" * 16_000),
        *[serialize(CONTINUATION, 0, 1, b"\x82" * 16_000)] * 16,
    )


def test_header_bombs() -> None:
    """A few bytes that stand for many: one large entry of the table, again and again."""
    peer = Peer()
    peer.say(peer.headers(1, [*GET, ("x-bomb", "a" * 3_900)]))
    section = peer.section(GET) + b"\xbe" * 5_000
    peer.expect_broken(CALM, serialize(HEADERS, END_HEADERS | END_STREAM, 3, section))


def test_what_is_known_of_closed_streams_is_bounded() -> None:
    peer = Peer()
    for number in range(1, 6_001, 2):
        peer.say(peer.headers(number))
        peer.engine.send_head(number, [(b":status", b"204")], True)
        peer.collect()
    assert not peer.engine.streams and not peer.engine._h2.streams
    assert len(peer.engine._h2._closed_streams) <= 1_000


def test_the_goodbye_of_a_client_that_is_abused() -> None:
    peer = Peer(is_server=False)
    events: list[Event] = []
    while not peer.engine.is_broken:
        events = peer.say(serialize(PING, 0, 0, b"12345678"))
    assert isinstance(events[-1], ConnectionBroken) and events[-1].code == CALM


def test_goaway_of_the_server_reaches_the_client() -> None:
    pair = Pair()
    pair.client.open(_raw(GET), True)
    pair.exchange()
    pair.server.go_away()
    pair.server.go_away()
    told, _ = pair.exchange()
    assert without_noise(told) == [GoAwayReceived(1, 0)]
    assert pair.server.has_gone_away


# Whatever comes, it means events or the end of the connection, never an exception


_frames = st.builds(
    serialize,
    st.one_of(st.sampled_from(range(11)), st.integers(0, 255)),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D]), st.integers(0, 255)),
    st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 99, 0x7FFFFFFF]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\0\0\0\0", b"\0\0\0\x01", b"\x7f\xff\xff\xff", b"12345678", b"\x88", setting(4, 0)]),
        st.builds(lambda fields: bytes(Encoder().encode(fields)), st.sampled_from([GET, POST, [(":status", "200")]])),
    ),
)


@given(st.lists(_frames, max_size=12), st.booleans(), st.integers(1, 200))
@settings(max_examples=300, deadline=None)
def test_any_frames(said: list[bytes], is_server: bool, size: int) -> None:
    peer = Peer(is_server)
    if not is_server:
        peer.engine.open(_raw(GET), True)
    peer.say(peer.headers(1, POST if is_server else [(":status", "200")], end=False))
    data = b"".join(said)
    for start in range(0, len(data), size):
        for event in peer.engine.receive(data[start : start + size], 0.0):
            number = getattr(event, "stream", 0)
            if isinstance(event, RequestStarted) and number in peer.engine.streams:
                peer.engine.send_head(number, [(b":status", b"200")], False)
            if isinstance(event, BodyReceived):
                peer.engine.acknowledge(number, event.size)
            if number in peer.engine.streams and peer.engine.window(number) > 0 and is_server:
                peer.engine.reset(number, Code.CANCEL)
    peer.collect()


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes) -> None:
    for is_server in (True, False):
        peer = Peer(is_server)
        peer.say(data)
        engine = Http2Engine(is_server, Limits())
        engine.begin()
        engine.receive(data, 0.0)


# Sections that are remembered


def test_a_remembered_section_means_what_it_meant_until_the_table_changes() -> None:
    decoder = SectionDecoder(65_536)
    literal = b"\x82\x0f\x0d\x02\x31\x37"  # :method GET by its index, content-length 17 without one
    assert decoder.decode(literal) == decoder.decode(literal) == [(b":method", b"GET"), (b"content-length", b"17")]
    assert decoder.decode(b"\x40\x01a\x01b") == [(b"a", b"b")]  # goes into the table
    assert decoder.decode(b"\xbe") == decoder.decode(b"\xbe") == [(b"a", b"b")]
    assert decoder.decode(b"\x40\x01c\x01d") == [(b"c", b"d")]
    assert decoder.decode(b"\xbe\xbf") == [(b"c", b"d"), (b"a", b"b")]
    assert decoder.decode(b"\xbe") == [(b"c", b"d")]
    assert decoder.decode(b"\x20\x82") == [(b":method", b"GET")]  # the table has no room any more
    with pytest.raises(BrokenConnection):
        decoder.decode(b"\xbe")
    assert decoder.decode(b"\x82") == [(b":method", b"GET")]
