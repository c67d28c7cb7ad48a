"""One sending of one request, and what came back of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from skitai.errors import CallCancelled
from skitai.net import faults
from skitai.wire.http1 import ResponseHead

if TYPE_CHECKING:
    from skitai.was._bodies import StreamedBody
    from skitai.was._http2_attempt import Http2Attempt
    from skitai.was._http2_connection import Http2Connection
    from skitai.was._http2_stream import NotProcessed
    from skitai.was._http_connection import HttpConnection
    from skitai.was._http_pool import HttpPool


#: How often one attempt goes out again because a server had not looked at it.
MOST_REPEATS = 3
#: How often because the server had as many others of ours as it takes. It waits for one of those to end each time.
MOST_REFUSALS = 30
#: Seconds before the first of those that a server without room, or that wants to be left in peace, gets; then doubled.
PAUSE = 0.25


class Asker(Protocol):
    """Who sent an attempt. Exactly one of the first two is called, once."""

    def attempt_answered(self, attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
        """The answer is complete."""

    def attempt_failed(self, attempt: HttpAttempt, error: Exception) -> None:
        """There will be none."""

    def break_off(self, error: BaseException) -> None:
        """One of the two raised: see :class:`skitai.net.faults.Breakable`."""


class _Nobody:
    """The asker of an attempt that has ended."""

    def attempt_answered(self, attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
        raise AssertionError("an attempt ended twice")

    def attempt_failed(self, attempt: HttpAttempt, error: Exception) -> None:
        raise AssertionError("an attempt ended twice") from error

    def break_off(self, error: BaseException) -> None:
        """Nothing is to be ended."""


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
        repeats, refusals: how often it went out again because a server had not looked at it, or was full.
    """

    __slots__ = (
        "_asker", "body", "connection", "deadline", "ends_by", "head", "method", "queue", "refusals", "repeats",
        "timeout", "was_answered", "was_on_kept", "was_sent",
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
        self.refusals = 0

    def begin_http2(self, connection: Http2Connection) -> None:
        """Go out on a stream of ``connection``. Raises ConnectionFailed when it takes no more."""
        from skitai.was._http2_attempt import Http2Attempt

        Http2Attempt(self, connection)

    @property
    def can_repeat(self) -> bool:
        """Whether its body can be sent again."""
        return isinstance(self.body, bytes) or self.body.can_repeat

    def ask_again(self, pool: HttpPool, error: NotProcessed) -> bool:
        """Go out again after a server has not looked at it, if that may still be; return whether it does."""
        if not self.can_repeat:
            return False
        self.was_sent = self.was_answered = self.was_on_kept = False
        if time.monotonic() >= self.ends_by:
            return False
        if error.is_full:
            self.refusals += 1
            if self.refusals > MOST_REFUSALS:
                return False
        else:
            self.repeats += 1
            if self.repeats > MOST_REPEATS:
                return False
        self.connection = None
        if error.is_busy:
            pool.submit_later(self, PAUSE * 2 ** (self.repeats - 1))
        else:
            pool.submit(self)
        return True

    def answer(self, head: ResponseHead, content: bytes) -> None:
        """The answer is complete. Raises nothing: what the asker raises ends its call."""
        asker = self._let_go()
        try:
            asker.attempt_answered(self, head, content)
        except Exception as error:
            faults.escaped(asker.attempt_answered, error)

    def fail(self, error: Exception) -> None:
        """There will be no answer. Raises nothing."""
        asker = self._let_go()
        try:
            asker.attempt_failed(self, error)
        except Exception as second:
            faults.escaped(asker.attempt_failed, second)

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or has failed."""
        return self._asker is _NOBODY

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        if not self.is_over:
            self._end(faults.as_exception(error))

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
        self._end(CallCancelled("the call was cancelled"))

    def _end(self, error: Exception) -> None:
        if self.queue is not None:
            self.queue.withdraw(self, error)
        elif self.connection is not None:
            self.connection.give_up(error)
        elif not self.is_over:
            self.fail(error)

    def poll(self) -> None:
        """Read what the server may have answered that the hub has not seen."""
        if self.connection is not None:
            self.connection.poll()
