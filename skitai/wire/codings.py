"""Undoing the content codings of an answer (RFC 9110 section 8.4), never into more bytes than allowed.

A small body can decode to gigabytes, so it is decoded in pieces of bounded size, and each is counted. Codings of a
body are undone one behind the other by generators, which also end: a stream that stops in its middle is an error.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from skitai.wire.fields import tokens
from skitai.wire.outcomes import BodyTooLarge, UnreadableBody

#: Bytes that one step of a decoder may give out, as far as its library can be told.
_STEP: Final = 256 * 1024
#: Bytes that are given to a decoder at one time.
_INPUT: Final = 64 * 1024
#: zstd gives out all that its input holds: so much of it is at most 32 blocks of 128 KiB.
_ZSTD_INPUT: Final = 128
#: Codings of one body. RFC 9110 names no limit; more than two are nobody's need but an attacker's.
_MOST_CODINGS: Final = 2
#: Decoded bytes up to which no ratio is looked at: rows that are all the same pack ten thousand to one.
RATIO_FLOOR: Final = 16 * 1024 * 1024

_Pieces = Iterator[bytes]


class _Truncated(Exception):
    """The body ends before its coding does."""


def _gzip(pieces: _Pieces) -> _Pieces:
    """gzip, of several members too (RFC 1952 section 2.2). What is no member behind the last one is not looked at."""
    inflate: Any = zlib.decompressobj(31)
    held = b""
    for piece in pieces:
        data = held + piece
        held = b""
        while data:
            if inflate.eof:
                if data == b"\x1f":  # perhaps another member
                    held = data
                    break
                if not data.startswith(b"\x1f\x8b"):
                    return
                inflate = zlib.decompressobj(31)
            yield inflate.decompress(data, _STEP)
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    if not inflate.eof:
        raise _Truncated


def _deflate(pieces: _Pieces) -> _Pieces:
    """``deflate`` means zlib, but some servers send the bare stream: the first byte tells."""
    inflate: Any = None
    for data in pieces:
        if inflate is None and data:
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            inflate = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        while data:
            yield inflate.decompress(data, _STEP)
            if inflate.eof:
                return
            data = inflate.unconsumed_tail
    raise _Truncated


def _brotli(pieces: _Pieces) -> _Pieces:
    """One stream of brotli. What follows it is not looked at."""
    fed: list[bytes] = []
    decompressor = _brotli_module.Decompressor()
    for data in pieces:
        try:
            yield from _drain_brotli(decompressor, data)
        except _brotli_module.error:
            # The library refuses bytes behind the end, and with them what came before: byte by byte the end is seen.
            yield from _end_of_brotli(fed, data)
            return
        if decompressor.is_finished():
            return
        fed.append(data)
    raise _Truncated


def _drain_brotli(decompressor: Any, data: bytes) -> _Pieces:
    piece = decompressor.process(data, output_buffer_limit=_STEP)
    while piece:  # it says that it can take more before it has given out everything
        yield piece
        piece = decompressor.process(b"", output_buffer_limit=_STEP)


def _end_of_brotli(fed: list[bytes], data: bytes) -> _Pieces:
    decompressor = _brotli_module.Decompressor()
    for piece in fed:
        for _ in _drain_brotli(decompressor, piece):
            pass  # given out before
    for at in range(len(data)):
        yield from _drain_brotli(decompressor, data[at : at + 1])
        if decompressor.is_finished():
            return


_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


def _is_zstd_frame(data: bytes) -> bool:
    """Whether a frame begins here, also one to be skipped (RFC 8878 section 3.1.2)."""
    return data[:4] == _ZSTD_MAGIC or (data[0] & 0xF0 == 0x50 and data[1:4] == b"\x2a\x4d\x18")


def _zstd(pieces: _Pieces) -> _Pieces:
    """zstd, of several frames too (RFC 8878 section 3). What is no frame behind the last one is not looked at."""
    # RFC 9659: a server may not ask for a window above 8 MB.
    frames = _zstandard.ZstdDecompressor(max_window_size=1 << 23)
    decompress: Any = frames.decompressobj()
    held = b""
    for piece in pieces:
        data = held + piece
        held = b""
        while data:
            if decompress.eof:
                if len(data) < 4:
                    held = data
                    break
                if not _is_zstd_frame(data):
                    return
                decompress = frames.decompressobj()
            step, data = data[:_ZSTD_INPUT], data[_ZSTD_INPUT:]
            yield decompress.decompress(step)
            if decompress.eof:
                data = decompress.unused_data + data
    if not decompress.eof:
        raise _Truncated


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_brotli_module = _optional("brotli")
_zstandard = _optional("zstandard")

_KINDS: dict[str, Callable[[_Pieces], _Pieces]] = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate}
# Before brotli 1.2 one step could not be bounded.
if hasattr(getattr(_brotli_module, "Decompressor", None), "can_accept_more_data"):
    _KINDS["br"] = _brotli
if _zstandard is not None:
    _KINDS["zstd"] = _zstd

#: Value of Accept-Encoding for our requests.
ACCEPTED = ", ".join(name for name in ("gzip", "deflate", "br", "zstd") if name in _KINDS)


def _split(value: str) -> tuple[list[str], list[str]]:
    """Return (codings that are not undone, those that are), both in the order in which they were applied."""
    names = [name for name in tokens(value) if name != "identity"]
    known = len(names)
    while known and names[known - 1] in _KINDS:
        known -= 1
    return names[:known], names[known:]


def left_over(value: str | None) -> str:
    """Return the codings of a Content-Encoding field that :func:`decode` leaves alone; ``""`` when there are none.

    Some servers say there what is no coding at all, such as ``UTF-8`` or ``none``: the bytes are given as they are.
    """
    return ", ".join(_split(value)[0]) if value else ""


def decode(content: bytes, value: str, most: int, most_ratio: float) -> Iterator[bytes]:
    """Undo the codings of a body, piece by piece. One that is not known ends it: the bytes are given as they are.

    Args:
        content: of the body, not empty. value: of the Content-Encoding field.
        most: bytes of the decoded body that are allowed.
        most_ratio: how many times as large as the body it may become, beyond the first 16 MiB.

    Raises:
        UnreadableBody: it does not decode, or it ends before its coding does.
        BodyTooLarge: it becomes larger than allowed.
    """
    if not content:  # as 304 and HEAD are answered
        return
    _, codings = _split(value)
    if len(codings) > _MOST_CODINGS:
        raise UnreadableBody(f"more than {_MOST_CODINGS} content codings of one body: {value!r}")
    pieces: _Pieces = (content[start : start + _INPUT] for start in range(0, len(content), _INPUT))
    for name in reversed(codings):
        pieces = _KINDS[name](pieces)
    size = 0
    try:
        for piece in pieces:
            size += len(piece)
            if size > most:
                raise BodyTooLarge(f"the body decodes to more than {most} bytes: wasc.configure(body_bytes=...)")
            if size > RATIO_FLOOR and size > len(content) * most_ratio:
                raise BodyTooLarge(
                    f"the body decodes to more than {most_ratio:g} times its size: wasc.configure(decode_ratio=...)"
                )
            yield piece
    except BodyTooLarge:
        raise
    except _Truncated:
        raise UnreadableBody("the body ends before its content coding does") from None
    except Exception as error:  # each library has an exception of its own
        raise UnreadableBody(f"the body does not decode: {error}") from error
