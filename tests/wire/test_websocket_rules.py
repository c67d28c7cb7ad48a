"""The rules of RFC 6455 on frames and messages, case by case, as bytes by hand; both roles, cut at every byte."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.errors import LocalProtocolError
from skitai.wire.websocket import WebSocket
from skitai.wire.ws_frames import close_payload, frame
from skitai.wire.ws_messages import Close, Event, Failure, Ping, Pong
from skitai.wire.ws_reader import MessageReader

MOST = 1 << 20
KEY = b"\x37\xfa\x21\x3d"


def mask(payload: bytes, key: bytes = KEY) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def raw(first: int, payload: bytes = b"", is_masked: bool = True, length: bytes | None = None) -> bytes:
    """Make a frame by hand: ``first`` is its whole first byte, ``length`` what stands for the length."""
    if length is None:
        size = len(payload)
        if size < 126:
            length = bytes([size])
        else:
            length = b"\x7e" + struct.pack("!H", size) if size < 65536 else b"\x7f" + struct.pack("!Q", size)
    if not is_masked:
        return bytes([first]) + length + payload
    return bytes([first, length[0] | 0x80]) + length[1:] + KEY + mask(payload)


def read(pieces: Iterable[bytes], is_server: bool = True, most: int = MOST) -> list[Event]:
    reader = MessageReader(is_server, most)
    return [event for piece in pieces for event in reader.receive(piece)]


def check(data: bytes, expected: list[object], is_server: bool = True, most: int = MOST) -> None:
    """Whole, in single bytes, and cut in two at every byte it must give the same; failures are told by their code."""

    def plain(events: list[Event]) -> list[object]:
        return [event.code if isinstance(event, Failure) else event for event in events]

    assert plain(read([data], is_server, most)) == expected
    if len(data) < 5000:
        assert plain(read((data[at : at + 1] for at in range(len(data))), is_server, most)) == expected
    if len(data) < 400:
        for cut in range(1, len(data)):
            assert plain(read([data[:cut], data[cut:]], is_server, most)) == expected, cut


@pytest.fixture(params=[True, False], ids=["server", "client"])
def is_server(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# Section 5.7: the examples


@pytest.mark.row("WS-38")
def test_examples_of_the_standard() -> None:
    check(bytes.fromhex("810548656c6c6f"), ["Hello"], is_server=False)
    check(bytes.fromhex("818537fa213d7f9f4d5158"), ["Hello"], is_server=True)
    check(bytes.fromhex("010348656c80026c6f"), ["Hello"], is_server=False)
    check(bytes.fromhex("890548656c6c6f"), [Ping(b"Hello")], is_server=False)
    check(bytes.fromhex("8a8537fa213d7f9f4d5158"), [Pong(b"Hello")], is_server=True)
    content = bytes(range(256))
    check(bytes.fromhex("827e0100") + content, [content], is_server=False)
    content = bytes(65536)
    check(bytes.fromhex("827f0000000000010000") + content, [content], is_server=False)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 300, 65535, 65536, 65537])
def test_every_kind_of_length(size: int, is_server: bool) -> None:
    content = (bytes(range(256)) * 257)[:size]
    check(raw(0x82, content, is_server), [content], is_server)
    text = ("x" * size) if size < 3 else "ä" + "x" * (size - 2)
    check(raw(0x81, text.encode(), is_server), [text], is_server)


# Section 5.1: masking


def test_server_refuses_what_is_not_masked() -> None:
    check(raw(0x81, b"hi", is_masked=False), [1002], is_server=True)
    check(raw(0x89, b"", is_masked=False), [1002], is_server=True)
    check(raw(0x88, b"", is_masked=False), [1002], is_server=True)


def test_client_refuses_what_is_masked() -> None:
    check(raw(0x81, b"hi"), [1002], is_server=False)


def test_client_masks_by_a_new_key_each_time() -> None:
    client = WebSocket(False, MOST)
    frames = [client.message("the same") for _ in range(20)]
    assert len(set(frames)) == 20
    assert all(each[1] & 0x80 for each in frames)
    assert read(frames) == ["the same"] * 20
    assert WebSocket(True, MOST).message("the same")[1] & 0x80 == 0


# Section 5.2: reserved bits, reserved opcodes, lengths


@pytest.mark.parametrize("bits", [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70])
@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, 0x8, 0x9, 0xA])
def test_reserved_bits(bits: int, opcode: int, is_server: bool) -> None:
    check(raw(0x80 | bits | opcode, b"x", is_server), [1002], is_server)
    check(raw(0x81, b"before", is_server) + raw(0x80 | bits | opcode, b"", is_server), ["before", 1002], is_server)


@pytest.mark.parametrize("opcode", [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF])
@pytest.mark.parametrize("fin", [0x80, 0x00])
def test_reserved_opcodes(opcode: int, fin: int, is_server: bool) -> None:
    check(raw(fin | opcode, b"x", is_server), [1002], is_server)
    check(raw(fin | opcode, b"", is_server) + raw(0x81, b"after", is_server), [1002], is_server)


@pytest.mark.parametrize(
    "length",
    [
        b"\x7e\x00\x00", b"\x7e\x00\x7d", b"\x7f" + struct.pack("!Q", 125), b"\x7f" + struct.pack("!Q", 65535),
        b"\x7f" + struct.pack("!Q", 1 << 63), b"\x7f" + b"\xff" * 8,
    ],
)  # fmt: skip
def test_lengths_that_are_not_minimal_or_negative(length: bytes, is_server: bool) -> None:
    check(raw(0x82, b"", is_server, length), [1002], is_server)


def test_wrong_head_is_refused_before_its_payload() -> None:
    head = raw(0x83, b"", length=b"\x7e\xff\xff")
    assert [type(event) for event in read([head[:2]])] == [Failure]


def test_nothing_is_read_after_a_failure(is_server: bool) -> None:
    reader = MessageReader(is_server, MOST)
    assert [type(event) for event in reader.receive(raw(0x83, b"", is_server))] == [Failure]
    assert reader.receive(raw(0x81, b"more", is_server)) == []


# Section 5.4: fragments


def test_fragments(is_server: bool) -> None:
    pieces = [b"one ", b"", b"two ", b"three"]
    data = raw(0x01, pieces[0], is_server)
    for piece in pieces[1:-1]:
        data += raw(0x00, piece, is_server)
    check(data + raw(0x80, pieces[-1], is_server), ["one two three"], is_server)
    check(b"\x02" + data[1:] + raw(0x80, b"", is_server), [b"one two "], is_server)


def test_empty_fragments(is_server: bool) -> None:
    data = raw(0x01, b"", is_server) + raw(0x00, b"", is_server) * 3 + raw(0x80, b"", is_server)
    check(data, [""], is_server)
    check(raw(0x02, b"", is_server) + raw(0x80, b"x", is_server), [b"x"], is_server)


def test_control_frames_between_fragments(is_server: bool) -> None:
    data = raw(0x01, b"on", is_server) + raw(0x89, b"ping", is_server) + raw(0x00, b"", is_server)
    data += raw(0x8A, b"pong", is_server) + raw(0x80, b"e", is_server) + raw(0x81, b"two", is_server)
    check(data, [Ping(b"ping"), Pong(b"pong"), "one", "two"], is_server)


def test_close_between_fragments_ends_all(is_server: bool) -> None:
    check(
        raw(0x01, b"on", is_server) + raw(0x88, b"\x03\xe8", is_server) + raw(0x80, b"e", is_server),
        [Close(1000)],
        is_server,
    )


@pytest.mark.parametrize("first", [0x00, 0x80])
def test_continuation_of_nothing(first: int, is_server: bool) -> None:
    check(raw(first, b"x", is_server), [1002], is_server)
    whole = raw(0x01, b"a", is_server) + raw(0x80, b"b", is_server)
    check(whole + raw(first, b"x", is_server), ["ab", 1002], is_server)


@pytest.mark.parametrize("first", [0x01, 0x81, 0x02, 0x82])
def test_message_inside_of_a_message(first: int, is_server: bool) -> None:
    check(raw(0x01, b"a", is_server) + raw(first, b"b", is_server), [1002], is_server)


def test_many_fragments_of_one_byte(is_server: bool) -> None:
    count = 65536
    data = raw(0x01, b"*", is_server) + raw(0x00, b"*", is_server) * (count - 2) + raw(0x80, b"*", is_server)
    assert read([data], is_server) == ["*" * count]
    assert read([data[at : at + 1000] for at in range(0, len(data), 1000)], is_server) == ["*" * count]


# Section 5.5: control frames


@pytest.mark.parametrize("opcode", [0x8, 0x9, 0xA])
def test_control_frames_are_neither_fragmented_nor_long(opcode: int, is_server: bool) -> None:
    check(raw(opcode, b"", is_server), [1002], is_server)
    check(raw(0x80 | opcode, b"\x03\xe8" + b"x" * 124, is_server), [1002], is_server)
    check(raw(0x80 | opcode, b"", is_server, b"\x7f" + struct.pack("!Q", 1 << 40)), [1002], is_server)


@pytest.mark.row("WS-38")
def test_ping_is_answered_by_the_same_payload(is_server: bool) -> None:
    socket, peer = WebSocket(is_server, MOST), WebSocket(not is_server, MOST)
    for payload in (b"", b"\x00\xff\xfe", b"x" * 125):
        (event,) = socket.receive(peer.ping(payload))
        assert event == Ping(payload)
        assert peer.receive(socket.reply(event)) == [Pong(payload)]
    assert socket.reply(Pong(b"unasked")) == b""
    with pytest.raises(LocalProtocolError):
        socket.ping(b"x" * 126)


# Sections 5.5.1 and 7.4: closing


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_codes_that_may_be_sent(code: int, is_server: bool) -> None:
    check(raw(0x88, struct.pack("!H", code) + "grüß".encode(), is_server), [Close(code, "grüß")], is_server)
    assert close_payload(code) == struct.pack("!H", code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_must_not_be_sent(code: int, is_server: bool) -> None:
    check(raw(0x88, struct.pack("!H", code) + b"reason", is_server), [1002], is_server)
    if code != 1005:
        with pytest.raises(LocalProtocolError):
            WebSocket(is_server, MOST).close(code)


def test_close_without_code_and_with_half_a_code(is_server: bool) -> None:
    check(raw(0x88, b"", is_server), [Close(1005)], is_server)
    check(raw(0x88, b"\x03", is_server), [1002], is_server)


def test_reason_that_is_no_utf8(is_server: bool) -> None:
    check(raw(0x88, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80", is_server), [1007], is_server)


def test_reason_that_is_too_long_is_cut_between_characters() -> None:
    payload = close_payload(1000, "ä" * 100)
    assert len(payload) <= 125
    assert payload[2:].decode() == "ä" * 61


@pytest.mark.row("WS-38")
def test_close_is_answered_once_and_by_the_same_code(is_server: bool) -> None:
    socket, peer = WebSocket(is_server, MOST), WebSocket(not is_server, MOST)
    (event,) = socket.receive(peer.close(4001, "enough"))
    assert event == Close(4001, "enough")
    assert peer.receive(socket.reply(event)) == [Close(4001)]
    assert socket.reply(event) == b""
    assert socket.close() == b""
    with pytest.raises(LocalProtocolError):
        socket.message("too late")
    with pytest.raises(LocalProtocolError):
        socket.ping()


def test_close_without_code_is_answered_without_code(is_server: bool) -> None:
    socket, peer = WebSocket(is_server, MOST), WebSocket(not is_server, MOST)
    (event,) = socket.receive(peer.close(1005))
    assert peer.receive(socket.reply(event)) == [Close(1005)]


def test_failure_is_answered_by_a_close_with_its_code(is_server: bool) -> None:
    socket, peer = WebSocket(is_server, MOST), WebSocket(not is_server, MOST)
    (event,) = socket.receive(raw(0x81, b"\xff", is_server))
    (close,) = peer.receive(socket.reply(event))
    assert isinstance(close, Close) and close.code == 1007


def test_pings_after_our_close_are_not_answered(is_server: bool) -> None:
    socket = WebSocket(is_server, MOST)
    assert socket.close()
    assert socket.reply(Ping(b"x")) == b""


# Section 8.1: UTF-8

VALID = ["", "κόσμε", "\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "\x00", "\uffff", "日本語", "𝄞" * 50]
INVALID = [
    b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xce\xba\xe1\xbd", b"abc\xf0\x9d\x84", b"\xc3(", b"a\xffb",
]  # fmt: skip


@pytest.mark.parametrize("text", VALID)
def test_valid_texts(text: str, is_server: bool) -> None:
    payload = text.encode()
    check(raw(0x81, payload, is_server), [text], is_server)
    for cut in range(len(payload) + 1):  # fragments may be cut inside of a character
        data = raw(0x01, payload[:cut], is_server) + raw(0x80, payload[cut:], is_server)
        assert read([data], is_server) == [text]


@pytest.mark.parametrize("payload", INVALID)
def test_invalid_texts(payload: bytes, is_server: bool) -> None:
    check(raw(0x81, payload, is_server), [1007], is_server)
    check(raw(0x82, payload, is_server), [payload], is_server)
    for cut in range(len(payload) + 1):
        check(raw(0x01, payload[:cut], is_server) + raw(0x80, payload[cut:], is_server), [1007], is_server)


def test_invalid_text_is_refused_before_its_message_ends(is_server: bool) -> None:
    events = read([raw(0x01, b"\xce\xba", is_server), raw(0x00, b"\xf4\x90\x80\x80", is_server)], is_server)
    assert [type(event) for event in events] == [Failure]
    frame_ = raw(0x81, b"ok \xf4\x90" + b"\x80" * 1000, is_server)
    assert [type(event) for event in read([frame_[:20]], is_server)] == [Failure]


def test_text_of_the_next_message_begins_anew(is_server: bool) -> None:
    data = raw(0x01, b"\xce", is_server) + raw(0x80, b"\xba", is_server) + raw(0x01, b"a", is_server)
    check(data + raw(0x80, b"b", is_server), ["κ", "ab"], is_server)


def test_half_a_surrogate_pair_cannot_be_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        WebSocket(True, MOST).message("\ud800")


# Bounds (section 10.4)


def test_most_bytes_of_a_message(is_server: bool) -> None:
    check(raw(0x82, bytes(100), is_server), [bytes(100)], is_server, most=100)
    check(raw(0x82, bytes(101), is_server), [1009], is_server, most=100)
    check(raw(0x81, "ä".encode() * 50, is_server), ["ä" * 50], is_server, most=100)
    check(raw(0x81, "ä".encode() * 51, is_server), [1009], is_server, most=100)


def test_most_bytes_in_fragments(is_server: bool) -> None:
    start = raw(0x02, bytes(60), is_server)
    check(start + raw(0x80, bytes(40), is_server), [bytes(100)], is_server, most=100)
    check(start + raw(0x00, bytes(41), is_server), [1009], is_server, most=100)
    check(start + raw(0x00, bytes(40), is_server) + raw(0x80, b"x", is_server), [1009], is_server, most=100)
    again = start + raw(0x80, bytes(40), is_server)
    check(again + again, [bytes(100)] * 2, is_server, most=100)


def test_too_large_frame_is_refused_by_its_head(is_server: bool) -> None:
    head = raw(0x82, b"", is_server, b"\x7f" + struct.pack("!Q", 1 << 40))
    assert read([head], is_server) == [Failure(1009, f"a message is larger than {MOST} bytes")]


def test_million_empty_fragments_hold_no_memory() -> None:
    import tracemalloc

    reader = MessageReader(True, MOST)
    reader.receive(raw(0x02, b"ab"))
    flood = raw(0x00, b"") * 1000 + raw(0x00, b"ab") * 100
    tracemalloc.start()
    for _ in range(100):
        assert reader.receive(flood) == []
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 100_000


# A little at a time


def read_in_steps(data: bytes, most_steps: int, is_server: bool) -> list[Event]:
    reader = MessageReader(is_server, MOST)
    events = reader.receive(data, most_steps)
    calls = 1
    while reader.has_more:
        assert len(events) <= most_steps * calls
        events += reader.receive(b"", most_steps)
        calls += 1
    return events


def test_reading_in_steps_gives_the_same(is_server: bool) -> None:
    data = raw(0x81, b"one", is_server) + raw(0x02, b"t", is_server) + raw(0x89, b"ping", is_server)
    data += raw(0x00, b"", is_server) * 3 + raw(0x80, b"wo", is_server) + raw(0x81, b"", is_server) * 10
    expected: list[Event] = ["one", Ping(b"ping"), b"two", *[""] * 10, Close(1000)]
    for steps in range(1, 20):
        assert read_in_steps(data + raw(0x88, b"\x03\xe8", is_server), steps, is_server) == expected
        assert read_in_steps(data + raw(0x88, b"\x03\xe8", is_server) * 40, steps, is_server) == expected


def test_nothing_is_read_in_no_steps_and_nothing_is_lost(is_server: bool) -> None:
    reader = MessageReader(is_server, MOST)
    data = raw(0x81, b"one", is_server)
    assert reader.receive(data[:1], 0) == [] and reader.has_more
    assert reader.receive(data[1:], 0) == [] and reader.has_more
    assert reader.receive(b"") == ["one"] and not reader.has_more


# All together


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_one_end_sends_the_other_receives(data: st.DataObject) -> None:
    is_server = data.draw(st.booleans())
    sender, receiver = WebSocket(not is_server, MOST), WebSocket(is_server, MOST)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
    contents = data.draw(st.lists(texts | st.binary(max_size=200), max_size=8))
    stream = b"".join(map(sender.message, contents)) + sender.close(1000)
    step = data.draw(st.integers(1, 50))
    events = [event for at in range(0, len(stream), step) for event in receiver.receive(stream[at : at + step])]
    assert events == [*contents, Close(1000)]


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300), is_server=st.booleans())
def test_any_bytes_never_raise_and_pieces_change_nothing(data: bytes, is_server: bool) -> None:
    whole = read([data], is_server)
    single = read((data[at : at + 1] for at in range(len(data))), is_server)
    assert [type(event) for event in whole] == [type(event) for event in single]
    assert whole == single or isinstance(whole[-1], Failure)


def test_frame_by_frame() -> None:
    assert frame(0x81, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert frame(0x82, bytes(126))[:4] == bytes.fromhex("827e007e")
    assert frame(0x82, bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")
