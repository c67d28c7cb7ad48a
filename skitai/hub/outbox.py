"""Bytes on their way to a client that several greenlets write to: the one writer of a multiplexed connection.

What the socket takes goes out at once, from whoever has something to say; the rest when the socket can take more, from
the hub. Whoever makes a lot waits until there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.event import Event

from skitai.errors import ClientDisconnected
from skitai.hub.connection import WRITE
from skitai.net import faults
from skitai.net.timers import NEVER, TICK, sweep

if TYPE_CHECKING:
    from skitai.hub.connection import Connection

#: Unsent bytes above which a greenlet waits before it makes more.
HIGH_WATER = 256 * 1024
#: Unsent bytes above which the connection ends: they can only be answers to what a client sends that reads nothing.
MOST_UNSENT = 4 * 1024 * 1024


class Outbox:
    """The bytes for one client.

    Args:
        connection: to send them by; it is broken off when the client takes nothing for ``Limits.write_time``.

    Attributes:
        size: bytes that wait. deadline: for the sweep.
    """

    __slots__ = ("_connection", "_on_empty", "_on_room", "_parts", "_room", "_watcher", "deadline", "size")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: list[bytes | memoryview] = []  # few: an empty deque takes 600 bytes
        self._room: Event | None = None
        self._on_empty: Callable[[], None] | None = None
        self._on_room: list[Callable[[], None]] | None = None
        self._watcher: Any = None
        self.deadline = NEVER
        self.size = 0

    def put(self, data: bytes) -> None:
        """Send ``data``, now or later; never waits. Nothing happens when the connection is closed."""
        if self._connection.is_closed:
            return
        was_empty = not self.size
        self._parts.append(data)
        self.size += len(data)
        if self.size > MOST_UNSENT:
            self._connection.abort()
        elif was_empty and not self._send():
            self._wait_for_socket()

    def wait(self, is_over: Callable[[], bool] | None = None) -> None:
        """Wait until there is room, or until ``is_over`` says that this is in vain, which is asked by :meth:`wake`.

        Raises:
            ClientDisconnected: the client is gone.
        """
        while self.is_full and not (is_over is not None and is_over()):
            if self._room is None:
                self._room = Event()
            self._room.clear()
            self._room.wait()
        if self._connection.is_closed:
            raise ClientDisconnected("the client closed the connection")

    @property
    def is_full(self) -> bool:
        """Whether nobody should make more before there is room."""
        return self.size > HIGH_WATER

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the hub when there is room again; never when the connection ends before."""
        self._on_room = [*(self._on_room or ()), callback]

    def wake(self) -> None:
        """Let those that wait look whether they still have to."""
        if self._room is not None:
            self._room.set()
        callbacks, self._on_room = self._on_room, None
        for callback in callbacks or ():
            get_hub().loop.run_callback(faults.guarded, callback)

    def when_empty(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the hub, or at once, when all bytes are sent."""
        if self._is_done:
            callback()
        else:
            self._on_empty = callback

    def close(self) -> None:
        """The connection is closed: forget what is unsent, and let nobody wait."""
        sweep.forget(self)
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._parts.clear()
        self.size = 0
        self._on_empty = self._on_room = None
        self.wake()

    def expire(self) -> None:
        """The client took nothing for too long; the sweep calls this."""
        self._connection.abort()

    @property
    def _is_done(self) -> bool:
        return not self.size and not self._connection.transport.pending

    def _send(self) -> bool:
        """Send what the socket takes; return whether that was everything."""
        transport, parts = self._connection.transport, self._parts
        try:
            while parts:
                part = parts[0]
                sent = transport.send(part)
                self.size -= sent
                if sent == len(part):
                    del parts[0]
                else:
                    parts[0] = memoryview(part)[sent:]
            if transport.pending:
                transport.flush()
        except BlockingIOError:
            pass
        except OSError:
            self._connection.abort()
            return True
        return self._is_done

    def _wait_for_socket(self) -> None:
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._connection.transport.fileno(), WRITE)
        self._watcher.start(self._on_writable)
        self._extend()
        sweep.watch(self)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._connection.break_off(error)

    def _on_writable(self) -> None:
        try:
            self._go_on()
        except Exception as error:
            faults.escaped(self._on_writable, error)

    def _go_on(self) -> None:
        before = self.size
        is_done = self._send()
        if self._connection.is_closed:
            return
        if self.size <= HIGH_WATER // 2:
            self.wake()
        if is_done:
            self._watcher.stop()
            sweep.forget(self)
            callback, self._on_empty = self._on_empty, None
            if callback is not None:
                callback()
        elif self.size < before:
            self._extend()

    def _extend(self) -> None:
        self.deadline = sweep.now + TICK + self._connection.server.limits.write_time

    def __repr__(self) -> str:
        return f"<Outbox {self.size} bytes>"
