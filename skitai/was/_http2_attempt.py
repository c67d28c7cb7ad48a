"""An attempt on a stream of HTTP/2: its head translated, its body sent, its answer put together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skitai.errors import ConnectionFailed, ReadTimeout, WriteTimeout
from skitai.net import faults
from skitai.net import pool as workers
from skitai.net.turns import Stint
from skitai.was import _decoding, _settings
from skitai.was._http2_connection import Http2Connection
from skitai.was._http2_stream import Http2Stream, Http11Required, NotProcessed
from skitai.was._http_call import IDEMPOTENT
from skitai.wire.events import ResponseHead
from skitai.wire.fields import Fields
from skitai.wire.http2.coders import Raw
from skitai.wire.http2.errors import Code
from skitai.wire.http2.heads import raw_fields
from skitai.wire.outcomes import BodyTooLarge

if TYPE_CHECKING:
    from skitai.was._http_attempt import HttpAttempt

_DROPPED = frozenset({"host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"})


class Http2Attempt:
    """See the module.

    Args:
        attempt: to send.

    Attributes:
        deadline: when the server has been silent for too long.
    """

    def __init__(self, attempt: HttpAttempt, connection: Http2Connection) -> None:
        self._attempt: HttpAttempt | None = attempt
        self._origin = connection.origin
        self._pool = connection.pool
        self._sweep = connection.pool.engine.sweep
        self._head: ResponseHead | None = None
        self._content = bytearray()
        self._is_sending = False
        self._unsent = 0
        body = attempt.body
        raw = translate(attempt.head, self._origin.scheme)
        self._stream = connection.open(self, raw, body == b"", attempt.method == "HEAD")
        self.deadline = 0.0
        try:
            attempt.was_sent = True
            attempt.was_on_kept = connection.uses > 1
            attempt.connection = self
            self._extend(attempt)
            self._sweep.watch(self)
            if body != b"":
                self._begin_body(attempt)
        except Exception as error:
            faults.escaped(self.expire, error)

    def poll(self) -> None:
        """Read what is there without waiting for the hub."""
        self._stream.poll()

    # The body of the request

    def _begin_body(self, attempt: HttpAttempt) -> None:
        body = attempt.body
        if isinstance(body, bytes):
            rest = self._stream.send_some(memoryview(body), True)
            if rest:
                self._is_sending = True
                workers.spawn(self._send_body, attempt, (bytes(rest),))
        else:
            self._is_sending = True
            workers.spawn(self._send_body, attempt, body)

    def _send_body(self, attempt: HttpAttempt, pieces: tuple[bytes, ...]) -> None:
        stream: Http2Stream = self._stream
        stint = Stint()
        try:
            for piece in pieces:
                stint.share()
                if piece:
                    for start in range(0, len(piece), 65_536):
                        stream.send(piece[start : start + 65_536])
                        if self._attempt is attempt:
                            self._extend(attempt)
                if self._attempt is not attempt or not stream.can_send:
                    return
            stream.finish()
        except BaseException as error:  # of the caller's file or generator; a Timeout of gevent is no Exception
            if self._attempt is attempt:
                faults.escaped(self._send_body, error)
            faults.reraise_end(error)
        finally:
            self._is_sending = False

    # As the user of a stream

    def head_received(self, head: ResponseHead) -> None:
        """See :class:`StreamUser`."""
        attempt = self._attempt
        if attempt is None:
            return
        attempt.was_answered = True
        self._extend(attempt)
        if head.status >= 200:
            self._head = head

    def data_received(self, content: bytes, size: int) -> None:
        """See :class:`StreamUser`."""
        self._stream.consumed(size)  # kept or refused, what is in memory is bounded by its size below
        if self._attempt is None:
            return
        self._extend(self._attempt)
        try:
            most = _settings.current.body_bytes
            if len(self._content) + len(content) > most:
                raise BodyTooLarge(f"the answer is larger than {most} bytes")
        except Exception as error:
            self.give_up(error)
            return
        self._content += content

    def ended(self, trailers: Fields | None) -> None:
        """See :class:`StreamUser`."""
        attempt, head = self._leave(), self._head
        if attempt is not None and head is not None:
            content, self._content = bytes(self._content), bytearray()
            _decoding.answer(attempt, head, content)

    def failed(self, error: Exception) -> None:
        """See :class:`StreamUser`."""
        attempt = self._leave()
        if attempt is None:
            return
        # Whoever has begun to answer has looked at it, whatever is said.
        if not (isinstance(error, NotProcessed) and self._ask_again(attempt, error)):
            attempt.fail(error)

    def _ask_again(self, attempt: HttpAttempt, error: NotProcessed) -> bool:
        if attempt.was_answered:  # whoever has begun to answer has looked at it, whatever is said
            return False
        if isinstance(error, Http11Required) and error.may_be_processed and attempt.method not in IDEMPOTENT:
            return False
        return attempt.ask_again(self._pool, error)

    # Ending

    def expire(self) -> None:
        """The server was silent for too long; called by the sweep."""
        attempt, before = self._attempt, self.deadline
        if attempt is None:
            return
        # After a long computation the hub may not have come to what was there in time.
        self._stream.poll()
        if self._attempt is not attempt or self.deadline != before:
            return
        unsent = self._stream.unsent
        error: ConnectionFailed
        if unsent < self._unsent and self.deadline < attempt.ends_by:
            self._extend(attempt)
            return
        if self._is_sending or unsent:
            error = WriteTimeout(f"{self._origin} took nothing for {attempt.timeout:g} seconds")
        elif self.deadline >= attempt.ends_by:
            error = ReadTimeout(f"the answer of {self._origin} did not end in time")
        else:
            error = ReadTimeout(f"{self._origin} said nothing for {attempt.timeout:g} seconds")
        self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """The attempt ends with ``error``, and its stream with it."""
        try:
            self._stream.cancel(Code.CANCEL)
        finally:
            self.failed(error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self.give_up(faults.as_exception(error))

    def _leave(self) -> HttpAttempt | None:
        self._sweep.forget(self)
        attempt, self._attempt = self._attempt, None
        return attempt

    def _extend(self, attempt: HttpAttempt) -> None:
        self._unsent = self._stream.unsent
        self.deadline = min(time.monotonic() + attempt.timeout, attempt.ends_by)

    def __repr__(self) -> str:
        return f"<Http2Attempt {self._attempt or 'over'}>"


def translate(head: bytes, scheme: str) -> list[Raw]:
    """Return the fields of HTTP/2 for the head of an HTTP/1.1 request that we made ourselves."""
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    authority = ""
    fields: Fields = []
    for line in lines:
        name, _, value = line.partition(":")
        key = name.lower()
        if key == "host":
            authority = value.strip(" \t")
        elif key not in _DROPPED or (key == "te" and value.strip().lower() == "trailers"):
            fields.append((key, value))
    return [
        (b":method", method.encode("latin-1")),
        (b":scheme", scheme.encode("latin-1")),
        (b":authority", authority.encode("latin-1")),
        (b":path", target.encode("latin-1")),
        *raw_fields(fields),
    ]
