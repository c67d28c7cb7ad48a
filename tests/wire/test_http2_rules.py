"""The rules of RFC 9113 and RFC 7541, one by one, said to an engine in frames made by hand."""

from __future__ import annotations

import pytest

from skitai.settings import Limits
from skitai.wire.http2 import frames
from skitai.wire.http2.errors import Code
from skitai.wire.http2.events import (
    BodyReceived,
    GoAwayReceived,
    InterimReceived,
    PingAcknowledged,
    RequestRefused,
    RequestStarted,
    ResponseStarted,
    StreamReset,
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
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    serialize,
)
from tests.wire.http2_peer import GET, OK, POST, Peer, is_reset, setting

P, F, S, C, FC, CALM = (
    Code.PROTOCOL_ERROR,
    Code.FRAME_SIZE_ERROR,
    Code.STREAM_CLOSED,
    Code.COMPRESSION_ERROR,
    Code.FLOW_CONTROL_ERROR,
    Code.ENHANCE_YOUR_CALM,
)


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


# Section 3.4: the preface


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"!", b"\0" * 24])
def test_3_4_a_preface_that_is_none(hello: bytes) -> None:
    peer = Peer.__new__(Peer)
    from skitai.wire.http2.engine import Http2Engine

    peer.engine = Http2Engine(True, Limits())
    peer.engine.begin()
    events = peer.engine.receive(hello, 0)
    assert peer.engine.is_broken and events[-1].code == P  # type: ignore[union-attr]


def test_3_4_the_first_frame_must_be_settings() -> None:
    from skitai.wire.http2.engine import Http2Engine

    for first in (serialize(PING, 0, 0, b"12345678"), serialize(SETTINGS, ACK, 0)):
        engine = Http2Engine(True, Limits())
        engine.begin()
        engine.receive(PREFACE + first, 0)
        assert engine.is_broken


def test_3_4_we_say_settings_first() -> None:
    from skitai.wire.http2.engine import Http2Engine

    server, client = Http2Engine(True, Limits()), Http2Engine(False, Limits())
    server.begin()
    client.begin()
    assert server.data_to_send()[3] == SETTINGS
    hello = client.data_to_send()
    assert hello.startswith(PREFACE) and hello[len(PREFACE) + 3] == SETTINGS


# Section 4.1: frame format


@pytest.mark.parametrize("kind", [0xA, 0x16, 0xFF])
def test_4_1_unknown_frames_are_ignored(kind: int) -> None:
    peer = Peer()
    peer.say(serialize(kind, 0xFF, 0, b"abc"), serialize(kind, 0, 1, b""), serialize(PING, 0, 0, b"12345678"))
    assert [frame.kind for frame in peer.answers] == [PING]


def test_4_1_unknown_flags_and_the_reserved_bit_are_ignored() -> None:
    peer = Peer()
    frame = bytearray(serialize(PING, 0x16, 0, b"12345678"))
    frame[5] |= 0x80
    peer.say(bytes(frame))
    assert [(frame.kind, frame.flags) for frame in peer.answers] == [(PING, ACK)]


# Section 4.2: frame size


def test_4_2_the_largest_frame_is_taken() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    (event,) = peer.say(peer.data(1, b"x" * 16_384, end=True))
    assert isinstance(event, BodyReceived) and len(event.content) == 16_384


@pytest.mark.parametrize("kind", [DATA, HEADERS, SETTINGS, 0x42])
def test_4_2_a_larger_one_is_refused_by_its_header(kind: int) -> None:
    peer = Peer()
    peer.expect_broken(F, (16_385).to_bytes(3, "big") + bytes((kind, 0)) + number(0 if kind == SETTINGS else 1))


# Section 4.3: field section compression


@pytest.mark.parametrize(
    "section",
    [
        b"\x80",  # RFC 7541 section 6.1: index 0
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # 5.1: an integer without an end
        b"\xc6",  # 2.3.3: an index behind the end of both tables
        b"\x40\x85\xff\xff\xff\xff\xff\x01a",  # 5.2: the code of EOS inside a string
        b"\x00\x7f\xff\x01",  # 5.2: a length behind the end of the section
        b"\x82\x86\x84\x41\x81\x00",  # 5.2: padding longer than needed or not of ones
        b"\x3f\xe2\x1f",  # 6.3: a table larger than we allow
        b"\x82\x20",  # 4.2: a change of the table size behind a field
    ],
)
def test_4_3_a_section_that_does_not_decode(section: bytes) -> None:
    peer = Peer()
    peer.expect_broken(C, serialize(HEADERS, END_HEADERS | END_STREAM, 1, section))


@pytest.mark.parametrize(
    "inner",
    [
        serialize(PRIORITY, 0, 1, number(0) + b"\x10"),
        serialize(DATA, 0, 1, b"x"),
        serialize(HEADERS, END_HEADERS, 1, b"\x82"),
        serialize(CONTINUATION, END_HEADERS, 3, b"\x82"),
        serialize(0x16, 0, 0, b""),
    ],
)
def test_4_3_and_6_10_nothing_comes_between_the_frames_of_a_section(inner: bytes) -> None:
    peer = Peer()
    peer.expect_broken(P, serialize(HEADERS, END_STREAM, 1, peer.section(GET)[:2]), inner)


def test_4_3_a_section_in_many_frames() -> None:
    peer = Peer()
    section = peer.section([*GET, ("x-long", "a" * 40)])
    parts = [section[i : i + 6] for i in range(0, len(section), 6)]
    parts = [*parts[:10], b"".join(parts[10:])]
    data = serialize(HEADERS, END_STREAM, 1, parts[0])
    for part in parts[1:-1]:
        data += serialize(CONTINUATION, 0, 1, part)
    (event,) = peer.say(data + serialize(CONTINUATION, END_HEADERS, 1, parts[-1]))
    assert isinstance(event, RequestStarted) and event.head.environ["HTTP_X_LONG"] == "a" * 40 and event.has_ended


# Section 5.1: stream states


@pytest.mark.parametrize(
    "frame",
    [
        serialize(DATA, END_STREAM, 1, b"x"),
        serialize(RST_STREAM, 0, 1, number(8)),
        serialize(WINDOW_UPDATE, 0, 1, number(1)),
        serialize(CONTINUATION, END_HEADERS, 1, b"\x82"),
    ],
)
def test_5_1_idle_streams_take_headers_and_priority_only(frame: bytes) -> None:
    Peer().expect_broken(P, frame)
    peer = Peer()
    peer.say(peer.headers(1))  # what h2 makes of it depends on whether the connection was used
    peer.expect_broken(P, frame[:8] + bytes((frame[8] + 2,)) + frame[9:])


def test_5_1_priority_on_an_idle_stream_is_fine() -> None:
    peer = Peer()
    peer.say(serialize(PRIORITY, 0, 1, number(0) + b"\x10"), peer.headers(1))
    assert peer.engine.streams and peer.goodbye() is None


def test_5_1_half_closed_remote_takes_no_more_data() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    events = peer.say(peer.data(1, b"x"))
    assert peer.resets() == [(1, S)] and is_reset(events, 1)


def test_5_1_half_closed_remote_takes_no_more_headers() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    peer.say(peer.headers(1))
    assert peer.resets() == [(1, S)] or (peer.goodbye() or (0, P))[1] == S


def test_5_1_half_closed_remote_takes_window_updates() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    assert peer.say(serialize(WINDOW_UPDATE, 0, 1, number(5))) == [WindowOpened(1)]


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_5_1_closed_by_reset(kind: int) -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False), serialize(RST_STREAM, 0, 1, number(8)))
    peer.say(peer.data(1, b"x") if kind == DATA else peer.headers(1))
    assert (1, S) in peer.resets() or (peer.goodbye() or (0, P))[1] == S


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_5_1_closed_by_its_end(kind: int) -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    peer.engine.send_head(1, [(b":status", b"204")], True)
    peer.say(peer.data(1, b"x") if kind == DATA else peer.headers(1))
    assert (1, S) in peer.resets() or (peer.goodbye() or (0, P))[1] == S


def test_5_1_late_window_updates_and_resets_are_ignored() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    peer.engine.send_head(1, [(b":status", b"204")], True)
    peer.say(serialize(WINDOW_UPDATE, 0, 1, number(5)), serialize(RST_STREAM, 0, 1, number(8)))
    assert peer.goodbye() is None and not peer.resets()


# Section 5.1.1: stream identifiers


def test_5_1_1_clients_use_odd_numbers() -> None:
    peer = Peer()
    peer.expect_broken(P, peer.headers(2))


def test_5_1_1_numbers_only_grow() -> None:
    peer = Peer()
    peer.say(peer.headers(5))
    peer.expect_broken(P, peer.headers(3))


# Section 5.1.2: concurrency


def test_5_1_2_a_stream_too_many_is_refused_and_the_others_live() -> None:
    peer = Peer(most_streams=2)
    peer.say(peer.headers(1), peer.headers(3))
    assert peer.say(peer.headers(5)) == []
    assert peer.resets() == [(5, Code.REFUSED_STREAM)]
    peer.engine.send_head(1, [(b":status", b"204")], True)
    (event,) = peer.say(peer.headers(7))
    assert isinstance(event, RequestStarted) and event.stream == 7 and peer.goodbye() is None


# Section 5.3: priority


def test_5_3_1_nothing_depends_on_itself() -> None:
    Peer().expect_broken(P, serialize(PRIORITY, 0, 1, number(1) + b"\x10"))


def test_5_3_priority_is_ignored() -> None:
    peer = Peer()
    section = number(3) + b"\xff" + peer.section(GET)
    (event,) = peer.say(serialize(HEADERS, END_HEADERS | END_STREAM | 0x20, 1, section))
    assert isinstance(event, RequestStarted)


# Section 5.4.1: connection errors


def test_5_4_1_the_goodbye_names_the_last_stream() -> None:
    peer = Peer()
    peer.say(peer.headers(7))
    peer.expect_broken(P, serialize(DATA, 0, 0, b"x"))
    assert peer.goodbye() == (7, P)
    assert peer.say(peer.headers(9)) == []  # nothing more is read


# Section 6: frames on the wrong stream, and of the wrong length


@pytest.mark.parametrize("kind", [DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION])
def test_6_frames_of_a_stream_on_no_stream(kind: int) -> None:
    Peer().expect_broken(P, serialize(kind, END_HEADERS, 0, b"12345"[: 4 if kind == RST_STREAM else 5]))


@pytest.mark.parametrize(("kind", "payload"), [(SETTINGS, b""), (PING, b"12345678"), (frames.GOAWAY, b"\0" * 8)])
def test_6_frames_of_the_connection_on_a_stream(kind: int, payload: bytes) -> None:
    Peer().expect_broken(P, serialize(kind, 0, 1, payload))


@pytest.mark.parametrize(
    ("kind", "flags", "stream", "payload"),
    [
        (PRIORITY, 0, 1, b"1234"),
        (RST_STREAM, 0, 1, b"123"),
        (SETTINGS, 0, 0, b"12345"),
        (SETTINGS, ACK, 0, b"123456"),
        (PING, 0, 0, b"1234567"),
        (frames.GOAWAY, 0, 0, b"1234567"),
        (WINDOW_UPDATE, 0, 0, b"123"),
    ],
)
def test_6_frames_of_the_wrong_length(kind: int, flags: int, stream: int, payload: bytes) -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    peer.expect_broken(F, serialize(kind, flags, stream, payload))


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_6_1_and_6_2_padding_longer_than_the_frame(kind: int) -> None:
    peer = Peer()
    if kind == DATA:
        peer.say(peer.headers(1, POST, end=False))
    peer.expect_broken(P, serialize(kind, PADDED | END_HEADERS, 1, b"\xff" + b"x" * 20))


def test_6_1_padding_is_no_content_and_counts_for_the_window() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    (event,) = peer.say(serialize(DATA, PADDED, 1, b"\x03abc\0\0\0"))
    assert event == BodyReceived(1, b"abc", 7, False)


def test_6_4_reset_by_the_client() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    assert peer.say(serialize(RST_STREAM, 0, 1, number(8))) == [StreamReset(1, 8, False)]
    assert not peer.engine.streams


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [(2, 2, P), (4, 1 << 31, FC), (5, 16_383, P), (5, 1 << 24, P), (8, 2, P)],
)
def test_6_5_2_settings_that_are_not_valid(identifier: int, value: int, code: Code) -> None:
    Peer().expect_broken(code, serialize(SETTINGS, 0, 0, setting(identifier, value)))


def test_6_5_2_unknown_settings_are_ignored_and_acknowledged() -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(0xFF, 7)))
    assert [(frame.kind, frame.flags) for frame in peer.answers] == [(SETTINGS, ACK)]


def test_6_5_3_settings_are_applied_in_order() -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(4, 100) + setting(4, 1)), peer.headers(1))
    assert peer.engine.window(1) == 1


@pytest.mark.parametrize(
    ("first", "code"), [(setting(4, 1 << 31), FC), (setting(5, 1), P), (setting(2, 2), P), (setting(8, 2), P)]
)
def test_6_5_3_a_value_that_is_not_valid_counts_though_another_follows(first: bytes, code: Code) -> None:
    Peer().expect_broken(code, serialize(SETTINGS, 0, 0, first + first[:2] + number(0 if first[1] != 5 else 16_384)))


def test_6_5_2_unknown_settings_take_no_memory() -> None:
    peer = Peer()
    for start in range(9, 9 + 2700 * 10, 2700):
        peer.say(serialize(SETTINGS, 0, 0, b"".join([setting(each, 1) for each in range(start, start + 2700)])))
    assert len(peer.answers) == 10 and len(peer.engine._h2.remote_settings) < 10


def test_4_3_1_of_all_table_sizes_the_smallest_and_the_last_are_said() -> None:
    """RFC 7541 section 4.2."""
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(1, 500) + setting(1, 100) + setting(1, 900)), peer.headers(1))
    peer.say(serialize(SETTINGS, 0, 0, setting(1, 900)))  # again, and nothing was said yet
    peer.engine.send_head(1, [(b":status", b"200")], True)
    (frame,) = [each for each in peer.collect() if each.kind == HEADERS]
    assert frame.payload == b"\x3f\x45" + b"\x3f\xe5\x06" + b"\x88"


@pytest.mark.parametrize("flags", [0, END_HEADERS])
def test_6_6_and_8_4_clients_must_not_push(flags: int) -> None:
    peer = Peer()
    peer.expect_broken(P, serialize(PUSH_PROMISE, flags, 1, number(2) + peer.section(GET)))


def test_6_6_we_as_a_client_take_no_pushes() -> None:
    peer = Peer(is_server=False)
    peer.engine.open([(b":method", b"GET")], True)
    peer.expect_broken(P, serialize(PUSH_PROMISE, END_HEADERS, 1, number(2) + peer.section(GET)))


def test_6_7_pings_are_answered_with_what_they_carry() -> None:
    peer = Peer()
    peer.say(serialize(PING, 0, 0, b"abcdefgh"))
    assert [(frame.kind, frame.flags, frame.payload) for frame in peer.answers] == [(PING, ACK, b"abcdefgh")]


def test_6_7_an_answer_to_a_ping_is_not_answered() -> None:
    peer = Peer()
    assert peer.say(serialize(PING, ACK, 0, b"abcdefgh")) == [PingAcknowledged(b"abcdefgh")]
    assert not peer.answers


def test_6_8_streams_go_on_after_the_peer_said_goodbye() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    events = peer.say(frames.goaway(0, 0), peer.data(1, b"x", end=True))
    assert events == [GoAwayReceived(0, 0), BodyReceived(1, b"x", 1, True)]
    peer.engine.send_head(1, [(b":status", b"200")], False)
    peer.engine.send_data(1, b"ok", True)
    peer.collect()
    assert peer.answer(1) == ([(":status", "200")], b"ok")


def test_6_8_streams_go_on_after_we_did_and_new_ones_are_refused() -> None:
    peer = Peer()
    peer.say(peer.headers(1))
    peer.engine.go_away()
    assert peer.say(peer.headers(3)) == []
    assert peer.goodbye() == (1, Code.NO_ERROR) and peer.resets() == [(3, Code.REFUSED_STREAM)]
    peer.engine.send_head(1, [(b":status", b"204")], True)
    peer.collect()
    assert peer.answer(1)[0] == [(":status", "204")]


def test_6_9_an_increment_of_0_ends_the_stream_or_the_connection() -> None:
    peer = Peer()
    peer.expect_reset(1, P, peer.headers(1), serialize(WINDOW_UPDATE, 0, 1, number(0)))
    peer = Peer()
    peer.expect_broken(P, serialize(WINDOW_UPDATE, 0, 0, number(0)))


def test_6_9_1_a_window_that_gets_too_large() -> None:
    peer = Peer()
    peer.expect_reset(1, FC, peer.headers(1), serialize(WINDOW_UPDATE, 0, 1, number(0x7FFFFFFF)))
    peer = Peer()
    peer.expect_broken(FC, serialize(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)))


def test_6_9_1_we_send_no_more_than_the_window() -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(4, 3)), peer.headers(1))
    peer.engine.send_head(1, [(b":status", b"200")], False)
    assert peer.engine.window(1) == 3
    peer.engine.send_data(1, b"abc", False)
    assert peer.engine.window(1) == 0
    assert peer.say(serialize(WINDOW_UPDATE, 0, 1, number(2))) == [WindowOpened(1)]
    assert peer.engine.window(1) == 2


def test_6_9_2_a_window_may_become_negative() -> None:
    peer = Peer()
    peer.say(serialize(SETTINGS, 0, 0, setting(4, 3)), peer.headers(1))
    peer.engine.send_head(1, [(b":status", b"200")], False)
    peer.engine.send_data(1, b"abc", False)
    peer.say(serialize(SETTINGS, 0, 0, setting(4, 2)))
    assert peer.engine.window(1) == -1
    peer.say(serialize(WINDOW_UPDATE, 0, 1, number(2)))
    assert peer.engine.window(1) == 1


def test_6_9_2_a_setting_that_makes_a_window_too_large() -> None:
    peer = Peer()
    peer.say(peer.headers(1), serialize(WINDOW_UPDATE, 0, 1, number(0x7FFFFFFF - 65_535)))
    peer.expect_broken(FC, serialize(SETTINGS, 0, 0, setting(4, 65_536)))


def test_6_9_more_data_than_our_window() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    events = peer.say(*[peer.data(1, b"x" * 16_384) for _ in range(16)])
    assert sum(len(event.content) for event in events if isinstance(event, BodyReceived)) == 256 * 1024
    peer.expect_broken(FC, peer.data(1, b"x"))


def test_6_9_what_is_consumed_may_be_sent_again() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    for _ in range(20):
        (event,) = peer.say(peer.data(1, b"x" * 16_384))
        assert isinstance(event, BodyReceived)
        peer.engine.acknowledge(1, event.size)
        peer.collect()
    assert any(frame.kind == WINDOW_UPDATE and frame.stream == 1 for frame in peer.answers)


def test_6_10_continuation_without_a_section() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    peer.expect_broken(P, serialize(CONTINUATION, END_HEADERS, 1, b"\x82"))


# Section 8.1: messages


def test_8_1_trailers_end_a_body() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False), peer.data(1, b"x"))
    (event,) = peer.say(peer.headers(1, [("x-sum", "1")]))
    assert event == TrailersReceived(1, [("x-sum", "1")])


def test_8_1_headers_in_the_middle_without_an_end() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    peer.expect_reset(1, P, peer.headers(1, [("x-sum", "1")], end=False))


@pytest.mark.parametrize("how", ["priority", "padding", "continuation"])
@pytest.mark.parametrize("lengths", [["x"], ["1", "2"], ["0", "-1"]])
def test_8_1_1_malformed_requests_end_their_stream_only_however_they_are_framed(how: str, lengths: list[str]) -> None:
    peer = Peer()
    section = peer.section([*POST, *[("content-length", each) for each in lengths]])
    said = {
        "priority": serialize(HEADERS, END_HEADERS | 0x20, 1, number(0) + b"\x10" + section),
        "padding": serialize(HEADERS, END_HEADERS | PADDED, 1, b"\x01" + section + b"\0"),
        "continuation": serialize(HEADERS, 0, 1, section[:9]) + serialize(CONTINUATION, END_HEADERS, 1, section[9:]),
    }
    peer.expect_reset(1, P, said[how])
    assert not peer.engine.streams and not peer.engine._h2.streams
    (event,) = peer.say(peer.headers(3))
    assert isinstance(event, RequestStarted)


@pytest.mark.parametrize(
    "fields",
    [
        [*GET, ("X-Upper", "1")],  # 8.2.1
        [*GET, ("bad name", "1")],
        [*GET, ("", "1")],
        [*GET, ("x", "a\nb")],
        [*GET, ("x", "a\0b")],
        [*GET, ("x", " a")],
        [*GET, ("x", "a ")],
        [*GET, ("connection", "keep-alive")],  # 8.2.2
        [*GET, ("keep-alive", "5")],
        [*GET, ("proxy-connection", "x")],
        [*GET, ("transfer-encoding", "chunked")],
        [*GET, ("upgrade", "h2c")],
        [*GET, ("te", "trailers, deflate")],
        [*GET, (":unknown", "1")],  # 8.3
        [*GET, (":status", "200")],
        [*GET, ("x", "1"), (":authority", "test")],
        [("x", "1"), *GET],
        GET[1:],  # 8.3.1
        [GET[0], *GET[2:]],
        [*GET[:2], GET[3]],
        [*GET, GET[0]],
        [*GET, GET[1]],
        [*GET, GET[2]],
        [*GET[:2], (":path", ""), GET[3]],
        [*GET[:2], (":path", "*"), GET[3]],
        [*GET[:2], (":path", "nowhere"), GET[3]],
        [*GET, ("host", "other")],
        [*GET, (":protocol", "websocket")],
        [(":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":authority", "test:80")],  # 8.5
        [(":method", "CONNECT")],
        [*POST, ("content-length", "1")],  # 8.1.1
    ],
)
def test_8_malformed_requests_end_their_stream_only(fields: list[tuple[str, str]]) -> None:
    peer = Peer()
    peer.expect_reset(1, P, peer.headers(1, fields))
    (event,) = peer.say(peer.headers(3))
    assert isinstance(event, RequestStarted)


@pytest.mark.parametrize(
    "fields", [[(":path", "/")], [("X-Upper", "1")], [("connection", "close")], [("x", "1"), (":status", "200")]]
)
def test_8_malformed_trailers(fields: list[tuple[str, str]]) -> None:
    peer = Peer()
    peer.expect_reset(1, P, peer.headers(1, POST, end=False), peer.headers(1, fields))


@pytest.mark.parametrize("parts", [[b"abcd"], [b"ab"], [b"abc", b"d"], [b""]])
def test_8_1_1_a_body_that_is_not_as_long_as_said(parts: list[bytes]) -> None:
    peer = Peer()
    data = [peer.data(1, part, end=part is parts[-1]) for part in parts]
    peer.expect_reset(1, P, peer.headers(1, [*POST, ("content-length", "3")], end=False), *data)


def test_8_1_1_trailers_before_the_end_of_the_length() -> None:
    peer = Peer()
    head = peer.headers(1, [*POST, ("content-length", "3")], end=False)
    peer.expect_reset(1, P, head, peer.data(1, b"ab"), peer.headers(1, [("x", "1")]))


def test_8_2_3_crumbs_of_a_cookie_are_joined() -> None:
    peer = Peer()
    (event,) = peer.say(peer.headers(1, [*GET, ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]))
    assert isinstance(event, RequestStarted) and event.head.environ["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_8_3_1_authority_is_the_host() -> None:
    peer = Peer()
    (event,) = peer.say(peer.headers(1, [*GET, ("host", "TEST"), ("te", "trailers")]))
    assert isinstance(event, RequestStarted)
    head = event.head
    assert (head.host, head.method, head.target, head.version) == ("test", "GET", "/", 20)
    assert head.environ["HTTP_HOST"] == "test" and head.fields[0] == ("host", "test")


def test_8_3_1_host_alone_will_do_and_none_will_not() -> None:
    peer = Peer()
    (event,) = peer.say(peer.headers(1, [*GET[:3], ("host", "test")]))
    assert isinstance(event, RequestStarted) and event.head.host == "test"
    (event,) = peer.say(peer.headers(3, GET[:3]))
    assert isinstance(event, RequestRefused) and event.status == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*GET[:3], (":authority", "user@test")], 400),
        ([*GET[:2], (":path", "/\xe9"), GET[3]], 400),
        ([*GET[:2], (":path", "/" + "a" * 9000), GET[3]], 414),
        ([*GET, *[(f"x-{i}", "1") for i in range(120)]], 431),
        ([*GET, *[(f"x-{i}", "a" * 1000) for i in range(70)]], 431),
        ([*GET, ("expect", "a miracle")], 417),
    ],
)
def test_8_requests_that_want_an_answer(fields: list[tuple[str, str]], status: int) -> None:
    peer = Peer()
    section = peer.section([(name, value.encode("latin-1")) for name, value in fields])  # type: ignore[misc]
    parts = [section[i : i + 16_000] for i in range(0, len(section), 16_000)]
    data = serialize(HEADERS, END_STREAM | (END_HEADERS if len(parts) == 1 else 0), 1, parts[0])
    for part in parts[1:]:
        data += serialize(CONTINUATION, END_HEADERS if part is parts[-1] else 0, 1, part)
    (event,) = peer.say(data)
    assert isinstance(event, RequestRefused) and event.status == status
    assert not peer.engine.is_broken


def test_8_5_connect_has_an_authority_only() -> None:
    peer = Peer()
    (event,) = peer.say(peer.headers(1, [(":method", "CONNECT"), (":authority", "test:80")], end=False))
    assert isinstance(event, RequestStarted) and event.head.target == "test:80"


def test_extended_connect_where_it_was_offered() -> None:
    """RFC 8441 sections 3 and 4."""
    peer = Peer(has_connect_protocol=True)
    fields = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
        (":authority", "test"),
    ]  # fmt: skip
    (event,) = peer.say(peer.headers(1, fields, end=False))
    assert isinstance(event, RequestStarted)
    assert (event.head.protocol, event.head.target, event.has_ended) == ("websocket", "/chat", False)


# As a client


def ask(peer: Peer, method: str = "GET") -> int:
    return peer.engine.open([(b":method", method.encode())], True, method == "HEAD")


def test_client_reads_interim_and_final_responses() -> None:
    peer = Peer(is_server=False)
    ask(peer)
    events = peer.say(
        peer.headers(1, [(":status", "103"), ("link", "</x>")], end=False),
        peer.headers(1, [*OK, ("content-length", "2")], end=False),
        peer.data(1, b"ok"),
        peer.headers(1, [("x-sum", "1")]),
    )
    interim, final, body, trailers = events
    assert isinstance(interim, InterimReceived) and interim.head.status == 103
    assert isinstance(final, ResponseStarted) and (final.head.status, final.head.version) == (200, 20)
    assert body == BodyReceived(1, b"ok", 2, False) and trailers == TrailersReceived(1, [("x-sum", "1")])
    assert not peer.engine.streams


@pytest.mark.parametrize(
    "fields",
    [
        [("x", "1")],
        [(":status", "99")],
        [(":status", "abc")],
        [(":status", "101")],
        [*OK, *OK],
        [*OK, ("X", "1")],
        [*OK, ("connection", "close")],
        [*OK, (":path", "/")],
        [*OK, ("content-length", "5")],
    ],
)
def test_client_8_3_2_malformed_responses(fields: list[tuple[str, str]]) -> None:
    peer = Peer(is_server=False)
    ask(peer)
    events = peer.say(peer.headers(1, fields))
    assert is_reset(events, 1) or peer.engine.is_broken


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ([(":status", "103")], True),
        ([(":status", "101")], True),
        ([*OK, ("content-length", "0"), ("content-length", "1")], True),
        ([*OK, ("content-length", "x")], False),
        ([*OK, ("x", "a\nb")], True),
    ],
)
def test_client_8_1_1_the_server_is_told_and_the_connection_goes_on(fields: list[tuple[str, str]], end: bool) -> None:
    peer = Peer(is_server=False)
    ask(peer)
    peer.expect_reset(1, P, peer.headers(1, fields, end=end))
    assert peer.resets() == [(1, P)] and not peer.engine._h2.streams
    ask(peer)
    (event,) = peer.say(peer.headers(3, OK))
    assert isinstance(event, ResponseStarted)


def test_client_a_response_in_two_frames_that_ends_its_stream() -> None:
    peer = Peer(is_server=False)
    ask(peer)
    (event,) = peer.say(serialize(HEADERS, END_STREAM, 1, b"\x88"), serialize(CONTINUATION, END_HEADERS, 1))
    assert isinstance(event, ResponseStarted) and event.has_ended
    assert not peer.engine.streams and not peer.engine._h2.streams


def test_client_8_1_1_a_body_longer_than_said() -> None:
    peer = Peer(is_server=False)
    ask(peer)
    peer.expect_reset(1, P, peer.headers(1, [*OK, ("content-length", "1")], end=False), peer.data(1, b"ab"))


def test_client_the_length_of_a_response_to_head_is_not_of_its_body() -> None:
    peer = Peer(is_server=False)
    ask(peer, "HEAD")
    (event,) = peer.say(peer.headers(1, [*OK, ("content-length", "10")]))
    assert isinstance(event, ResponseStarted) and event.has_ended and not peer.engine.is_broken


def test_client_data_before_the_head() -> None:
    peer = Peer(is_server=False)
    ask(peer)
    events = peer.say(peer.data(1, b"x"))
    assert peer.engine.is_broken or is_reset(events, 1)


def test_client_streams_that_servers_open_without_a_promise() -> None:
    peer = Peer(is_server=False)
    peer.say(peer.headers(2, OK))
    assert peer.goodbye() is not None


def test_client_goes_on_after_goaway() -> None:
    peer = Peer(is_server=False)
    ask(peer)
    ask(peer)
    events = peer.say(frames.goaway(1, 0), peer.headers(1, OK))
    assert events[0] == GoAwayReceived(1, 0) and isinstance(events[1], ResponseStarted)


def opened(peer: Peer) -> Peer:
    """A stream that waits for its answer."""
    ask(peer)
    peer.collect()
    return peer


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (serialize(PING, 0, 1, b"12345678"), P),
        (serialize(PING, 0, 0, b"1234567"), F),
        (serialize(SETTINGS, 0, 1, b""), P),
        (serialize(SETTINGS, 0, 0, b"123"), F),
        (serialize(SETTINGS, ACK, 0, b"123456"), F),
        (serialize(SETTINGS, 0, 0, setting(2, 1)), P),  # 6.5.2: servers do not ask for pushes
        (serialize(SETTINGS, 0, 0, setting(4, 1 << 31)), FC),
        (serialize(SETTINGS, 0, 0, setting(5, 1)), P),
        (serialize(DATA, 0, 0, b"x"), P),
        (serialize(DATA, 0, 3, b"x"), P),
        (serialize(HEADERS, END_HEADERS, 0, b"\x88"), P),
        (serialize(HEADERS, END_HEADERS, 3, b"\x88"), P),
        (serialize(HEADERS, END_HEADERS, 1, b"\x80"), C),
        (serialize(HEADERS, 0, 1, b"\x88") + serialize(PING, 0, 0, b"12345678"), P),
        (serialize(RST_STREAM, 0, 0, number(8)), P),
        (serialize(RST_STREAM, 0, 3, number(8)), P),
        (serialize(RST_STREAM, 0, 1, b"123"), F),
        (serialize(PRIORITY, 0, 0, number(1) + b"\x10"), P),
        (serialize(WINDOW_UPDATE, 0, 0, number(0)), P),
        (serialize(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)), FC),
        (serialize(WINDOW_UPDATE, 0, 3, number(1)), P),
        (serialize(WINDOW_UPDATE, 0, 1, b"123"), F),
        (serialize(CONTINUATION, END_HEADERS, 1, b"\x88"), P),
        (serialize(frames.GOAWAY, 0, 1, b"\0" * 8), P),
        (serialize(PUSH_PROMISE, END_HEADERS, 1, number(2) + b"\x82"), P),
        ((16_385).to_bytes(3, "big") + bytes((DATA, 0)) + number(1), F),
    ],
)
def test_client_frames_that_end_the_connection(data: bytes, code: Code) -> None:
    opened(Peer(is_server=False)).expect_broken(code, data)


def test_client_streams_end_alone() -> None:
    for data, code in (
        (serialize(WINDOW_UPDATE, 0, 1, number(0)), P),
        (serialize(WINDOW_UPDATE, 0, 1, number(0x7FFFFFFF)), FC),
    ):
        opened(Peer(is_server=False)).expect_reset(1, code, data)


def test_client_the_server_must_say_settings_first() -> None:
    from skitai.wire.http2.engine import Http2Engine

    for first in (serialize(PING, 0, 0, b"12345678"), serialize(SETTINGS, ACK, 0), b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        engine = Http2Engine(False, Limits())
        engine.begin()
        engine.receive(first, 0)
        assert engine.is_broken


def test_client_what_comes_late_is_ignored() -> None:
    peer = opened(Peer(is_server=False))
    peer.say(peer.headers(1, OK))
    peer.say(serialize(WINDOW_UPDATE, 0, 1, number(5)), serialize(RST_STREAM, 0, 1, number(0)))
    assert peer.goodbye() is None
    ask(peer)
    peer.engine.reset(3, Code.CANCEL)
    peer.say(peer.headers(3, OK, end=False), peer.data(3, b"x" * 100, end=True))
    assert peer.goodbye() is None


def test_client_unknown_error_codes_are_fine() -> None:
    peer = opened(Peer(is_server=False))
    assert peer.say(serialize(RST_STREAM, 0, 1, number(0xFF))) == [StreamReset(1, 0xFF, False)]
    assert peer.say(frames.goaway(1, 0xFF)) == [GoAwayReceived(1, 0xFF)]


def test_5_1_data_under_way_when_we_reset_a_stream_is_ignored_and_its_window_comes_back() -> None:
    peer = Peer()
    peer.say(peer.headers(1, POST, end=False))
    peer.engine.reset(1, Code.CANCEL)
    assert peer.say(*[peer.data(1, b"x" * 16_384, end=False) for _ in range(64)]) == []
    kinds = [frame.kind for frame in peer.answers]
    assert kinds.count(RST_STREAM) <= 1  # ours
    assert WINDOW_UPDATE in kinds
