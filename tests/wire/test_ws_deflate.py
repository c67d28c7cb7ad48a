"""permessage-deflate (RFC 7692): parameters, the coding itself, and what is made to hurt."""

from __future__ import annotations

import os
import struct
import zlib

import pytest

from skitai.wire import ws_deflate
from skitai.wire.websocket import COMPRESS_FROM, WebSocket
from skitai.wire.ws_deflate import Agreement, NotNegotiable
from skitai.wire.ws_messages import Close, Event, Failure, Ping
from skitai.wire.ws_reader import MessageReader

MOST = 1 << 20
PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def read(pieces: list[bytes], agreement: Agreement | None, most: int = MOST) -> list[Event]:
    reader = MessageReader(False, most, agreement)  # a client: no masks to compute by hand
    return [event for piece in pieces for event in reader.receive(piece)]


def raw(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + struct.pack("!H", size) + payload
    return bytes([first, 127]) + struct.pack("!Q", size) + payload


def deflate(data: bytes, level: int = 6, bits: int = 15) -> bytes:
    engine = zlib.compressobj(level, wbits=-bits)
    return (engine.compress(data) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


def check(data: bytes, expected: list[object], agreement: Agreement = Agreement(), most: int = MOST) -> None:  # noqa: B008
    def plain(events: list[Event]) -> list[object]:
        return [event.code if isinstance(event, Failure) else event for event in events]

    assert plain(read([data], agreement, most)) == expected
    for cut in range(1, min(len(data), 300)):
        assert plain(read([data[:cut], data[cut:]], agreement, most)) == expected


# Section 7.1: negotiation


@pytest.mark.parametrize(
    ("offers", "expected", "agreement"),
    [
        (None, None, None),
        ("", None, None),
        ("foo, bar; x=1", None, None),
        ("permessage-deflate", PLAIN, Agreement()),
        (" foo;a;b=c ,  permessage-deflate ", PLAIN, Agreement()),
        ("permessage-deflate; client_max_window_bits", PLAIN, Agreement()),
        ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", PLAIN, Agreement()),
        ("permessage-deflate; client_max_window_bits=9", PLAIN + "; client_max_window_bits=9", Agreement(15, 9)),
        ("permessage-deflate; client_max_window_bits=8", PLAIN + "; client_max_window_bits=8", Agreement(15, 8)),
        ('permessage-deflate; server_max_window_bits="10"', PLAIN + "; server_max_window_bits=10", Agreement(10)),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=12",
            PLAIN + "; server_max_window_bits=9; client_max_window_bits=12",
            Agreement(9, 12),
        ),
        # Section 5.1: an offer that cannot be taken is passed over, the next one may do.
        ("permessage-deflate; server_max_window_bits=7, permessage-deflate", PLAIN, Agreement()),
        ("permessage-deflate; foo, permessage-deflate", PLAIN, Agreement()),
        ("permessage-deflate; server_max_window_bits=8", PLAIN + "; server_max_window_bits=8", Agreement(8)),
        ("permessage-deflate; server_max_window_bits", None, None),
        ("permessage-deflate; server_max_window_bits=16", None, None),
        ("permessage-deflate; server_max_window_bits=09", None, None),
        ("permessage-deflate; client_max_window_bits=7", None, None),
        ("permessage-deflate; client_max_window_bits=x", None, None),
        ("permessage-deflate; server_no_context_takeover=1", None, None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None, None),
        ("permessage-deflate; something_else", None, None),
        ("x-webkit-deflate-frame", None, None),
    ],
)  # fmt: skip
def test_answers_of_a_server(offers: str | None, expected: str | None, agreement: Agreement | None) -> None:
    found = ws_deflate.answer(offers)
    assert (None if found is None else found[0]) == expected
    assert (None if found is None else found[1]) == agreement
    if expected is not None:
        assert ws_deflate.agreed(expected) is not None  # our client would take it


@pytest.mark.parametrize(
    "value", ["permessage-deflate; =", "a b", ";", 'permessage-deflate; x="', "permessage-deflate;;", "a=b"]
)
def test_lists_that_are_none(value: str) -> None:
    with pytest.raises(NotNegotiable):
        ws_deflate.answer(value)
    with pytest.raises(NotNegotiable):
        ws_deflate.agreed(value)


@pytest.mark.parametrize(
    ("value", "agreement"),
    [
        (None, None),
        (PLAIN, Agreement(they_keep=False)),
        ("permessage-deflate", Agreement(they_keep=True)),
        ("permessage-deflate; client_no_context_takeover", Agreement(they_keep=True)),
        ("permessage-deflate; client_max_window_bits=9; server_max_window_bits=8", Agreement(9, 8, they_keep=True)),
    ],
)
def test_answers_that_a_client_takes(value: str | None, agreement: Agreement | None) -> None:
    assert ws_deflate.agreed(value) == agreement


@pytest.mark.parametrize(
    "value",
    [
        "foo", "permessage-deflate, permessage-deflate", "permessage-deflate; foo",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ],
)  # fmt: skip
def test_answers_that_a_client_gives_up_on(value: str) -> None:
    with pytest.raises(NotNegotiable):
        ws_deflate.agreed(value)


# Section 7.2.3: the examples


def test_examples_of_the_standard() -> None:
    check(bytes.fromhex("c107f248cdc9c90700"), ["Hello"])
    check(bytes.fromhex("4103f248cd") + bytes.fromhex("8004c9c90700"), ["Hello"])  # fragmented
    check(bytes.fromhex("c10b000500faff48656c6c6f00"), ["Hello"])  # a block that is not compressed
    check(bytes.fromhex("c108f348cdc9c9070000"), ["Hello"])  # a block with BFINAL
    check(bytes.fromhex("c10df2480500 0000ffffcac9c90700".replace(" ", "")), ["Hello"])  # two blocks
    check(bytes.fromhex("c10100"), [""])  # an empty message
    keeping = Agreement(they_keep=True)
    check(bytes.fromhex("c107f248cdc9c90700c105f200110000"), ["Hello", "Hello"], keeping)
    check(bytes.fromhex("c107f248cdc9c90700c105f200110000"), ["Hello", 1007], Agreement())  # nothing was kept


def test_blocks_after_a_last_one() -> None:
    engine = zlib.compressobj(wbits=-15)
    ended = engine.compress(b"first ") + engine.flush()
    check(raw(0xC2, ended + deflate(b"second")), [b"first second"])


# Section 6: which frames


def test_rsv1_only_on_the_first_frame_of_a_message() -> None:
    data = deflate(b"Hello")
    check(raw(0x41, data[:3]) + raw(0xC0, data[3:]), [1002])
    check(raw(0x41, data[:3]) + raw(0x80, data[3:]), ["Hello"])
    check(raw(0xC9, b""), [1002])
    check(raw(0xC8, b""), [1002])
    check(raw(0x41, data[:3]) + raw(0x89, b"") + raw(0x80, data[3:]), [Ping(b""), "Hello"])


def test_messages_that_are_not_compressed_between_others() -> None:
    data = raw(0xC1, deflate(b"one")) + raw(0x81, b"two") + raw(0xC2, deflate(b"three")) + raw(0x88, b"")
    check(data, ["one", "two", b"three", Close(1005)])


def test_rsv1_without_an_agreement() -> None:
    events = read([raw(0xC1, deflate(b"Hello"))], None)
    assert [event.code for event in events if isinstance(event, Failure)] == [1002]


@pytest.mark.parametrize("bits", range(9, 16))
def test_every_window(bits: int) -> None:
    content = os.urandom(300) * 40
    server, client = WebSocket(True, MOST, Agreement(bits, 15)), WebSocket(False, MOST, Agreement(15, bits))
    frame = server.message(content)
    assert frame[0] == 0xC2
    assert client.receive(frame) == [content]


def test_window_that_zlib_cannot_keep() -> None:
    server = WebSocket(True, MOST, Agreement(our_bits=8))
    assert server.message("x" * 5000)[0] == 0x81


def test_no_deflate_stream() -> None:
    check(raw(0xC2, b"\xff\xff\xff"), [1007])
    check(raw(0xC1, deflate(b"\xff\xfe")), [1007])  # no UTF-8


def test_small_messages_and_those_that_grow_go_as_they_are() -> None:
    server = WebSocket(True, MOST, Agreement())
    assert server.message("x" * (COMPRESS_FROM - 1))[0] == 0x81
    assert server.message("x" * COMPRESS_FROM)[0] == 0xC1
    assert server.message(os.urandom(COMPRESS_FROM))[0] == 0x82


def test_nothing_is_kept_between_messages() -> None:
    reader = MessageReader(True, MOST, Agreement())
    client = WebSocket(False, MOST, Agreement())
    first = reader.receive(client.message("x" * 5000))
    assert first == ["x" * 5000]
    assert reader._inflater is not None and reader._inflater._engine is None


def test_frames_for_many_are_the_same() -> None:
    members = [WebSocket(True, MOST, Agreement()) for _ in range(3)]
    assert len({member.message("hello " * 1000) for member in members}) == 1
    assert WebSocket(True, MOST, Agreement(9)).coding != members[0].coding != WebSocket(True, MOST).coding


# Bombs (section 8)


def test_bomb_is_never_inflated() -> None:
    bomb = deflate(bytes(200 * MOST), level=9)
    assert len(bomb) < MOST
    import tracemalloc

    tracemalloc.start()
    events = read([raw(0xC2, bomb)], Agreement())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [event.code for event in events if isinstance(event, Failure)] == [1009]
    assert peak < 8 * MOST


def test_bomb_in_fragments() -> None:
    data = deflate(bytes(5000))
    frames = raw(0x42, data[:1]) + b"".join(raw(0x00, data[at : at + 1]) for at in range(1, len(data))) + raw(0x80, b"")
    check(frames, [bytes(5000)], most=5000)
    check(frames, [1009], most=4999)


def test_message_of_the_largest_size() -> None:
    content = os.urandom(MOST)
    check(raw(0xC2, deflate(content, level=0)), [content])
    check(raw(0xC2, deflate(content + b"x", level=0)), [1009])


def test_decompressing_counts_as_steps() -> None:
    reader = MessageReader(False, MOST, Agreement())
    bombs = raw(0xC2, deflate(bytes(MOST))) * 3
    assert len(reader.receive(bombs, 32)) == 1
    assert reader.has_more and reader.steps_left < -200
    assert len(reader.receive(b"", 32)) == 1 and reader.has_more
    assert len(reader.receive(b"", 32)) == 1 and not reader.has_more


def test_last_blocks_without_end() -> None:
    """Each wants a decompressor and a copy of the rest: a message of them took hours."""
    check(raw(0xC2, b"\x03\x00" * 20), [b""])
    check(raw(0xC2, b"\x03\x00" * 400_000), [1007])
