"""A WebSocket whose bytes an app makes and reads itself: they go over a pair of sockets, of which the app has one.

So it does not matter to the app whether its client came by TLS or on a stream of HTTP/2. Nothing here waits.
"""

from __future__ import annotations

import _socket
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gevent import get_hub

from skitai.hub.connection import READ, WRITE
from skitai.net import faults, forks
from skitai.net.timers import NEVER, TICK, sweep

if TYPE_CHECKING:
    from skitai.hub.websocket_carrier import Carrier

#: Bytes read from the app at a time.
_PIECE: Final = 64 * 1024
#: Bytes that wait for the other side above which no more is read.
_HIGH_WATER: Final = 256 * 1024


class Bridge:
    """The :class:`~skitai.hub.websocket_carrier.Carried` of such a WebSocket.

    Args:
        carrier: to the client. sock: our end of the pair. write_time: ``Limits.write_time``.
        on_end: called with this, 1005 and ``""`` when the client is gone or was told that it is over.

    Attributes:
        bytes_in, bytes_out: from and to the client. deadline: for the sweep.
    """

    is_idle = False  # a stop drains it, and does not just close it

    def __init__(
        self, carrier: Carrier, sock: _socket.socket, write_time: float, on_end: Callable[[Bridge, int, str], object]
    ) -> None:
        sock.setblocking(False)
        self._carrier = carrier
        self._sock = sock
        _open.add(self)
        self._write_time = write_time
        self._on_end = on_end
        self._queue: deque[memoryview] = deque()
        self._unsent = 0  # to the app
        self._has_input_ended = False
        self._is_over = False
        self.bytes_in = self.bytes_out = 0
        self.deadline = NEVER
        loop = get_hub().loop
        self._reader: Any = loop.io(sock.fileno(), READ)
        self._writer: Any = loop.io(sock.fileno(), WRITE)

    def begin(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`."""
        if not self._is_over:
            sweep.watch(self)
            self._reader.start(faults.guarded, self._on_readable)

    # From the client

    def receive(self, data: bytes) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`."""
        if self._is_over:
            return
        self.bytes_in += len(data)
        self._queue.append(memoryview(data))
        self._unsent += len(data)
        if len(self._queue) == 1:
            self._on_writable()
        if self._unsent > _HIGH_WATER:
            self._carrier.pause()

    def end_of_input(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`: the app reads the end behind what came before."""
        self._has_input_ended = True
        if not self._is_over and not self._queue:
            self._end_for_app()

    def closed(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`."""
        self._end()
        self._carrier.release()

    def carrier_drained(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`."""
        if not self._is_over and self._carrier.unsent <= _HIGH_WATER and not self._reader.active:
            self._reader.start(faults.guarded, self._on_readable)

    def expire(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`: the client took nothing for too long, unless it did."""
        carrier = self._carrier
        if self._is_over or (carrier.unsent and sweep.now - carrier.progressed >= self._write_time):
            carrier.abort()
        else:
            self.deadline = carrier.progressed + TICK + self._write_time if carrier.unsent else NEVER

    # The end of the server

    def drain(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`. The app is told as if the client had gone."""
        self.end_of_input()

    def end_drain(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`."""

    def say_goodbye(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carried`: only the app could say something."""

    # The app

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._carrier.abort()

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            self._carrier.finish()
            return
        self.bytes_out += len(data)
        carrier = self._carrier
        carrier.send(data)
        if carrier.unsent and not self._is_over:
            self.deadline = min(self.deadline, sweep.now + TICK + self._write_time)
            if carrier.unsent > _HIGH_WATER:
                self._reader.stop()

    def _on_writable(self) -> None:
        queue = self._queue
        before = self._unsent
        try:
            while queue:
                sent = self._sock.send(queue[0])
                self._unsent -= sent
                if sent < len(queue[0]):
                    queue[0] = queue[0][sent:]
                    break
                queue.popleft()
        except BlockingIOError:
            pass
        except OSError:  # the app has closed its end, which we read in a moment; what it does not want is dropped
            queue.clear()
            self._unsent = 0
        if queue:
            if not self._writer.active:
                self._writer.start(faults.guarded, self._on_writable)
        else:
            self._writer.stop()
            if self._has_input_ended:
                self._end_for_app()
        if before > _HIGH_WATER >= self._unsent:
            self._carrier.resume()

    def _end_for_app(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(_socket.SHUT_WR)

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        sweep.forget(self)
        self._reader.close()
        self._writer.close()
        self._queue.clear()
        self._sock.close()
        _open.discard(self)
        self._on_end(self, 1005, "")

    def abandon(self) -> None:
        """In a child that the app has forked: a copy of our end would keep the WebSocket open."""
        self._sock.close()

    def __repr__(self) -> str:
        return f"<Bridge {'over' if self._is_over else 'open'}, {self._unsent} bytes for the app>"


#: Those that have not ended, for a child that an app forks.
_open: weakref.WeakSet[Bridge] = weakref.WeakSet()


def _abandon_all() -> None:
    for each in list(_open):
        each.abandon()


forks.forget_in_child(_abandon_all)
