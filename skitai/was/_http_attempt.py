"""One sending of one request, and what came back of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from skitai.errors import CallCancelled
from skitai.wire.http1 import ResponseHead

if TYPE_CHECKING:
    from skitai.was._bodies import StreamedBody
    from skitai.was._http2_attempt import Http2Attempt
    from skitai.was._http2_connection import Http2Connection
    from skitai.was._http_connection import HttpConnection
    from skitai.was._http_pool import HttpPool


class Asker(Protocol):
    """Who sent an attempt. Exactly one of the two is called, once."""

    def attempt_answered(self, attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
        """The answer is complete."""

    def attempt_failed(self, attempt: HttpAttempt, error: Exception) -> None:
        """There will be none."""


class _Nobody:
    """The asker of an attempt that has ended."""

    def attempt_answered(self, attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
        raise AssertionError("an attempt ended twice")

    def attempt_failed(self, attempt: HttpAttempt, error: Exception) -> None:
        raise AssertionError("an attempt ended twice") from error


_NOBODY = _Nobody()


class HttpAttempt:
    """A request on its way.

    Args:
        asker: gets the outcome.
        method: of the request.
        head: request line and header section.
        body: bytes, or what is read while it is sent.
        timeout: seconds that the connection may be silent.

    Attributes:
        deadline: while it waits for a connection: until when.
        was_sent: bytes of it may have reached the server. was_answered: bytes of an answer came.
        was_on_kept: it went over a connection that had carried another request.
        connection: while it is on one. queue: while it waits for one.
        repeats: how often it went out again because a server had not looked at it.
    """

    __slots__ = (
        "_asker", "body", "connection", "deadline", "ends_by", "head", "method", "queue", "repeats", "timeout",
        "was_answered", "was_on_kept", "was_sent",
    )  # fmt: skip

    def __init__(
        self, asker: Asker, method: str, head: bytes, body: bytes | StreamedBody, timeout: float, total_time: float
    ) -> None:
        self._asker = asker
        self.method = method
        self.head = head
        self.body = body
        self.timeout = timeout
        self.deadline = 0.0
        self.ends_by = time.monotonic() + total_time
        self.connection: HttpConnection | Http2Attempt | None = None
        self.queue: HttpPool | None = None
        self.was_sent = False
        self.was_answered = False
        self.was_on_kept = False
        self.repeats = 0

    def begin_http2(self, connection: Http2Connection) -> None:
        """Go out on a stream of ``connection``. Raises ConnectionFailed when it takes no more."""
        from skitai.was._http2_attempt import Http2Attempt

        Http2Attempt(self, connection)

    def answer(self, head: ResponseHead, content: bytes) -> None:
        """The answer is complete."""
        self._let_go().attempt_answered(self, head, content)

    def fail(self, error: Exception) -> None:
        """There will be no answer."""
        self._let_go().attempt_failed(self, error)

    def _let_go(self) -> Asker:
        """Return the asker, and be no more part of a cycle of references."""
        asker, self._asker = self._asker, _NOBODY
        self.connection = None
        return asker

    def expire(self) -> None:
        """Nobody had a connection for it in time."""
        if self.queue is not None:
            self.queue.withdraw(self)

    def cancel(self) -> None:
        """Nobody wants the answer."""
        error = CallCancelled("the call was cancelled")
        if self.queue is not None:
            self.queue.withdraw(self, error)
        elif self.connection is not None:
            self.connection.give_up(error)

    def poll(self) -> None:
        """Read what the server may have answered that the hub has not seen."""
        if self.connection is not None:
            self.connection.poll()
