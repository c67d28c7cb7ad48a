"""One call to one server: chooses the member of a cluster, and another when that fails and a repetition is safe."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

from skitai.errors import ConnectFailed, ConnectionFailed, NameNotFound, ProtocolError, TlsFailed
from skitai.net import faults, logs
from skitai.was import _clients
from skitai.wire.balance import MemberState
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._clusters import Cluster
    from skitai.was._request import Request
    from skitai.was._result import Node, Result


class Running(Protocol):
    """What a client returns for a call that it has started."""

    def poll(self) -> None:
        """Look for an answer that the hub has not seen; does nothing where there is no such thing."""

    def cancel(self) -> None:
        """End the work as soon as can be, with an error: whoever called wants no answer any more."""


class Task:
    """See the module.

    Args:
        request: gets the result.
        cluster: of the call, ``None`` for a URL. path: what stands behind the alias.
        member: the one to ask, for a map; ``None`` lets the cluster choose, with fail-over.

    Attributes:
        result: ``None`` until there is one.
    """

    __slots__ = (
        "_is_cancelled", "_is_counted", "_running", "_state", "_tried", "call", "cluster", "path", "request", "result",
    )  # fmt: skip

    def __init__(
        self, request: Request, cluster: Cluster | None = None, path: str = "", member: MemberState | None = None
    ) -> None:
        self.request = request
        self.call: Call = request.call
        self.cluster = cluster
        self.path = path
        self.result: Result | None = None
        self._state = member
        self._tried: list[MemberState] | None = None if member is not None or cluster is None else []
        self._running: Running | None = None
        self._is_cancelled = False
        self._is_counted = False  # among those that its member has in progress

    # For the request

    def start(self) -> None:
        """Begin at once; never blocks. The result comes to ``request.task_done``; what raises here is one, too."""
        if self._tried is not None:
            assert self.cluster is not None
            self._state = self.cluster.balancer.choose(monotonic(), self._tried)
            assert self._state is not None  # a cluster has members, and fail-over asked for one more
            self._tried.append(self._state)
        if self._state is not None:
            self._state.begin()
            self._is_counted = True
        try:
            running = _clients.table[self.call.protocol](self)
        except Exception as error:
            faults.escaped(self.start, error, self.request.context.log_tag)
            return
        if self.result is None:  # else it has ended already, and must not be kept by what it started
            self._running = running

    def poll(self) -> None:
        """Look for an answer that the hub has not seen."""
        if self.result is None and self._running is not None:
            self._running.poll()

    def cancel(self) -> None:
        """End the work: see :meth:`Running.cancel`."""
        self._is_cancelled = True
        if self.result is None and self._running is not None:
            self._running.cancel()

    @property
    def node(self) -> Node:
        """The server that is asked, for a cluster; a client knows it for a URL."""
        return self._state.member.node if self._state is not None else None

    @property
    def member(self) -> MemberState | None:
        """The member that is asked."""
        return self._state

    # For the client: one of these, once for each start

    def succeed(self, result: Result) -> None:
        """The server answered, in whatever way."""
        if self._state is not None:
            self._is_counted = False
            self._state.succeed()
        self._end(result)

    def fail(self, error: Exception, can_repeat: bool, node: Node = None) -> None:
        """The call failed.

        Args:
            can_repeat: the request may be sent to another member.
            node: the server, when it is no member.
        """
        is_network = isinstance(error, (ConnectionFailed, ProtocolError))
        if self._state is not None:
            self._is_counted = False
            # Only who cannot be reached is put aside: a request that every member chokes on must not put all aside.
            if isinstance(error, (ConnectFailed, NameNotFound, TlsFailed)):
                self._state.fail(monotonic())
            else:
                self._state.end()
        if is_network and can_repeat and not self._is_cancelled and self._has_another():
            self._log_switch(error)
            self.start()
            return
        self._end(self.call.result.failed(self.call, self.node or node, error))

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`: the call has failed, and is not sent to another member."""
        if self._state is not None and self._is_counted:
            self._is_counted = False
            self._state.end()
        if self.result is None:
            self._end(self.call.result.failed(self.call, self.node, error))

    def _has_another(self) -> bool:
        if self._tried is None or self.cluster is None:
            return False
        return len(self._tried) < len(self.cluster.balancer.states)

    def _log_switch(self, error: Exception) -> None:
        message = f"Cluster Response Error, Switch To Another... ({mask(self.call.uri)} at {self.node}: {error})"
        logs.current().app.log(message, "warn", self.request.context.log_tag)

    def _end(self, result: Result) -> None:
        if self.result is not None:  # it was broken off, and what it had started came to an end of its own
            return
        self.result = result
        self._running = None
        self.request.task_done()

    def __repr__(self) -> str:
        return f"<Task {mask(self.call.uri)} at {self.node} {self.result or 'running'}>"
