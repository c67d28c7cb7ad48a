"""The outcome of a gRPC call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from skitai.errors import CallCancelled, ConnectionFailed, GrpcCallFailed, GrpcCode, GrpcError, ReadTimeout
from skitai.was._http2_stream import GivenUp
from skitai.was._http_result import HttpResult
from skitai.was._result import Node
from skitai.wire import outcomes
from skitai.wire.events import ResponseHead
from skitai.wire.fields import Fields
from skitai.wire.grpc import methods
from skitai.wire.grpc.status import code_of_reset, read_status

if TYPE_CHECKING:
    from skitai.was._call import Call


class GrpcResult(HttpResult):
    """See the module. There is an answer (status 3) also when the server ended the call with an error.

    ``headers`` has the header section and the trailers together: metadata, ``grpc-status`` and ``grpc-message``.
    """

    __slots__ = ("_failure", "_is_read", "_messages")

    _messages: list[bytes]
    _failure: GrpcError | None
    _is_read: bool

    @classmethod
    def ended(
        cls,
        call: Call,
        node: Node,
        head: ResponseHead,
        trailers: Fields,
        messages: list[bytes],
        error: GrpcError | None,
        is_one: bool,
    ) -> Self:
        """Return the result of a call that the server has answered.

        Args:
            messages: that it sent. error: what was wrong with them; else its status counts. is_one: there must be one
                message.
        """
        result = cls(call, node, outcomes.NORMAL, head.status, head.reason)
        result._head = ResponseHead(head.status, head.reason, head.version, head.fields + trailers, False)
        result._messages = messages
        failure = error or read_status(head.status, trailers or head.fields)
        if failure is None and is_one and len(messages) != 1:
            failure = error = GrpcError(GrpcCode.INTERNAL, f"the server sent {len(messages)} messages instead of one")
        result._failure = failure
        if error is not None:  # which is not what the server said
            fields = [each for each in result._head.fields if each[0] not in ("grpc-status", "grpc-message")]
            result._head.fields[:] = [*fields, ("grpc-status", str(int(error.code))), ("grpc-message", error.details)]
        result._is_read = False
        return result

    def as_cached(self, call: Call) -> Self:
        """See :meth:`Result.as_cached`. Messages are read anew: what one caller does to one, another does not see."""
        again = super().as_cached(call)
        again._is_read = False
        return again

    def _read_data(self) -> Any:
        """Return the message, or a list of them where the method gives a stream; ``None`` when there was an error."""
        if self.status != outcomes.NORMAL:
            return None
        if not self._is_read:
            self._read()
        return self._data

    @property
    def grpc_status(self) -> GrpcCode:
        """How it ended: that of the server.

        When none of it came: CANCELLED after :meth:`~skitai.was._request.Request.cancel`, what the code means with
        which the server gave the call up, DEADLINE_EXCEEDED when it took too long, INTERNAL for bytes that are not
        valid and for a fault of ours, else UNAVAILABLE.
        """
        if self.status == outcomes.NORMAL:
            if not self._is_read:
                self._read()
            return GrpcCode.OK if self._failure is None else self._failure.code
        if isinstance(self.error, GrpcError):
            return self.error.code
        if isinstance(self.error, CallCancelled):
            return GrpcCode.CANCELLED
        if isinstance(self.error, GivenUp):
            return code_of_reset(self.error.http2_code)
        is_late = self.status == outcomes.TIMED_OUT or isinstance(self.error, ReadTimeout)
        if is_late:
            return GrpcCode.DEADLINE_EXCEEDED
        return GrpcCode.UNAVAILABLE if isinstance(self.error, ConnectionFailed) else GrpcCode.INTERNAL

    @property
    def details(self) -> str:
        """What the server said about an error."""
        if self.status != outcomes.NORMAL:
            return self.reason
        return "" if self.grpc_status is GrpcCode.OK or self._failure is None else self._failure.details

    def reraise(self) -> None:
        """Do nothing when the call went well.

        Raises:
            OperationTimeout: the wait timed out. RequestFailed: there is no answer.
            GrpcCallFailed: the server ended the call with an error; the metadata are those of its trailers.
        """
        super().reraise()
        if not self._is_read:
            self._read()
        failure = self._failure
        if failure is not None:
            raise GrpcCallFailed(failure.code, failure.details, failure.metadata)

    def _read(self) -> None:
        """Make messages of what came; at first use, in the greenlet of whoever wants them."""
        self._is_read = True
        self._data = None
        rpc: methods.Method = self._call.rpc  # type: ignore[attr-defined]
        if self._failure is not None:
            return
        try:
            messages = [methods.parse(rpc.output, data) for data in self._messages]
        except GrpcError as error:
            self._failure = GrpcError(GrpcCode.INTERNAL, error.details)
            return
        self._data = messages if rpc.gives_stream else messages[0] if messages else None


