"""One connection to an HTTP/1.1 server, which carries one request at a time (no pipelining)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skitai.errors import ConnectionFailed, PeerClosed, ReadTimeout, RemoteProtocolError, WriteTimeout
from skitai.net import faults
from skitai.net import pool as workers
from skitai.net.channel import Channel
from skitai.net.stream import Stream
from skitai.net.turns import Stint
from skitai.was import _decoding, _settings
from skitai.wire.fields import Fields, find
from skitai.wire.http1 import END, LAST_CHUNK, Data, ResponseHead, ResponseReader, chunk
from skitai.wire.outcomes import BodyTooLarge
from skitai.wire.whole import memory_of

if TYPE_CHECKING:
    from skitai.was._http_attempt import HttpAttempt
    from skitai.was._http_pool import HttpPool

#: Responses to these have no body, whatever their fields say.
_READ_OTHERWISE = frozenset({"HEAD", "CONNECT"})
#: A body up to this size goes out with its header section in one piece.
_JOIN = 64 * 1024


class HttpConnection:
    """Idle, or busy with one attempt.

    Attributes:
        deadline: when it has been idle, or silent, for too long.
    """

    __slots__ = (
        "_attempt", "_content", "_head", "_is_sending", "_keep_time", "_pool", "_reader", "_stream",
        "_unsent", "_uses", "deadline",
    )  # fmt: skip

    def __init__(self, pool: HttpPool, channel: Channel) -> None:
        self._pool = pool
        self._attempt: HttpAttempt | None = None
        self._reader: ResponseReader | None = None
        self._head: ResponseHead | None = None
        self._content: bytes | bytearray = b""
        self._is_sending = False
        self._unsent = 0
        self._uses = 0
        self._keep_time = 0.0
        self.deadline = time.monotonic() + _settings.current.keep_time
        self._stream = Stream(channel, self)
        pool.engine.sweep.watch(self)

    # Sending

    def enter(self) -> None:
        """It was opened: take what waits."""
        self._pool.give_back(self)

    def is_fit(self) -> bool:
        """Whether the server has neither closed it nor said anything unasked."""
        return self._stream.is_quiet()

    def begin(self, attempt: HttpAttempt) -> None:
        """Send ``attempt``.

        Raises:
            ConnectionFailed: the connection is broken, and nothing was sent.
        """
        body = attempt.body
        is_small = isinstance(body, bytes) and len(body) <= _JOIN
        self._stream.write(attempt.head + body if is_small else attempt.head)  # type: ignore[operator]
        attempt.was_sent = True
        attempt.was_on_kept = self._uses > 0
        attempt.connection = self
        self._uses += 1
        self._attempt = attempt
        self._reader = ResponseReader(attempt.method, _settings.current.limits)
        self._stream.keep_loop_alive(True)
        self._extend(attempt)
        if not is_small:
            self._is_sending = True
            pieces = (body,) if isinstance(body, bytes) else body
            workers.spawn(self._send_body, attempt, pieces, getattr(body, "length", 0) is None)

    def _send_body(self, attempt: HttpAttempt, pieces: Iterable[bytes], is_chunked: bool) -> None:
        stint = Stint()
        is_ours = False  # what fails
        try:
            for piece in pieces:
                stint.share()
                if not piece:
                    continue
                is_ours = True
                self._stream.write(chunk(piece) if is_chunked else piece)
                self._stream.wait_until_drained()
                is_ours = False
                if self._attempt is not attempt:  # answered or failed before it had all
                    return
                self._extend(attempt)
            if is_chunked:
                is_ours = True
                self._stream.write(LAST_CHUNK)
            self._is_sending = False
        except BaseException as error:
            if is_ours and isinstance(error, ConnectionFailed):
                # The server may have answered before it closed; the reading side tells.
                self._stream.poll()
            elif self._attempt is attempt:  # of the caller's file or generator; a Timeout of gevent is no Exception
                faults.escaped(self._send_body, error)
            faults.reraise_end(error)

    # Receiving: the two methods of a Receiver

    def data_received(self, data: bytes) -> None:
        """Read an answer as its bytes come."""
        attempt, reader = self._attempt, self._reader
        if attempt is None or reader is None:
            self._end()  # unasked
            return
        if not attempt.was_answered and attempt.method not in _READ_OTHERWISE:
            whole = memory_of(_settings.current.limits).read(data)
            if whole is not None and len(whole[1]) <= _settings.current.body_bytes:
                self._head = whole[0]
                self._finish(attempt, whole[1], not self._is_sending)
                return
        is_first = not attempt.was_answered
        attempt.was_answered = True
        self._extend(attempt)
        try:
            reader.feed(data)
            is_complete = self._read(reader)
        except Exception as error:  # whatever is wrong with an answer must reach whoever waits for it
            self._fail(error)
            return
        if is_complete:
            if is_first and self._head is not None and attempt.method not in _READ_OTHERWISE:
                memory_of(_settings.current.limits).remember(data)
            self._finish_read(attempt, reader)

    def connection_lost(self, error: Exception | None) -> None:
        """The answer ends here, or never came."""
        attempt, reader = self._attempt, self._reader
        if attempt is None or reader is None:
            self._end()
            return
        if error is not None:
            self._fail(error)
            return
        if not attempt.was_answered:
            self._fail(PeerClosed("the server closed the connection without an answer"))
            return
        try:
            reader.feed_eof()
            is_complete = self._read(reader)
        except RemoteProtocolError as cause:
            # Its bytes were valid as far as they came: the reader only says where they stop.
            cut = PeerClosed(f"the server closed the connection before its answer was complete: {cause}")
            cut.__cause__ = cause
            self._fail(cut)
            return
        except Exception as failure:
            self._fail(failure)
            return
        if is_complete:
            self._finish_read(attempt, reader)
        else:
            self._fail(PeerClosed("the server closed the connection before its answer was complete"))

    def poll(self) -> None:
        """Read what is there without waiting for the hub."""
        self._stream.poll()

    def _read(self, reader: ResponseReader) -> bool:
        while (event := reader.next()) is not None:
            if type(event) is Data:
                self._add(event.content)
            elif event is END:
                return True
            elif isinstance(event, ResponseHead):
                self._head = event
        return False

    def _add(self, content: bytes) -> None:
        most = _settings.current.body_bytes
        if len(self._content) + len(content) > most:
            raise BodyTooLarge(f"the answer is larger than {most} bytes")
        if not self._content:
            self._content = content
            return
        if not isinstance(self._content, bytearray):
            # A list of parts would leave the heap in pieces: after 30 answers of 50 MB at one time the process kept
            # 800 MB. One large block goes back to the system.
            self._content = bytearray(self._content)
        self._content += content

    def _finish_read(self, attempt: HttpAttempt, reader: ResponseReader) -> None:
        content, self._content = bytes(self._content), b""
        self._finish(attempt, content, reader.keep_alive and not self._is_sending)

    def _finish(self, attempt: HttpAttempt, content: bytes, can_keep: bool) -> None:
        head = self._head
        assert head is not None  # END comes after a head
        can_keep = can_keep and not self._stream.unsent and head.status != 101
        self._attempt = self._reader = self._head = None
        # First give the connection on, then the answer: whoever is woken by it may want a connection at once.
        try:
            if can_keep and not self._stream.has_ended:
                self._keep_time = _keep_time(head.fields)
                self._pool.give_back(self)
            else:
                self._end()
        finally:
            _decoding.answer(attempt, head, content)

    # Ending

    def rest(self) -> None:
        """Nothing to do for now."""
        self._stream.keep_loop_alive(False)
        self.deadline = time.monotonic() + (self._keep_time or _settings.current.keep_time)

    def expire(self) -> None:
        """It was idle or silent for too long; called by the sweep."""
        attempt = self._attempt
        if attempt is None:
            self._end()
            return
        before = self.deadline
        # After a long computation the hub may not have come to what was there in time.
        self._stream.poll()
        if self._attempt is not attempt or self.deadline != before:
            return
        unsent = self._stream.unsent
        if unsent < self._unsent and self.deadline < attempt.ends_by:
            self._extend(attempt)
        elif unsent:
            self._fail(WriteTimeout(f"{self._pool.origin} took nothing for {attempt.timeout:g} seconds"))
        elif self.deadline >= attempt.ends_by:
            self._fail(ReadTimeout(f"the answer of {self._pool.origin} did not end in time"))
        else:
            self._fail(ReadTimeout(f"{self._pool.origin} said nothing for {attempt.timeout:g} seconds"))

    def give_up(self, error: Exception) -> None:
        """The attempt under way ends with ``error``, and the connection with it."""
        self._fail(error)

    def close(self) -> None:
        """Close it; the pool knows."""
        self._pool.engine.sweep.forget(self)
        self._stream.close()

    def drop(self) -> None:
        """Forget it after a fork."""
        self._pool.engine.sweep.forget(self)
        self._stream.drop()

    def _fail(self, error: Exception) -> None:
        attempt = self._attempt
        self._attempt = self._reader = self._head = None
        self._content = b""
        try:
            self._end()
        finally:
            if attempt is not None:
                attempt.fail(error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._fail(faults.as_exception(error))

    def _end(self) -> None:
        self.close()
        self._pool.forget(self)

    def _extend(self, attempt: HttpAttempt) -> None:
        self._unsent = self._stream.unsent
        self.deadline = min(time.monotonic() + attempt.timeout, attempt.ends_by)

    def __repr__(self) -> str:
        state = "idle" if self._attempt is None else self._attempt.method
        return f"<HttpConnection {self._pool.origin} {state}, {self._uses} uses>"


def _keep_time(fields: Fields) -> float:
    """Return for how long the server says it keeps the connection, less a second for the way; 0 when it is silent."""
    announced = find(fields, "keep-alive")
    if not announced:
        return 0.0
    for part in announced.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "timeout" and value.strip('"').isdecimal():
            seconds = float(value.strip('"')[:6])
            most = _settings.current.keep_time
            return min(most, seconds - 1.0 if seconds > 1 else 0.5)
    return 0.0
