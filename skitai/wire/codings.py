"""Undoing the content coding of an answer (RFC 9110 section 8.4), never into more bytes than allowed.

A small body can decode to gigabytes, so every decoder gives out bounded pieces and the sum is checked at each.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from skitai.wire.fields import tokens
from skitai.wire.outcomes import BodyTooLarge, UnreadableBody

#: Bytes that one step of a decoder may give out.
_STEP = 256 * 1024
#: zstd gives out all that its input holds: so much input is at most 256 blocks of 128 KiB.
_ZSTD_INPUT = 1024


class _Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...

    @property
    def is_complete(self) -> bool: ...


class _Gzip:
    """gzip, of several members too (RFC 1952 section 2.2); with ``wbits`` also zlib."""

    def __init__(self, wbits: int = 31) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)

    @property
    def is_complete(self) -> bool:
        return self._inflate.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate.eof:
                if self._wbits != 31 or not data.strip(b"\0"):
                    return  # padding behind the end is common, and harmless
                self._inflate = zlib.decompressobj(self._wbits)
            yield self._inflate.decompress(data, _STEP)
            data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail


class _Deflate(_Gzip):
    """``deflate`` means zlib, but some servers send the bare stream: the first byte tells."""

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS)
        self._is_known = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        if data and not self._is_known:
            self._is_known = True
            if data[0] & 0x0F != 8 or data[0] >> 4 > 7:
                self._wbits = -zlib.MAX_WBITS
                self._inflate = zlib.decompressobj(self._wbits)
        return super().decode(data)


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = _brotli.Decompressor()

    @property
    def is_complete(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decode(self, data: bytes) -> Iterator[bytes]:
        yield self._decompressor.process(data, output_buffer_limit=_STEP)
        while not self._decompressor.can_accept_more_data():
            yield self._decompressor.process(b"", output_buffer_limit=_STEP)


class _Zstd:
    def __init__(self) -> None:
        # RFC 9659: a server may not ask for a window above 8 MB.
        self._decompressor = _zstandard.ZstdDecompressor(max_window_size=1 << 23).decompressobj()

    @property
    def is_complete(self) -> bool:
        return bool(self._decompressor.eof)

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_INPUT):
            yield self._decompressor.decompress(data[start : start + _ZSTD_INPUT])


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_brotli = _optional("brotli")
_zstandard = _optional("zstandard")

_KINDS: dict[str, Callable[[], _Decoder]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}
# Before brotli 1.2 one step could not be bounded.
if hasattr(getattr(_brotli, "Decompressor", None), "can_accept_more_data"):
    _KINDS["br"] = _Brotli
if _zstandard is not None:
    _KINDS["zstd"] = _Zstd

#: Value of Accept-Encoding for our requests.
ACCEPTED = ", ".join(name for name in ("gzip", "deflate", "br", "zstd") if name in _KINDS)


class ContentDecoder:
    """Undoes the codings of one body.

    Args:
        value: the Content-Encoding field.
        most: bytes of the decoded body that are allowed.

    Raises:
        UnreadableBody: a coding that we did not ask for.
    """

    def __init__(self, value: str, most: int) -> None:
        names = [name for name in tokens(value) if name != "identity"]
        # RFC 9110 names no limit; more than two codings are nobody's need but an attacker's.
        if len(names) > 2 or any(name not in _KINDS for name in names):
            raise UnreadableBody(f"the content coding {value!r} was not asked for")
        self._decoders = [_KINDS[name]() for name in reversed(names)]
        self._left = most
        self._most = most
        self._is_begun = False

    def decode(self, data: bytes) -> bytes:
        """Return the next decoded bytes, perhaps none.

        Raises:
            UnreadableBody: they do not decode.
            BodyTooLarge: they are more than allowed.
        """
        self._is_begun = self._is_begun or bool(data)
        found = []
        try:
            for piece in self._run(data, 0):
                self._left -= len(piece)
                if self._left < 0:
                    raise BodyTooLarge(f"the body decodes to more than {self._most} bytes")
                found.append(piece)
        except BodyTooLarge:
            raise
        except Exception as error:  # each library has an exception of its own
            raise UnreadableBody(f"the body does not decode: {error}") from error
        return b"".join(found)

    def end(self) -> None:
        """The body has ended.

        Raises:
            UnreadableBody: its coding has not. A body without any bytes is fine: 304 and HEAD are answered so.
        """
        if self._is_begun and not all(decoder.is_complete for decoder in self._decoders):
            raise UnreadableBody("the body ends before its content coding does")

    def _run(self, data: bytes, first: int) -> Iterator[bytes]:
        if first == len(self._decoders):
            yield data
            return
        for piece in self._decoders[first].decode(data):
            yield from self._run(piece, first + 1)
