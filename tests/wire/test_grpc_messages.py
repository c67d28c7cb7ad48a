"""The messages of a gRPC body, cut at every byte, and all that can be wrong with them."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.errors import GrpcCode, GrpcError
from skitai.wire.grpc.messages import MessageReader, frame


def read_all(reader: MessageReader, *pieces: bytes) -> list[bytes]:
    """Every message that comes of the pieces; the body ends behind the last one."""
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.take()) is not None:
            found.append(message)
    reader.end()
    return found


MESSAGES = [b"", b"one", b"x" * 300, b"", b"\0\0\0\0\0"]


def test_the_prefix_of_five_bytes() -> None:
    assert frame(b"abc") == b"\0\0\0\0\3abc"
    assert frame(b"") == b"\0\0\0\0\0"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_messages_come_out_as_they_went_in_however_the_body_is_cut(size: int) -> None:
    body = b"".join(map(frame, MESSAGES))
    assert read_all(MessageReader(), *[body[at : at + size] for at in range(0, len(body), size)]) == MESSAGES


def test_a_body_cut_at_every_byte() -> None:
    body = b"".join(map(frame, MESSAGES))
    for at in range(len(body) + 1):
        assert read_all(MessageReader(), body[:at], body[at:]) == MESSAGES


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 300)))
def test_any_messages_cut_anywhere(messages: list[bytes], cuts: list[int]) -> None:
    body = b"".join(map(frame, messages))
    at = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert read_all(MessageReader(), *[body[a:b] for a, b in pairwise(at)]) == messages


@pytest.mark.row("SAD-GRPC-05")
def test_compression_both_ways_and_mixed_with_plain_messages() -> None:
    large = b"abc" * 1000
    packed = frame(large, True)
    assert packed[0] == 1 and len(packed) < 200
    assert frame(b"short", True)[0] == 0  # not worth it
    body = packed + frame(b"plain") + packed
    for at in range(len(body) + 1):
        assert read_all(MessageReader("gzip"), body[:at], body[at:]) == [large, b"plain", large]
    deflated = zlib.compress(large)
    prefix = b"\1" + len(deflated).to_bytes(4, "big")
    assert read_all(MessageReader("deflate"), prefix + deflated) == [large]


def failing(reader: MessageReader, body: bytes) -> GrpcCode:
    with pytest.raises(GrpcError) as caught:
        read_all(reader, body)
    return caught.value.code


@pytest.mark.parametrize("cut", [1, 4, 5, 7])
def test_a_body_that_ends_inside_a_message(cut: int) -> None:
    assert failing(MessageReader(), frame(b"one") + frame(b"abc")[:cut]) is GrpcCode.INTERNAL


def test_a_message_that_is_too_large_is_refused_by_its_prefix_already() -> None:
    assert read_all(MessageReader(most=3), frame(b"abc")) == [b"abc"]
    assert failing(MessageReader(most=3), b"\0\0\0\0\4") is GrpcCode.RESOURCE_EXHAUSTED
    assert failing(MessageReader(), b"\0\xff\xff\xff\xff") is GrpcCode.RESOURCE_EXHAUSTED


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 3_000_000)
    body = b"\1" + len(bomb).to_bytes(4, "big") + bomb
    assert failing(MessageReader("gzip", 100_000), body) is GrpcCode.RESOURCE_EXHAUSTED
    assert len(read_all(MessageReader("gzip", 3_000_000), body)[0]) == 3_000_000


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"\1\0\0\0\3abc"),
        ("gzip", frame(b"abc" * 1000, True)[:-3]),
        ("gzip", b"\1\0\0\0\0"),
        ("gzip", b"\1" + (34).to_bytes(4, "big") + gzip.compress(b"", mtime=0) + b"more behind it"),
        (None, b"\1\0\0\0\3abc"),
        ("identity", b"\1\0\0\0\3abc"),
        (None, b"\2\0\0\0\3abc"),
    ],
)
def test_compression_that_is_wrong(coding: str | None, body: bytes) -> None:
    assert failing(MessageReader(coding), body) is GrpcCode.INTERNAL


def test_a_truncated_gzip_message_in_a_whole_frame() -> None:
    packed = gzip.compress(b"abc" * 100)[:-4]
    assert failing(MessageReader("gzip"), b"\1" + len(packed).to_bytes(4, "big") + packed) is GrpcCode.INTERNAL


def test_a_coding_that_is_not_known() -> None:
    with pytest.raises(GrpcError, match="UNIMPLEMENTED"):
        MessageReader("snappy")


def test_a_large_message_in_many_small_pieces() -> None:
    body = frame(b"x" * 1_000_000)
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    assert list(map(len, read_all(MessageReader(), *pieces))) == [1_000_000]
