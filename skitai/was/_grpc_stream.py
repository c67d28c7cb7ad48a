"""One gRPC call on a stream of HTTP/2: what is sent and what comes back, until its status is known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from skitai.errors import ConnectionFailed, GrpcCode, GrpcError, ReadTimeout, RemoteProtocolError, WriteTimeout
from skitai.net import faults
from skitai.net import pool as workers
from skitai.net.turns import Stint
from skitai.was import _settings
from skitai.was._http2_stream import GivenUp, Http11Required, NotProcessed
from skitai.was._http_attempt import HttpAttempt
from skitai.wire.events import ResponseHead
from skitai.wire.fields import Fields, find
from skitai.wire.grpc.messages import ACCEPTED, MessageReader
from skitai.wire.grpc.metadata import format_timeout
from skitai.wire.http2.coders import Raw
from skitai.wire.http2.errors import Code
from skitai.wire.http2.heads import raw_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skitai.was._grpc_call import GrpcCall, MessageBody
    from skitai.was._grpc_run import GrpcRun
    from skitai.was._http2_connection import Http2Connection

#: Seconds of waiting for a connection that do not count: mostly equal deadlines compress to nothing.
_AT_ONCE = 0.005


class Receiver(Protocol):
    """Who gets the messages of a response."""

    @property
    def is_hungry(self) -> bool:
        """Whether more may come."""

    def received(self, data: bytes) -> None:
        """A message. Raises GrpcError when it ends the call."""


class GrpcAttempt(HttpAttempt):
    """A call on its way to a connection.

    Args:
        run: that sends it. call: what is sent. path, authority: where to. fields: that differ per call.
        ends_by: until when it may take, in seconds of ``time.monotonic()``.
    """

    __slots__ = ("authority", "call", "fields", "path", "run")

    def __init__(self, run: GrpcRun, call: GrpcCall, path: str, authority: str, fields: Fields, ends_by: float) -> None:
        timeout = max(0.001, ends_by - time.monotonic())
        idle = min(timeout, _settings.current.idle_time) if call.timeout is None else timeout
        super().__init__(run, "POST", b"", b"", idle, timeout)
        self.run = run
        self.call = call
        self.path = path
        self.authority = authority
        self.fields = fields

    def begin_http2(self, connection: Http2Connection) -> None:
        """See :class:`HttpAttempt`."""
        GrpcStream(self, connection)

    @property
    def can_repeat(self) -> bool:
        """See :class:`HttpAttempt`."""
        body = self.call.body
        return isinstance(body, bytes) or body.can_repeat

    def finish(self, head: ResponseHead, trailers: Fields, error: GrpcError | None) -> None:
        """There is an answer. Raises nothing: what the run raises ends its call."""
        self._let_go()
        try:
            self.run.answered(head, trailers, error)
        except Exception as failure:
            faults.escaped(self.run.answered, failure)

    def raw(self, scheme: str) -> list[Raw]:
        """Return the header section."""
        call = self.call
        raw = [
            (b":method", b"POST"), (b":scheme", scheme.encode("latin-1")), (b":path", self.path.encode("latin-1")),
            (b":authority", self.authority.encode("latin-1")), (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ]  # fmt: skip
        is_one_for_one = call.rpc is not None and not (call.rpc.takes_stream or call.rpc.gives_stream)
        seconds = call.timeout
        if seconds is None and is_one_for_one:
            seconds = self.timeout
        if seconds is not None:
            left = self.ends_by - time.monotonic()
            raw.append((b"grpc-timeout", format_timeout(seconds if left > seconds - _AT_ONCE else left).encode()))
        if call.is_compressed:
            raw.append((b"grpc-encoding", b"gzip"))
        raw.append((b"grpc-accept-encoding", ACCEPTED.encode()))
        return raw + raw_fields([*call.fields, *self.fields])


class GrpcStream:
    """See the module.

    Args:
        attempt: to send.

    Attributes:
        deadline: for the sweep: when the server has been silent for too long, or the time of the call is over.
    """

    def __init__(self, attempt: GrpcAttempt, connection: Http2Connection) -> None:
        self._attempt: GrpcAttempt | None = attempt
        self._origin = connection.origin
        self._pool = connection.pool
        self._sweep = connection.pool.engine.sweep
        self._receiver: Receiver = attempt.run.receiver
        self._head: ResponseHead | None = None
        self._reader: MessageReader | None = None
        self._trailers: Fields | None = None
        self._has_ended = False
        self._credit = 0
        self._is_sending = False
        body = attempt.call.body
        self._stream = connection.open(self, attempt.raw(self._origin.scheme), body == b"")
        self.deadline = 0.0
        try:
            attempt.was_sent = True
            attempt.was_on_kept = connection.uses > 1
            attempt.connection = self  # type: ignore[assignment]
            attempt.run.stream = self
            self._extend(attempt)
            self._sweep.watch(self)
            if body != b"":
                self._begin_body(attempt, body)
        except Exception as error:
            faults.escaped(self.expire, error)

    def poll(self) -> None:
        """Read what is there without waiting for the hub."""
        self._stream.poll()

    def give_up(self, error: Exception) -> None:
        """Nobody wants the answer any more."""
        self._refuse(error)

    # The messages of the request

    def _begin_body(self, attempt: GrpcAttempt, body: bytes | MessageBody) -> None:
        pieces: Iterable[bytes]
        if isinstance(body, bytes):
            rest = self._stream.send_some(memoryview(body), True)
            if not rest:
                return
            pieces = (bytes(rest),)
        else:
            pieces = body
        self._is_sending = True
        workers.spawn(self._send_body, attempt, pieces)

    def _send_body(self, attempt: GrpcAttempt, pieces: Iterable[bytes]) -> None:
        stream = self._stream
        stint = Stint()
        try:
            attempt.run.activate()  # a generator is the caller's code
            for piece in pieces:
                stint.share()
                if self._attempt is not attempt or not stream.can_send:
                    return
                stream.send(piece)
                if self._attempt is attempt:
                    self._extend(attempt)
            stream.finish()
        except BaseException as error:  # of the caller's generator; a Timeout of gevent is no Exception
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
        if head.status < 200:
            return
        self._head = head
        if head.status == 200 and (find(head.fields, "content-type") or "").lower().startswith("application/grpc"):
            try:
                self._reader = MessageReader(find(head.fields, "grpc-encoding"), _settings.current.grpc_message_bytes)
            except GrpcError as error:
                self._end(GrpcError(GrpcCode.INTERNAL, error.details))

    def data_received(self, content: bytes, size: int) -> None:
        """See :class:`StreamUser`."""
        attempt = self._attempt
        if attempt is None:
            return
        self._extend(attempt)
        if self._reader is None:  # a page of HTTP, which says nothing that its status does not
            self._stream.consumed(size)
            return
        self._credit += size
        self._reader.feed(content)
        self.go_on()

    def ended(self, trailers: Fields | None) -> None:
        """See :class:`StreamUser`."""
        self._has_ended = True
        self._trailers = trailers
        self.go_on()

    def failed(self, error: Exception) -> None:
        """See :class:`StreamUser`."""
        attempt = self._leave()
        if attempt is None:
            return
        if isinstance(error, Http11Required):
            failure: Exception = GivenUp(Code.HTTP_1_1_REQUIRED)  # which cannot carry a call
            failure.__cause__ = error
            error = failure
        # Whoever has begun to answer has looked at it, whatever is said.
        if isinstance(error, NotProcessed) and not attempt.was_answered and attempt.ask_again(self._pool, error):
            return
        attempt.fail(error)

    def go_on(self) -> None:
        """Hand on what is there, as long as somebody wants it."""
        if self._attempt is None:
            return
        receiver, reader = self._receiver, self._reader
        try:
            while reader is not None and receiver.is_hungry and (data := reader.take()) is not None:
                receiver.received(data)
            if not receiver.is_hungry:
                return
            if self._has_ended:
                if reader is not None:
                    reader.end()
                self._end(None)
            elif self._credit:
                credit, self._credit = self._credit, 0
                self._stream.consumed(credit)
        except GrpcError as error:
            self._end(error)
        except Exception as error:
            faults.escaped(self.go_on, error)

    # Ending

    def expire(self) -> None:
        """The server was silent for too long, or the time of the call is over; called by the sweep."""
        attempt, before = self._attempt, self.deadline
        if attempt is None:
            return
        # After a long computation the hub may not have come to what was there in time.
        self._stream.poll()
        if self._attempt is not attempt or self.deadline != before:
            return
        if not self._receiver.is_hungry and self.deadline < attempt.ends_by:
            self._extend(attempt)  # it is not the server who keeps silent
            return
        error: ConnectionFailed
        if self.deadline >= attempt.ends_by:
            error = ReadTimeout(f"the call of {attempt.path} did not end in time")
        elif self._stream.unsent:
            error = WriteTimeout(f"{self._origin} took nothing for {attempt.timeout:g} seconds")
        else:
            error = ReadTimeout(f"{self._origin} said nothing for {attempt.timeout:g} seconds")
        self._refuse(error)

    def _end(self, error: GrpcError | None) -> None:
        """There is an answer, though perhaps not the one that it should have been."""
        self._stream.cancel()
        attempt, head = self._leave(), self._head
        if attempt is not None:
            if head is None:
                attempt.fail(error or RemoteProtocolError("the response has no header section"))
            else:
                attempt.finish(head, self._trailers or [], error)

    def _refuse(self, error: Exception) -> None:
        try:
            self._stream.cancel()
        finally:
            self.failed(error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._refuse(faults.as_exception(error))

    def _leave(self) -> GrpcAttempt | None:
        self._sweep.forget(self)
        attempt, self._attempt = self._attempt, None
        return attempt

    def _extend(self, attempt: GrpcAttempt) -> None:
        self.deadline = min(time.monotonic() + attempt.timeout, attempt.ends_by)

    def __repr__(self) -> str:
        return f"<GrpcStream {self._attempt or 'over'}>"
