"""One gRPC call at one server: see :mod:`skitai.was._clients`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from skitai.errors import ConnectTimeout, GrpcCode, GrpcError, ReadTimeout, WriteTimeout
from skitai.was import _clients, _engine, _settings
from skitai.was._grpc_result import GrpcResult
from skitai.was._grpc_stream import GrpcAttempt, Receiver
from skitai.was._http_pool import HttpPool, Origin
from skitai.wire import urls
from skitai.wire.fields import Fields

if TYPE_CHECKING:
    from skitai.was._grpc_call import GrpcCall
    from skitai.was._grpc_stream import GrpcStream
    from skitai.was._http_attempt import HttpAttempt
    from skitai.was._task import Task
    from skitai.wire.events import ResponseHead


def start(task: Task) -> GrpcRun:
    """Send the call of ``task``; see :mod:`skitai.was._clients`."""
    call = cast("GrpcCall", task.call)
    verify, cert = _settings.security(call.verify)
    if task.cluster is None:
        url = urls.parse_url(call.uri)
        scheme, host, port, path, authority = url.scheme, url.host, url.port, url.target, url.authority
    else:
        definition, state = task.cluster.definition, task.member
        assert state is not None
        if call.verify is None and definition.verify is not None:
            verify = definition.verify
        cert = definition.cert or cert
        scheme = "https" if definition.tls else "http"
        host, port = state.member.host, state.member.port
        path, authority = urls.quote_target(task.path), urls.authority(scheme, host, port)
    # Not the connections of other calls: those may speak HTTP/1.1 there, and here nothing but HTTP/2 will do.
    if scheme == "http":
        verify, cert = True, None
    origin = Origin(scheme, host, port, verify, True, cert, only_http2=True)
    run = GrpcRun(task, call, origin, path, authority)
    run.send()
    return run


_clients.table["grpc"] = start


class Collector:
    """Takes all messages of a response, up to the bound of a body.

    Attributes:
        messages: that came.
    """

    is_hungry = True

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._size = 0

    def received(self, data: bytes) -> None:
        """See :class:`Receiver`."""
        # A message of no bytes takes memory as well.
        self._size += len(data) + 40
        if self._size > _settings.current.body_bytes:
            raise GrpcError(GrpcCode.RESOURCE_EXHAUSTED, "the messages are too many to be collected: use stream()")
        self.messages.append(data)


class GrpcRun:
    """See the module.

    Attributes:
        receiver: of the messages. stream: that the call is on.
    """

    def __init__(self, task: Task, call: GrpcCall, origin: Origin, path: str, authority: str) -> None:
        self._task = task
        self._call = call
        self._origin = origin
        self._path = path
        self._authority = authority
        self._fields = _fields(task.request.context.transaction_lines())
        total = _settings.current.total_time if call.timeout is None else call.timeout
        self._ends_by = task.request.created + total
        self._is_cancelled = False
        self._attempt: GrpcAttempt | None = None
        self.receiver: Receiver = Collector() if call.feed is None else call.feed
        self.stream: GrpcStream | None = None

    def send(self) -> None:
        """Send it, at once when there is a connection."""
        self._attempt = attempt = GrpcAttempt(
            self, self._call, self._path, self._authority, self._fields, self._ends_by
        )
        if self._call.feed is not None:
            self._call.feed.run = self
        engine = _engine.current()
        pool = engine.pools.get(self._origin)
        if pool is None:
            pool = engine.pools[self._origin] = HttpPool(engine, self._origin)
        pool.submit(attempt)

    def poll(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        if self._attempt is not None:
            self._attempt.poll()

    def cancel(self) -> None:
        """End the work: the server is told, and the result says CANCELLED."""
        self._is_cancelled = True
        if self._attempt is not None:
            self._attempt.cancel()

    def activate(self) -> None:
        """Make the running greenlet one of the request that made the call."""
        self._task.request.context.activate()

    # The outcome

    def answered(self, head: ResponseHead, trailers: Fields, error: GrpcError | None) -> None:
        """The call has ended with an answer."""
        call = self._call
        messages = self.receiver.messages if isinstance(self.receiver, Collector) else []
        node = (self._origin.host, self._origin.port)
        is_one = call.feed is None and call.rpc is not None and not call.rpc.gives_stream
        try:
            result = GrpcResult.ended(self._task.call, node, head, trailers, messages, error, is_one)
            self._task.succeed(result)
        finally:
            if call.feed is not None:
                call.feed.ended()

    def attempt_answered(self, attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
        """Not used: messages are no content. See :meth:`answered`."""
        raise AssertionError("a gRPC call is answered by messages")

    def attempt_failed(self, attempt: HttpAttempt, error: Exception) -> None:
        """There is no answer; another member of the cluster is asked where that is safe."""
        body = self._call.body
        can_repeat = not attempt.was_sent and (isinstance(body, bytes) or body.can_repeat)
        is_late = time.monotonic() >= self._ends_by
        if is_late and isinstance(error, (ConnectTimeout, WriteTimeout)):
            late = ReadTimeout(f"the call of {self._path} did not end in time")  # whatever it was that took so long
            late.__cause__ = error
            error = late
        try:
            is_wanted = not (self._is_cancelled or is_late)
            self._task.fail(error, can_repeat and is_wanted, (self._origin.host, self._origin.port))
        finally:
            if self._call.feed is not None:
                self._call.feed.ended()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._task.break_off(error)
        if self._call.feed is not None:
            self._call.feed.ended()


def _fields(lines: str) -> Fields:
    """Return fields of HTTP/2 for header lines."""
    pairs = (line.partition(": ") for line in lines.split("\r\n") if line)
    return [(name.lower(), value) for name, _, value in pairs]
