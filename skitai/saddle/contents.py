"""What a function may return: text, bytes, a file, an iterator, a producer, and lists of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from skitai.saddle.streams import Body, FileStream, Stream, file_extent

_PIECE = 64 * 1024

Pieces = Iterable[bytes]


def to_body(content: Any) -> bytes | Body:
    """Return the body of a response for what a function returned.

    Raises:
        TypeError: it is nothing that can be sent.
    """
    if isinstance(content, (str, bytes, bytearray, memoryview)):
        return _encode(content)
    if isinstance(content, Body):
        return content
    if isinstance(content, (list, tuple)):
        if all(isinstance(item, (str, bytes, bytearray, memoryview)) for item in content):
            return b"".join([_encode(item) for item in content])
        return Stream(chain.from_iterable([_pieces(item) for item in content]), _closers(content))
    # What has a file number is not always what reading it gives: that of a gzip file leads to the compressed bytes.
    if isinstance(getattr(content, "raw", content), io.FileIO):
        extent = file_extent(content)
        if extent is not None:
            return FileStream(content, *extent)
    return Stream(_pieces(content), _closers([content]))


def discard(content: Any) -> None:
    """Close what a function returned and nobody will send, because a hook failed after it."""
    for close in _closers(content if isinstance(content, (list, tuple)) else [content]):
        close()


def _encode(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode("utf-8")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    # bytes() of a number would be as many zeros.
    raise TypeError(f"a piece of a body is str or bytes, not {type(piece).__name__}")


def _closers(contents: Iterable[Any]) -> list[Callable[[], object]]:
    return [content.close for content in contents if callable(getattr(content, "close", None))]


def _pieces(content: Any) -> Pieces:
    """Return the pieces of one item.

    Raises:
        TypeError: it is nothing that can be sent.
    """
    if isinstance(content, (str, bytes, bytearray, memoryview)):
        return (_encode(content),)
    for name, read in _READERS.items():
        if callable(getattr(content, name, None)):
            return read(content)
    if isinstance(content, dict) or not isinstance(content, Iterable):
        raise TypeError(
            f"a function returned {type(content).__name__}, which is no body: return str, bytes, a file, an iterator, "
            "an object with more(), a list of these, or was.jstream(obj) for JSON"
        )
    return _from_iterator(iter(content))


def _from_more(content: Any) -> Iterator[bytes]:
    while piece := content.more():
        yield _encode(piece)


def _from_file(content: Any) -> Iterator[bytes]:
    while piece := content.read(_PIECE):
        yield _encode(piece)


def _from_iterator(content: Iterator[Any]) -> Iterator[bytes]:
    for piece in content:
        yield _encode(piece)


def _from_next(advance: Callable[[], Any]) -> Iterator[bytes]:
    while True:
        try:
            piece = advance()
        except StopIteration:
            return
        yield _encode(piece)


#: How an object is read, by the method that it has; the first one counts.
_READERS: dict[str, Callable[[Any], Pieces]] = {
    "more": _from_more,
    "read": _from_file,
    "__next__": _from_iterator,
    "next": lambda content: _from_next(content.next),
    "_next": lambda content: _from_next(content._next),
}
