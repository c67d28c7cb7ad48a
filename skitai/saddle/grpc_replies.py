"""The responses of gRPC calls: one message or a stream of them, with the status behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from skitai.errors import ClientDisconnected, GrpcError
from skitai.saddle.grpc_call import GrpcCall
from skitai.saddle.streams import Body
from skitai.wire.fields import Fields

#: Makes the status of what a function raised.
Explain = Callable[[BaseException], GrpcError]


class GrpcReply(Body):
    """A response of gRPC: for our own server only, because others send no trailers.

    Args:
        call: that it answers.
    """

    def __init__(self, call: GrpcCall) -> None:
        super().__init__([call.forget])
        self._call = call

    def __iter__(self) -> NoReturn:
        raise NotImplementedError("gRPC needs trailers, which WSGI does not have")


class Message(GrpcReply):
    """One message.

    Args:
        call: that it answers. fields: the header section. data: the message with its prefix.
    """

    def __init__(self, call: GrpcCall, fields: Fields, data: bytes) -> None:
        super().__init__(call)
        self._fields = fields
        self._data = data

    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """See :class:`Body`."""
        try:
            if not self._call.is_over:
                exchange.start(200, self._fields)
                exchange.write(self._data)
                self._call.end()
        finally:
            self.close()


class Failure(GrpcReply):
    """No message, and why.

    Args:
        call: that it answers. error: what went wrong.
    """

    def __init__(self, call: GrpcCall, error: GrpcError) -> None:
        super().__init__(call)
        self._error = error

    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """See :class:`Body`."""
        try:
            self._call.end(self._error)
        finally:
            self.close()


class Messages(GrpcReply):
    """A stream of messages.

    Args:
        call: that it answers. content: the messages. explain: makes a status of what the function raised.
    """

    def __init__(self, call: GrpcCall, content: Iterable[Any], explain: Explain) -> None:
        super().__init__(call)
        self._content: Iterator[Any] = iter(content)
        self._explain = explain
        close = getattr(content, "close", None)
        if callable(close):
            self.on_close(close)

    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """See :class:`Body`. The slot of the app is free meanwhile."""
        call = self._call
        try:
            error: GrpcError | None = None
            try:
                self._send_all(exchange)
            except ClientDisconnected as failure:
                if call.has_lost_client and not call.is_over:
                    raise
                if not call.is_over:  # it is another client that the function lost
                    error = self._explain(failure)
            except Exception as failure:
                error = self._explain(failure)
            call.end(error)
        finally:
            self.close()

    def _send_all(self, exchange: Any) -> None:
        call = self._call
        for message in self._content:
            call.check()
            data = call.frame(message)
            if not exchange.is_started:
                exchange.start(200, call.leading_fields())
            exchange.write(data)
        if not exchange.is_started and not call.is_over:
            exchange.start(200, call.leading_fields())
