"""The messages in the body of a call: each has a prefix of five bytes, whether it is compressed and its length."""

from __future__ import annotations

import zlib
from typing import Final

from skitai.errors import GrpcCode, GrpcError

#: Bytes of the prefix.
PREFIX: Final = 5
#: Bytes of one message that are taken when nothing else is said; other implementations have the same default.
MOST_BYTES: Final = 4 * 1024 * 1024
#: Codings of messages that can be undone; the value of ``grpc-accept-encoding``.
CODINGS: Final = ("identity", "deflate", "gzip")
ACCEPTED: Final = ",".join(CODINGS)

_WBITS = {"gzip": 31, "deflate": zlib.MAX_WBITS}
#: Messages below this many bytes do not become smaller by much.
WORTHWHILE: Final = 512


def frame(message: bytes, is_compressed: bool = False) -> bytes:
    """Return a message with its prefix; compressed by gzip when that is asked for and makes it smaller."""
    if is_compressed and len(message) >= WORTHWHILE:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        packed = packer.compress(message) + packer.flush()
        if len(packed) < len(message):
            return b"\1" + len(packed).to_bytes(4, "big") + packed
    return b"\0" + len(message).to_bytes(4, "big") + message


class MessageReader:
    """Takes the messages out of a body, one at a time, so that only one of them is unpacked in memory.

    Args:
        coding: what ``grpc-encoding`` says of messages that are marked as compressed.
        most: bytes that one message may have, packed and unpacked.

    Raises:
        GrpcError: UNIMPLEMENTED: the coding is not known.

    Next: :meth:`feed` it with the body as it comes, and call :meth:`take` until it returns ``None``.
    """

    __slots__ = ("_at", "_data", "_most", "_wbits")

    def __init__(self, coding: str | None = None, most: int = MOST_BYTES) -> None:
        self._data: bytes | bytearray = b""
        self._at = 0
        self._most = most
        self._wbits = 0
        if coding and coding != "identity":
            if coding not in _WBITS:
                raise GrpcError(GrpcCode.UNIMPLEMENTED, "the messages have a compression that is not known here")
            self._wbits = _WBITS[coding]

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        held = self._data
        if self._at == len(held):  # the usual case: whole messages
            self._data = data
        else:
            # A bytearray grows in place: a large message comes in many pieces.
            if isinstance(held, bytes):
                held = self._data = bytearray(memoryview(held)[self._at :])
            else:
                del held[: self._at]
            held += data
        self._at = 0

    def take(self) -> bytes | None:
        """Return the next message, ``None`` when it is not complete.

        Raises:
            GrpcError: RESOURCE_EXHAUSTED: it is larger than allowed. INTERNAL: its prefix or its compression is wrong.
        """
        data, at = self._data, self._at
        if len(data) - at < PREFIX:
            return None
        flag = data[at]
        size = int.from_bytes(data[at + 1 : at + PREFIX], "big")
        if flag > 1:
            raise GrpcError(GrpcCode.INTERNAL, "a message has a flag that does not exist")
        if size > self._most:
            raise self._too_large()
        end = at + PREFIX + size
        if len(data) < end:
            return None
        self._at = end
        message = bytes(memoryview(data)[at + PREFIX : end])
        return self._unpack(message) if flag else message

    def end(self) -> None:
        """The body has ended.

        Raises:
            GrpcError: INTERNAL: it ended inside a message.
        """
        if self._at < len(self._data):
            raise GrpcError(GrpcCode.INTERNAL, "the body ends inside a message")

    def _unpack(self, message: bytes) -> bytes:
        if not self._wbits:
            raise GrpcError(GrpcCode.INTERNAL, "a message is compressed, and no header says how")
        unpacker = zlib.decompressobj(self._wbits)
        try:
            # One byte more than allowed shows that there are more; none of the rest is unpacked.
            unpacked = unpacker.decompress(message, self._most + 1)
        except zlib.error as error:
            raise GrpcError(GrpcCode.INTERNAL, "a compressed message cannot be read") from error
        if len(unpacked) > self._most:
            raise self._too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise GrpcError(GrpcCode.INTERNAL, "a compressed message cannot be read")
        return unpacked

    def _too_large(self) -> GrpcError:
        return GrpcError(GrpcCode.RESOURCE_EXHAUSTED, f"a message is larger than {self._most} bytes")

    def __repr__(self) -> str:
        return f"<MessageReader {len(self._data) - self._at} bytes waiting>"
