"""The messages of a call as they come, and those that are sent meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from gevent.event import Event

from skitai.errors import CallEnded
from skitai.wire.grpc import methods

if TYPE_CHECKING:
    from types import TracebackType

    from skitai.was._grpc_run import GrpcRun
    from skitai.was._request import Request

#: Bytes of messages that wait for whoever iterates; with more, the server is not asked for further ones.
MOST_WAITING = 256 * 1024
#: Messages that wait to be sent; with more, whoever sends waits.
MOST_UNSENT = 16


class Feed:
    """Messages between a stream and whoever iterates over them.

    Attributes:
        run: that the call is on.
    """

    def __init__(self) -> None:
        self.run: GrpcRun | None = None
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._news = Event()

    # As the receiver of a stream

    @property
    def is_hungry(self) -> bool:
        """See :class:`skitai.was._grpc_stream.Receiver`."""
        return self._size < MOST_WAITING

    def received(self, data: bytes) -> None:
        """See :class:`skitai.was._grpc_stream.Receiver`."""
        self._waiting.append(data)
        self._size += len(data) + 40
        self._news.set()

    def ended(self) -> None:
        """The call is over, or goes on at another server."""
        self._news.set()

    # For whoever iterates

    def take(self) -> bytes | None:
        """Return the next message; ``None`` when there is none yet."""
        if not self._waiting:
            return None
        was_hungry = self.is_hungry
        data = self._waiting.popleft()
        self._size -= len(data) + 40
        if not was_hungry and self.is_hungry and self.run is not None and self.run.stream is not None:
            self.run.stream.go_on()
        return data

    def wait(self) -> None:
        """Wait until something changes."""
        self._news.wait()
        self._news.clear()


class Outgoing:
    """Messages that are sent one by one: an iterable that ends when it is told to."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._has_ended = False
        self._is_over = False
        self._news = Event()
        self._room = Event()

    def put(self, message: Any) -> None:
        """Send a message; waits while many wait before it.

        Raises:
            CallEnded: nothing can be sent any more.
        """
        while len(self._waiting) >= MOST_UNSENT and not self._is_over:
            self._room.clear()
            self._room.wait()
        if self._has_ended or self._is_over:
            raise CallEnded("the call takes no further messages")
        self._waiting.append(message)
        self._news.set()

    def end(self) -> None:
        """There are no more."""
        self._has_ended = True
        self._news.set()

    def close(self) -> None:
        """The call is over."""
        self._is_over = True
        self._waiting.clear()
        self._news.set()
        self._room.set()

    def __iter__(self) -> Iterator[Any]:
        while not self._is_over:
            if self._waiting:
                message = self._waiting.popleft()
                self._room.set()
                yield message
            elif self._has_ended:
                return
            else:
                self._news.clear()
                self._news.wait()


class Conversation:
    """A call whose messages are taken as they come: iterate over it, or :meth:`receive`.

    Leaving it early, by ``close()`` or at the end of a ``with`` block, cancels the call.

    Args:
        request: that was started. feed: where its messages come. rpc: the method. outgoing: what :meth:`send` sends;
            ``None`` when all messages were given.
    """

    def __init__(self, request: Request, feed: Feed, rpc: methods.Method | None, outgoing: Outgoing | None) -> None:
        self._request = request
        self._feed = feed
        self._rpc = rpc
        self._outgoing = outgoing

    # Sending

    def send(self, message: Any) -> None:
        """Send a message, of a stream to which none were given before.

        Raises:
            TypeError: the method takes another kind. CallEnded: the call is over, or :meth:`done_sending` was said.
        """
        if self._outgoing is None or self._rpc is None:
            raise TypeError("all messages of this call were given when it was started")
        if not isinstance(message, self._rpc.input):
            raise TypeError(f"{self._rpc.path} takes {self._rpc.input.DESCRIPTOR.full_name}")
        self._outgoing.put(message)

    def done_sending(self) -> None:
        """There are no more messages to send."""
        if self._outgoing is not None:
            self._outgoing.end()

    # Receiving

    def receive(self) -> Any:
        """Return the next message; waits for it. ``None`` at the end of a call that went well.

        Raises:
            GrpcCallFailed: the server ended the call with an error. RequestFailed: the connection failed.
        """
        while True:
            data = self._feed.take()
            if data is not None:
                assert self._rpc is not None
                return methods.parse(self._rpc.output, data)
            if self._request.is_done:
                self._request.getwait(None).reraise()
                return None
            self._feed.wait()

    def __iter__(self) -> Iterator[Any]:
        while (message := self.receive()) is not None:
            yield message

    # How it went

    @property
    def result(self) -> Any:
        """The result of the call, when it has ended: its status, and ``headers`` with the metadata."""
        return self._request.getwait(None)

    @property
    def is_done(self) -> bool:
        """Whether the call has ended; messages may still wait."""
        return self._request.is_done

    def close(self) -> None:
        """Cancel the call, unless it has ended."""
        run = self._feed.run
        if self._outgoing is not None:
            self._outgoing.close()
        if not self._request.is_done and run is not None:
            run.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Conversation {self._request!r}>"
