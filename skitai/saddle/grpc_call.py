"""``was.grpc_call``: the gRPC call that is served, with its deadline, its metadata and the messages of its request."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent

from skitai.errors import ClientDisconnected, GrpcCode, GrpcError
from skitai.net import logs
from skitai.net import pool as workers
from skitai.net.timers import NEVER, sweep
from skitai.saddle.lazy import lazy
from skitai.wire.fields import Fields
from skitai.wire.grpc import messages
from skitai.wire.grpc.messages import MessageReader
from skitai.wire.grpc.metadata import decode_metadata, encode_metadata, parse_timeout
from skitai.wire.grpc.methods import Method, parse
from skitai.wire.grpc.status import SERVER_FAULTS, encode_message, status_fields

if TYPE_CHECKING:
    from skitai.saddle.service import Was

#: Bytes of a request that are taken at a time.
PIECE = 64 * 1024
#: Characters of a path and of a text that are logged.
MOST_LOGGED = 200
#: Messages, or steps of unpacking, for which a function need not wait before others have their turn: 64 KB may be
#: thirteen thousand messages, or 64 MB of compressed ones.
MOST_AT_ONCE = 64
#: Bytes of a message that count as one more.
_STEP = 16 * 1024
#: Of every response; the second says what clients may send.
FIELDS: Fields = [("Content-Type", "application/grpc"), ("grpc-accept-encoding", messages.ACCEPTED)]
_COMPRESSED: Fields = [*FIELDS, ("grpc-encoding", "gzip")]
OK: Fields = [("grpc-status", "0"), ("grpc-message", "ok")]


class GrpcCall:
    """See the module.

    Args:
        was: of the request.

    Attributes:
        method: that is called; see :class:`skitai.wire.grpc.methods.Method`.
        deadline: when the client waits no longer, in seconds of ``time.monotonic()``; infinite when it does not say.
        compresses: messages to the client are compressed where that is worth it. It is so when the client does so; set
            it before the first message, for a client that understands gzip.
    """

    method: Method

    def __init__(self, was: Was) -> None:
        exchange = was.exchange
        self._was = was
        self._exchange = exchange
        self._most: int = was.app.config.max_grpc_message_size
        self._coding: str | None = exchange.header("grpc-encoding")
        self._leading: Fields | None = None
        self._trailing: Fields | None = None
        self.compresses = self._coding == "gzip"
        self.deadline = NEVER
        self.is_over = False

    # For functions

    @lazy
    def metadata(self) -> list[tuple[str, str | bytes]]:
        """(name, value) pairs of the client, names in lower case; values of names that end with ``-bin`` are bytes."""
        return decode_metadata(self._exchange.fields)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of metadata with this name."""
        name = name.lower()
        return next((value for each, value in self.metadata if each == name), default)

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline, at least 0; ``None`` when there is none."""
        return None if self.deadline == NEVER else max(0.0, self.deadline - monotonic())

    @property
    def is_active(self) -> bool:
        """Whether the client still waits: it has not cancelled the call, and the deadline has not passed."""
        return not (self.is_over or self._exchange.is_gone or monotonic() >= self.deadline)

    @property
    def has_lost_client(self) -> bool:
        """Whether it is the client of this call that a ClientDisconnected speaks of, and not another one."""
        return bool(self._exchange.is_gone or self._exchange.connection.input_ended)

    @property
    def is_stopping(self) -> bool:
        """Whether the server stops, and waits for this call: a stream without an end should end now."""
        return bool(self._exchange.connection.server.is_stopping)

    def add_leading(self, name: str, value: str | bytes) -> None:
        """Send metadata before the first message.

        Raises:
            LocalProtocolError: it cannot be sent, or the response has begun.
        """
        self._leading = [*(self._leading or ()), *encode_metadata([(name, value)])]

    def add_trailing(self, name: str, value: str | bytes) -> None:
        """Send metadata behind the last message, with the status. Raises LocalProtocolError when it cannot be sent."""
        self._trailing = [*(self._trailing or ()), *encode_metadata([(name, value)])]

    # The request

    def messages(self) -> Iterator[Any]:
        """Give out the messages of the client as they come.

        Raises:
            GrpcError: the deadline has passed, or something is wrong with them.
            ClientDisconnected: the client has cancelled the call.
        """
        reader = MessageReader(self._coding, self._most)
        take, read, kind = reader.take, self._exchange.body.read1, self.method.input
        left = MOST_AT_ONCE
        while True:
            self.check()
            data = take()
            if data is None:
                piece = read(PIECE)
                if not piece:
                    break
                reader.feed(piece)
                continue
            left -= 1 + len(data) // _STEP
            if left <= 0:
                left = MOST_AT_ONCE
                gevent.sleep(0)
            yield parse(kind, data)
        reader.end()

    def message(self) -> Any:
        """Return the one message of a client that sends no stream.

        Raises:
            GrpcError: there is none or several, besides what :meth:`messages` raises.
        """
        found = self.messages()
        message = next(found, None)
        if message is None or next(found, None) is not None:
            raise GrpcError(GrpcCode.UNIMPLEMENTED, f"{self.method.name} takes one message")
        return message

    # The response

    def leading_fields(self) -> Fields:
        """Return the header section of the response; what the function did to ``was.response`` is committed."""
        was = self._was
        fields = _COMPRESSED if self._can_compress else FIELDS
        if was.effects:
            for each in sorted(was.effects, key=lambda each: each.commit_order):
                each.commit()
            response = was.__dict__.get("response")
            if response is not None:
                fields = fields + [each for each in response.fields if each[0].lower() != "content-type"]
        return fields + (was.extra_fields or []) + (self._leading or [])

    def frame(self, message: Any) -> bytes:
        """Return a message as it is sent.

        Raises:
            TypeError: it is not of the class that the method returns.
        """
        if not isinstance(message, self.method.output):
            wanted = self.method.output.DESCRIPTOR.full_name
            raise TypeError(f"{self.method.path} gives {wanted}, not {type(message).__name__}")
        return messages.frame(message.SerializeToString(), self._can_compress)

    def trailers(self, error: GrpcError | None) -> Fields:
        """Return the trailers of a call that went well, or not."""
        fields = OK if error is None else status_fields(error)
        return fields if self._trailing is None else fields + self._trailing

    @property
    def _can_compress(self) -> bool:
        return self.compresses and "gzip" in (self._exchange.header("grpc-accept-encoding") or "")

    # The deadline

    def begin(self, method: Method) -> None:
        """Begin to answer, and to watch the deadline.

        Raises:
            GrpcError: it has passed, or is not valid.
        """
        self.method = method
        timeout = self._exchange.header("grpc-timeout")
        if timeout is not None:
            self.deadline = monotonic() + parse_timeout(timeout)
            self.check()
            sweep.watch(self)

    def check(self) -> None:
        """Tell a function that goes on that nobody waits for it.

        Raises:
            GrpcError: the deadline has passed. ClientDisconnected: the client has cancelled the call.
        """
        if self.deadline != NEVER and monotonic() >= self.deadline:
            raise _deadline_exceeded()
        if self._exchange.is_gone:
            raise ClientDisconnected("the client has cancelled the call")

    def end(self, error: GrpcError | None = None) -> None:
        """End the response, once. Raises ClientDisconnected when the client is gone."""
        sweep.forget(self)
        if self.is_over:
            return
        self.is_over = True
        exchange = self._exchange
        trailers = self.trailers(error)
        if error is not None:
            self._note(error)
        if exchange.is_started:
            exchange.finish(trailers)
        else:
            exchange.start(200, FIELDS + (self._was.extra_fields or []) + trailers)
            exchange.finish()

    def forget(self) -> None:
        """Nothing more will be sent."""
        sweep.forget(self)
        self.is_over = True

    def expire(self) -> None:
        """The deadline has passed: answer at once. The function is told when it reads or sends the next time."""
        sweep.forget(self)
        if not self.is_over:
            workers.spawn(self._end_late)

    def _note(self, error: GrpcError) -> None:
        """Say in the app log how the call ended: its status of HTTP, which the request log has, is 200 in any case.

        What is no fault of the server is left out where requests are not logged either.
        """
        code, exchange = error.code, self._exchange
        is_fault = code in SERVER_FAULTS
        if is_fault or exchange.began:
            text = f"{exchange.raw_path[:MOST_LOGGED]} ended with grpc-status {code:d} {code.name}"
            if error.details:
                text += f": {encode_message(error.details)[:MOST_LOGGED]}"
            logs.current().app.log(text, "error" if is_fault else "info", self._was.log_tag)

    def _end_late(self) -> None:
        error = _deadline_exceeded()
        self._exchange.interrupt(error)
        try:
            self.end(error)
        except ClientDisconnected:
            self._exchange.abort()

    def __repr__(self) -> str:
        return f"<GrpcCall {self._exchange.path}{' over' if self.is_over else ''}>"


def _deadline_exceeded() -> GrpcError:
    return GrpcError(GrpcCode.DEADLINE_EXCEEDED, "the deadline has passed")

