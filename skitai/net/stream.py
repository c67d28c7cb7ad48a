"""A connection to a server as a stream of bytes, pushed to whoever speaks its protocol.

Nothing waits here: a read watcher hands bytes to the receiver from the hub, and :meth:`Stream.write` sends at once what
the socket takes, the rest when it can. A call on a warm connection so needs no greenlet of its own.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import Any, Protocol

from gevent import get_hub
from gevent.hub import Waiter

from skitai.errors import ConnectionFailed, PeerClosed, TlsFailed
from skitai.net import faults
from skitai.net.channel import READ_SIZE, Channel

#: A writer that waits goes on below so many unsent bytes, and starts to wait above.
HIGH_WATER = 256 * 1024

READ, WRITE = 1, 2


class Receiver(Protocol):
    """Who gets what a stream reads. Both methods are called in the hub mostly, and must not block.

    What :meth:`data_received` raises ends the connection, and comes back by :meth:`connection_lost`.
    """

    def data_received(self, data: bytes) -> None:
        """Bytes came."""

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come: the peer ended its side (``None``), or the connection broke.

        Called once, but for a receiver that closed the stream itself and raised after that.
        """


class Stream:
    """One open connection.

    Args:
        channel: from :func:`skitai.net.connect.connect`.
        receiver: gets everything that is read from now on.
    """

    __slots__ = (
        "_channel", "_drains", "_is_lost", "_queue", "_reader", "_receiver", "_recv", "_send", "_size", "_writer",
    )  # fmt: skip

    def __init__(self, channel: Channel, receiver: Receiver) -> None:
        self._channel = channel
        self._receiver = receiver
        self._recv = channel.recv
        self._send = channel.send
        self._queue: deque[bytes | memoryview] = deque()
        self._size = 0
        self._drains: list[Waiter[None]] = []
        self._is_lost = False
        loop = get_hub().loop
        self._reader: Any = loop.io(channel.fileno(), READ)
        self._writer: Any = loop.io(channel.fileno(), WRITE)
        self._reader.start(self._on_readable)
        if channel.has_unread:
            loop.run_callback(self.poll)

    # Reading

    def poll(self) -> None:
        """Read once without waiting for the hub to see it: for a caller who has no time left."""
        if not self._is_lost:
            self._on_readable()

    def is_quiet(self) -> bool:
        """Whether the peer has neither sent anything nor ended its side: only then may a kept connection be used."""
        if self.has_ended:
            return False
        try:
            self._recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def pause(self) -> None:
        """Read no more for now, so that TCP slows the peer down."""
        self._reader.stop()

    def resume(self) -> None:
        """Read again after :meth:`pause`."""
        if not self._is_lost and not self._reader.active:
            self._reader.start(self._on_readable)
            if self._channel.has_ended:
                get_hub().loop.run_callback(self._end)

    def keep_loop_alive(self, value: bool) -> None:
        """Whether ``gevent.wait()`` waits for this stream: it should not for an idle one."""
        self._reader.ref = value

    # Writing

    def write(self, data: bytes) -> None:
        """Send ``data``, at once as far as the socket takes it and the rest later.

        Raises:
            ConnectionFailed: the connection is broken, and no byte of ``data`` went out.
        """
        if self._is_lost:
            raise PeerClosed("the connection is closed")
        if not self._queue and not self._channel.pending:
            try:
                taken = self._send(data)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                raise _translate(error) from error
            if taken == len(data) and not self._channel.pending:
                return
            if taken:
                self._queue.append(memoryview(data)[taken:])
                self._size += len(data) - taken
            else:
                self._push(data)
        else:
            self._push(data)
        self._writer.start(self._on_writable)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to take them."""
        return self._size

    def wait_until_drained(self) -> None:
        """Block the calling greenlet while too much is unsent. Returns also when the connection is lost.

        Several greenlets may wait, where a connection carries several requests.
        """
        while self._size > HIGH_WATER and not self._is_lost:
            waiter: Waiter[None] = Waiter(get_hub())
            self._drains.append(waiter)
            try:
                waiter.get()
            finally:
                if waiter in self._drains:
                    self._drains.remove(waiter)

    # Ending

    @property
    def is_lost(self) -> bool:
        """Whether the connection is closed or broken."""
        return self._is_lost

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be read: it is lost, or the peer has said its last word, just now perhaps."""
        return self._is_lost or self._channel.has_ended

    def close(self) -> None:
        """Close at once, without telling the receiver; what is unsent is dropped. Closing twice does nothing."""
        if not self._is_lost:
            self._release()
            self._channel.close()

    def drop(self) -> None:
        """Forget the connection without a word to the peer: after a fork it belongs to the parent."""
        if not self._is_lost:
            self._release()
            self._channel.drop()

    def _push(self, data: bytes) -> None:
        self._queue.append(data)
        self._size += len(data)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._lose(faults.as_exception(error))

    def _on_readable(self) -> None:
        try:
            data = self._recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError):
            if self._channel.pending:
                self._writer.start(self._on_writable)
            return
        except OSError as error:
            self._lose(_translate(error))
            return
        except Exception as error:
            faults.escaped(self._on_readable, error)
            return
        if not data:
            self._lose(None)
            return
        try:
            self._receiver.data_received(data)
            if self._channel.has_ended:
                self._end()
        except Exception as error:
            faults.escaped(self._on_readable, error)

    def _end(self) -> None:
        """Tell of an end that came in one piece with data: the socket will not. Not while nobody wants to read."""
        if not self._is_lost and self._reader.active:
            self._lose(None)

    def _on_writable(self) -> None:
        try:
            self._send_queue()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            # The peer may have answered before it closed: what it said matters more than that it closed.
            self._writer.stop()
            self._size = 0
            self._queue.clear()
            faults.guarded(self._read_last_words, _translate(error))
            return
        except Exception as error:
            faults.escaped(self._on_writable, error)
            return
        if not self._queue and not self._channel.pending:
            self._writer.stop()
        if self._drains and self._size <= HIGH_WATER:
            self._wake()

    def _send_queue(self) -> None:
        self._channel.flush()
        while self._queue:
            data = self._queue[0]
            taken = self._send(data)
            self._size -= taken
            if taken < len(data):
                self._queue[0] = memoryview(data)[taken:]
            else:
                self._queue.popleft()

    def _read_last_words(self, error: ConnectionFailed) -> None:
        while not self._is_lost:
            try:
                data = self._recv(READ_SIZE)
            except OSError:
                data = b""
            if not data:
                self._lose(error)
                return
            self._receiver.data_received(data)

    def _lose(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._release()
            self._channel.close()
        faults.guarded(self._receiver.connection_lost, error)

    def _release(self) -> None:
        self._is_lost = True
        self._reader.close()
        self._writer.close()
        self._queue.clear()
        self._size = 0
        self._wake()

    def _wake(self) -> None:
        drains, self._drains = self._drains, []
        for waiter in drains:
            get_hub().loop.run_callback(waiter.switch, None)

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else f"{self._size} bytes unsent"
        return f"<Stream fd={-1 if self._is_lost else self._channel.fileno()} {state}>"


def _translate(error: OSError) -> ConnectionFailed:
    if isinstance(error, ConnectionError):
        return _chain(PeerClosed(f"the server closed the connection: {error.strerror or error}"), error)
    if isinstance(error, ssl.SSLEOFError):
        return _chain(PeerClosed("the server ended the TLS connection without close_notify"), error)
    if isinstance(error, ssl.SSLError):
        return _chain(TlsFailed(f"TLS failed: {error}"), error)
    return _chain(ConnectionFailed(f"the connection failed: {error}"), error)


def _chain(failure: ConnectionFailed, cause: OSError) -> ConnectionFailed:
    failure.__cause__ = cause
    return failure
