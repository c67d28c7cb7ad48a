"""One client connection: its socket, its watchers and its one deadline. What the bytes mean is its session's business.

An idle connection owns no greenlet. A read watcher feeds the session straight from its callback; a prototype that
spawned a greenlet per connection served 60 % of the requests of one that does not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from gevent import get_hub

from skitai.errors import ClientDisconnected
from skitai.hub import tls_faults
from skitai.net import faults
from skitai.net.timers import NEVER, TICK, sweep
from skitai.net.transport import READ_SIZE, Transport

if TYPE_CHECKING:
    from skitai.hub.listener import Listener
    from skitai.hub.server import Server

READ, WRITE = 1, 2

#: Bytes that one response may send before the others have their turn: a client that takes them as fast as they come
#: never makes its greenlet wait, and a single send of all that an app returned may take seconds.
MOST_AT_ONCE = 512 * 1024

#: Seconds and bytes that a closing connection still reads, so that a client can take the last answer: closing a socket
#: with unread bytes makes the kernel send a reset, which can overtake that answer (RFC 9112 section 9.6).
LINGER_TIME = 2.0
#: The same for a server that stops, which should not wait for clients that only forgot to close.
LINGER_TIME_WHEN_STOPPING = 0.5
LINGER_BYTES = 16 * 1024 * 1024


class Session(Protocol):
    """A protocol spoken on a connection. All of these are called in the hub and must not block."""

    def receive(self, data: bytes) -> None:
        """Bytes came."""

    def end_of_input(self) -> None:
        """The client will send no more; it may still read."""

    def closed(self) -> None:
        """The connection is gone, also when the session had closed it."""

    def expire(self) -> None:
        """The deadline has passed."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""

    def drain(self) -> None:
        """The server stops: say so, and close the connection when what is in progress has ended."""

    def end_drain(self) -> None:
        """The client has had a moment to hear of it: begin nothing new where the protocol can say so."""


class TakingOver(Session, Protocol):
    """A session that takes a connection over from another one, after ``101 Switching Protocols``."""

    def begin(self) -> None:
        """The connection is yours."""


class _WriteWait:
    """The deadline of a greenlet that waits until its client takes bytes.

    It stands beside that of the session, which may be reading a request body at the same time.
    """

    __slots__ = ("_connection", "deadline")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.deadline = sweep.now + TICK + connection.server.limits.write_time

    def expire(self) -> None:
        """The sweep calls this."""
        self._connection.abort()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._connection.break_off(error)


class Connection:
    """A client connection.

    Args:
        server: that accepted it. transport: its socket. peer: (address, port) of the client.
        listener: that accepted it. number: of the connection in this process.

    Attributes:
        read_size: bytes read at a time; a session may change it.
    """

    __slots__ = (
        "_is_lingering", "_lingered", "_read_watcher", "_recv", "_write_watcher", "created", "deadline", "input_ended",
        "is_closed", "listener", "number", "peer", "read_size", "server", "session", "transport",
    )  # fmt: skip

    session: Session

    def __init__(
        self, server: Server, transport: Transport, peer: tuple[str, int], listener: Listener, number: int
    ) -> None:
        self.server = server
        self.transport = transport
        self.peer = peer
        self.listener = listener
        self.created = str(time.time())  # PEP 3333 wants every value of a CGI name to be a str
        self.number = number
        self.deadline = NEVER
        self.is_closed = False
        self.input_ended = False
        self._is_lingering = False
        self._lingered = 0
        self._recv = transport.recv
        self.read_size = READ_SIZE
        self._write_watcher: Any = None
        self._read_watcher = get_hub().loop.io(transport.fileno(), READ)

    def start(self, session: Session) -> None:
        """Begin to read."""
        self.session = session
        sweep.watch(self)
        self._read_watcher.start(self._on_readable)

    def hand_over(self, session: TakingOver, data: bytes) -> None:
        """Let another session have the connection; any greenlet may call this.

        Args:
            session: its ``begin()`` is called in the hub, before anything else. data: read already, and for it.
        """
        self.session = session
        self.deadline = NEVER
        if self.is_closed:
            session.closed()
            return
        self._read_watcher.stop()  # what comes now must not overtake what came before
        get_hub().loop.run_callback(faults.guarded, self._begin_session, session, data)

    def _begin_session(self, session: TakingOver, data: bytes) -> None:
        self.resume()  # first: the session may pause it
        if not self.is_closed:
            session.begin()
        if data and not self.is_closed:
            session.receive(data)
        if self.input_ended and not self.is_closed:
            session.end_of_input()

    def _on_readable(self) -> None:
        try:
            data = self._recv(self.read_size)
        except BlockingIOError:
            return
        except OSError as error:
            tls_faults.end(self, error)
            return
        except Exception as error:
            faults.escaped(self._on_readable, error)
            return
        try:
            if self._is_lingering:
                self._linger_more(data)
            elif data:
                self.session.receive(data)
                if self.transport.has_ended:
                    self._end_input()
            else:
                self._end_input()
        except Exception as error:  # a fault of ours ends this connection, and nothing else
            faults.escaped(self._on_readable, error)

    def _end_input(self) -> None:
        """Tell the session that nothing more comes, but not while it does not want to read."""
        if not (self.is_closed or self.input_ended or self._is_lingering) and self._read_watcher.active:
            self.input_ended = True
            self._read_watcher.stop()
            self.session.end_of_input()

    def look(self) -> None:
        """Read what has come, without waiting for the loop to see it; nothing when the connection is not read now."""
        if not self.is_closed and self._read_watcher.active:
            self._on_readable()

    # Reading less

    def pause(self) -> None:
        """Stop reading, so that TCP slows the client down."""
        self._read_watcher.stop()

    def resume(self) -> None:
        """Read again after :meth:`pause`."""
        if not (self.is_closed or self.input_ended or self._read_watcher.active):
            self._read_watcher.start(self._on_readable)
            if self.transport.has_ended:
                get_hub().loop.run_callback(faults.guarded, self._end_input)

    # Writing

    def send(self, data: bytes) -> None:
        """Send all of ``data``; the calling greenlet waits while the client takes no bytes.

        Raises:
            ClientDisconnected: the client is gone, or took nothing for ``Limits.write_time``.
        """
        if self.is_closed:
            raise ClientDisconnected("the client closed the connection")
        try:
            sent = self.transport.send(data if len(data) <= MOST_AT_ONCE else memoryview(data)[:MOST_AT_ONCE])
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lost(error)
        if sent < len(data) or self.transport.pending:
            self._send_rest(memoryview(data)[sent:])

    def give_way(self) -> None:
        """Let all others have a turn, while the client takes bytes.

        Raises:
            ClientDisconnected: as :meth:`send`.
        """
        self._wait_writable()

    def _send_rest(self, view: memoryview) -> None:
        transport = self.transport
        while view or transport.pending:
            self._wait_writable()
            try:
                if view:
                    view = view[transport.send(view[:MOST_AT_ONCE]) :]
                else:
                    transport.flush()
            except BlockingIOError:
                continue
            except OSError as error:
                self._lost(error)

    def send_file(self, file: int, offset: int, count: int) -> bool:
        """Send a part of a regular file by sendfile(2).

        Returns:
            False when this transport cannot and nothing was sent.

        Raises:
            ClientDisconnected: as :meth:`send`; also when the file became shorter, which cannot be mended.
        """
        while count:
            try:
                sent = self.transport.send_file(file, offset, min(count, MOST_AT_ONCE))
            except BlockingIOError:
                self._wait_writable()
                continue
            except OSError as error:
                self._lost(error)
            if sent is None:
                return False
            if sent == 0:
                self._lost(EOFError("the file became shorter while it was sent"))
            offset += sent
            count -= sent
            if count:
                self.give_way()
        return True

    def try_send(self, data: bytes) -> bool:
        """Send a short answer from the hub, which must not wait; False when not all of it went out."""
        try:
            return self.transport.send(data) == len(data) and not self.transport.pending
        except OSError:
            return False

    def _wait_writable(self) -> None:
        if self.is_closed:
            raise ClientDisconnected("the client closed the connection")
        hub = get_hub()
        if self._write_watcher is None:
            self._write_watcher = hub.loop.io(self.transport.fileno(), WRITE)
        wait = _WriteWait(self)
        sweep.watch(wait)
        try:
            hub.wait(self._write_watcher)
        finally:
            sweep.forget(wait)
        if self.is_closed:
            raise ClientDisconnected("the client closed the connection")

    def _lost(self, error: BaseException) -> NoReturn:
        self.abort()
        raise ClientDisconnected("the client closed the connection") from error

    # Ending

    def expire(self) -> None:
        """The sweep calls this."""
        if self._is_lingering:
            self.abort()
        else:
            self.session.expire()

    def close(self) -> None:
        """Close in peace: say that we send no more, and give the client a moment to read what it was sent."""
        if self.is_closed or self._is_lingering:
            return
        self.transport.shutdown()
        if self.input_ended:
            self.abort()
            return
        self._is_lingering = True
        self._recv = self.transport.drain
        self.deadline = sweep.now + (LINGER_TIME_WHEN_STOPPING if self.server.is_stopping else LINGER_TIME)
        self.resume()

    def _linger_more(self, data: bytes) -> None:
        self._lingered += len(data)
        if not data or self._lingered > LINGER_BYTES:
            self.abort()

    def abort(self, *, is_abrupt: bool = False) -> None:
        """Close at once; ``is_abrupt`` tells the client that what it got is not everything."""
        if self.is_closed:
            return
        self.is_closed = True
        sweep.forget(self)
        self._read_watcher.close()
        close = self.transport.close_abruptly if is_abrupt else self.transport.close
        # A greenlet that waits to write is woken first: its watcher must not outlive the number of its socket.
        reason = ClientDisconnected("the client took no bytes for too long, or closed the connection")
        get_hub().cancel_waits_close_and_then([self._write_watcher], reason, close)
        self.server.forget(self)
        self.session.closed()

    def abandon(self) -> None:
        """See :meth:`Server.abandon`: what is written from now on goes nowhere."""
        self.is_closed = True
        self.transport.close()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`: who works for a request of it is told that the client is gone."""
        self.abort(is_abrupt=True)

    @property
    def is_lingering(self) -> bool:
        """Whether the last answer was sent and only the client's end is awaited."""
        return self._is_lingering

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "closing" if self._is_lingering else "open"
        return f"<Connection {self.number} of {self.peer[0]}:{self.peer[1]} {state} {self.session!r}>"
