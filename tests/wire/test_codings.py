"""Content codings: right, broken and hostile."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire import codings
from skitai.wire.outcomes import BodyTooLarge, UnreadableBody


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def decode(coding: str, data: bytes, most: int = 1 << 24, step: int = 1 << 20) -> bytes:
    decoder = codings.ContentDecoder(coding, most)
    found = b"".join(decoder.decode(data[start : start + step]) for start in range(0, len(data), step))
    decoder.end()
    return found


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=500), step=st.integers(1, 40))
def test_every_coding_in_any_pieces(coding: str, data: bytes, step: int) -> None:
    assert decode(coding, CODINGS[coding](data), step=step) == data


@given(data=st.binary(min_size=1, max_size=200), step=st.integers(1, 40))
def test_deflate_without_its_zlib_head(data: bytes, step: int) -> None:
    assert decode("deflate", raw_deflate(data), step=step) == data


def test_two_codings_are_undone_in_reverse() -> None:
    assert decode("gzip, br", brotli.compress(gzip.compress(b"abc"))) == b"abc"
    assert decode("identity", b"abc") == b"abc"


def test_gzip_of_several_members_and_padding() -> None:
    assert decode("gzip", gzip.compress(b"a") + gzip.compress(b"b") + b"\0" * 20) == b"ab"


def test_no_bytes_at_all_are_fine() -> None:
    assert decode("gzip", b"") == b""


@pytest.mark.parametrize("coding", CODINGS)
def test_a_truncated_body_is_told(coding: str) -> None:
    with pytest.raises(UnreadableBody):
        decode(coding, CODINGS[coding](b"hello world" * 50)[:-3])


@pytest.mark.parametrize("coding", CODINGS)
def test_garbage_is_told(coding: str) -> None:
    with pytest.raises(UnreadableBody):
        decode(coding, b"\x99this is not compressed at all, by no means")


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip, gzip", "sdch"])
def test_codings_that_we_did_not_ask_for(coding: str) -> None:
    with pytest.raises(UnreadableBody, match="not asked for"):
        codings.ContentDecoder(coding, 100)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_stopped_at_its_bound(coding: str) -> None:
    bomb = CODINGS[coding](b"\0" * (64 << 20))
    assert len(bomb) < 1 << 18
    with pytest.raises(BodyTooLarge, match="1048576"):
        decode(coding, bomb, most=1 << 20)


def test_a_bomb_in_a_bomb() -> None:
    with pytest.raises(BodyTooLarge):
        decode("gzip, gzip", gzip.compress(gzip.compress(b"\0" * (64 << 20))), most=1 << 20)


def test_what_is_asked_for() -> None:
    assert codings.ACCEPTED == "gzip, deflate, br, zstd"
