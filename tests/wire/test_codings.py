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
    "br": lambda data: brotli.compress(data, quality=3),
    "zstd": zstandard.ZstdCompressor().compress,
}


def decode(coding: str, data: bytes, most: int = 1 << 24, step: int = 1 << 16, ratio: float = 1e9) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codings, "_INPUT", step)
        return b"".join(codings.decode(data, coding, most, ratio))


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


def test_more_codings_than_anybody_needs() -> None:
    with pytest.raises(UnreadableBody, match="more than 2 content codings"):
        decode("gzip, gzip, gzip", gzip.compress(b"abc"))


@pytest.mark.parametrize("coding", ["compress", "sdch", "UTF-8", "none", "binary", "aws-chunked", "gzip, x", "", ","])
def test_what_is_no_known_coding_leaves_the_bytes_as_they_are(coding: str) -> None:
    assert decode(coding, b"\x1f\x8bplain") == b"\x1f\x8bplain"
    assert codings.left_over(coding) == coding.lower().strip(",")


def test_codings_are_undone_down_to_one_that_is_not_known() -> None:
    assert decode("aws-chunked, GZip", gzip.compress(b"plain")) == b"plain"
    assert codings.left_over("aws-chunked, GZip") == "aws-chunked"
    assert codings.left_over("identity, gzip") == codings.left_over(None) == ""


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [300_000, 1_200_000])
@pytest.mark.parametrize("step", [1_000, 1 << 16])
def test_large_bodies_come_whole(coding: str, size: int, step: int) -> None:
    for data in (b"x" * size, b"".join(b'{"id": %d, "name": "user %d"}' % (n, n * 7) for n in range(size // 30))):
        assert decode(coding, CODINGS[coding](data), step=step) == data


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "zstd"])
@given(parts=st.lists(st.binary(max_size=100), min_size=1, max_size=4), step=st.integers(1, 30))
def test_several_members_or_frames(coding: str, parts: list[bytes], step: int) -> None:
    packed = b"".join(map(CODINGS[coding], parts))
    assert decode(coding, packed, step=step) == b"".join(parts)
    with pytest.raises(UnreadableBody):
        decode(coding, packed[:-1], step=step)


def test_frames_that_are_to_be_skipped() -> None:
    skipped = b"\x51\x2a\x4d\x18\x03\0\0\0abc"
    packed = CODINGS["zstd"](b"one") + skipped + CODINGS["zstd"](b"two")
    for step in (1, 5, 1_000):
        assert decode("zstd", packed, step=step) == b"onetwo"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "junk", [b"\n", b"<!-- served by x -->", b"\0" * 20, b"\x1f", b"\x1f\x8c", b"\x28\xb5", b"x" * 70_000]
)
@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_what_stands_behind_the_end_is_not_looked_at(coding: str, junk: bytes, step: int) -> None:
    if len(junk) > 1_000 and step < 100:
        step = 1_000
    assert decode(coding, CODINGS[coding](b"a page " * 100) + junk, step=step) == b"a page " * 100


def test_a_ratio_is_a_bound_beyond_the_first_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codings, "RATIO_FLOOR", 1 << 20)
    for coding, pack in CODINGS.items():
        small, large = pack(b"\0" * (1 << 20)), pack(b"\0" * (4 << 20))
        assert len(decode(coding, small, ratio=10)) == 1 << 20
        with pytest.raises(BodyTooLarge, match=r"more than 10 times its size: wasc\.configure\(decode_ratio"):
            decode(coding, large, ratio=10)


@pytest.mark.parametrize("coding", CODINGS)
def test_pieces_are_of_bounded_size(coding: str) -> None:
    """A bomb is never there as a whole, however little it is packed in."""
    sizes = []
    with pytest.raises(BodyTooLarge):
        for piece in codings.decode(CODINGS[coding](b"\0" * (64 << 20)), coding, 16 << 20, 1e9):
            sizes.append(len(piece))
    assert max(sizes) <= 4 << 20


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
