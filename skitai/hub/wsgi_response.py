"""What a WSGI app answers (PEP 3333): ``start_response()``, ``write()`` and the iterable that it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from skitai.errors import LocalProtocolError
from skitai.hub.exchange import Exchange
from skitai.hub.file_wrapper import FileWrapper
from skitai.wire.fields import Fields
from skitai.wire.response import WITHOUT_BODY, reason_phrase

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

_statuses: dict[str, tuple[int, str | None]] = {}
_MOST_STATUSES = 256


def _split_status(status: str) -> tuple[int, str | None]:
    try:
        return _statuses[status]
    except (KeyError, TypeError):
        pass
    if not isinstance(status, str):
        raise LocalProtocolError(f"a WSGI status is a str like '200 OK', not {status!r}")
    number, _, reason = status.partition(" ")
    # An interim status would make the client take the next response on the connection for the rest of this one.
    if len(number) != 3 or not (number.isascii() and number.isdigit()) or number[0] in "01":
        raise LocalProtocolError(f"a WSGI status is a str like '200 OK', not {status!r}")
    parsed = int(number), None if reason == reason_phrase(int(number)) else reason
    if len(_statuses) < _MOST_STATUSES:
        _statuses[status] = parsed
    return parsed


class NothingReturned(LocalProtocolError):
    """An app returned ``None``, most often because a ``return`` is missing."""


class WsgiResponse:
    """``start_response()`` and what follows from it for one call of an app.

    Args:
        exchange: to be answered.
    """

    __slots__ = ("_exchange", "_fields", "_has_begun", "_reason", "_status")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._status = 0
        self._reason: str | None = None
        self._fields: Fields = []
        self._has_begun = False

    def start(self, status: str, headers: Fields, exc_info: ExcInfo | None = None) -> Callable[[bytes], None]:
        """``start_response``; returns ``write``. See PEP 3333."""
        if exc_info is not None:
            try:
                if self._has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise LocalProtocolError("start_response() was called twice without exc_info")
        self._status, self._reason = _split_status(status)
        self._fields = headers
        return self.write

    def write(self, data: bytes) -> None:
        """The ``write`` callable of PEP 3333."""
        self._begin(None)
        self._exchange.write(_bytes(data))

    def send(self, result: Any) -> None:
        """Send what the app returned."""
        if result.__class__ is list or result.__class__ is tuple:
            if len(result) == 1 and not self._has_begun and self._status:
                self._exchange.respond(self._status, self._fields, _bytes(result[0]), self._reason)
                return
        elif result is None:
            raise NothingReturned("the app returned None: a body is an iterable of bytes, [] when it is empty")
        elif isinstance(result, (bytes, str)):
            result = (result,)
        elif isinstance(result, FileWrapper) and (rest := result.rest()) is not None:
            self._send_file(result, *rest)
            return
        self._send_parts(result)

    def _send_parts(self, result: Iterable[Any]) -> None:
        length = None
        if isinstance(result, (list, tuple)):
            result = [_bytes(each) for each in result]
            length = sum(map(len, result))
        parts = iter(result)  # also of what is not asked: a result that is no iterable is a mistake for HEAD as well
        if not self._has_begun and self._status and not self._has_no_body:
            first = next(parts, None)
            if first and (self._is_whole(_bytes(first), length) or self._exchange.is_full):
                self._exchange.finish()
                next(parts, None)  # what an app does after its last yield is still done
                return
            self._write_parts(parts, length)
        elif not self._status or not (self._has_no_body or self._exchange.is_full):
            self._write_parts(parts, length)
        # Nothing was written: a response to HEAD need not say how long that of GET would be.
        self._begin((length or None) if self._exchange.method == "HEAD" else 0)
        self._exchange.finish()

    def _write_parts(self, parts: Iterator[Any], length: int | None) -> None:
        """Write parts until nothing more would be sent (PEP 3333, "Handling the Content-Length Header").

        One part is asked for beyond that, so that an app does what it does after its last yield.
        """
        exchange = self._exchange
        for part in parts:
            if self._has_no_body:  # said by an app that is a generator, with its first part
                return
            if part:
                self._begin(length)
                exchange.write(_bytes(part))
                if exchange.is_full:
                    exchange.finish()
                    next(parts, None)
                    return
            else:
                exchange.give_way()

    @property
    def _has_no_body(self) -> bool:
        return self._status in WITHOUT_BODY or self._exchange.method == "HEAD"

    def _is_whole(self, first: bytes, length: int | None) -> bool:
        """Begin with the first part; most bodies that are no list have only that, and its length in Content-Length."""
        self._has_begun = True
        return self._exchange.start_with(self._status, self._fields, first, self._reason, length)

    def _send_file(self, wrapper: FileWrapper, offset: int, count: int) -> None:
        self._begin(count)
        self._exchange.send_file(wrapper.filelike, offset, count)
        self._exchange.finish()

    def _begin(self, length: int | None) -> None:
        if self._has_begun:
            return
        if not self._status:
            raise LocalProtocolError("an app returned a body before it called start_response()")
        self._exchange.start(self._status, self._fields, self._reason, length)
        self._has_begun = True


def _bytes(data: Any) -> bytes:
    """The documents return ``['Hello World']``, so a str is taken as UTF-8 although PEP 3333 wants bytes."""
    if data.__class__ is bytes:
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise LocalProtocolError(f"a part of a body is bytes, not {type(data).__name__}")
