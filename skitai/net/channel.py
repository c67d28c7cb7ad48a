"""Our end of a connection to a server: a non-blocking socket, plain or under TLS, with one small interface."""

from __future__ import annotations

import _socket
import ssl
from contextlib import suppress
from typing import Protocol

from skitai.wire.hosts import absolute_name

#: Bytes read at a time.
READ_SIZE = 64 * 1024


class Channel(Protocol):
    """What a stream needs of its socket. Nothing here blocks."""

    def fileno(self) -> int:
        """Return the file descriptor to watch."""

    def recv(self, size: int, /) -> bytes:
        """Return bytes, ``b""`` at the end of input. Raises BlockingIOError when there are none yet."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing comes behind what :meth:`recv` returned last. The socket need not show it.

        Under TLS the peer says so by close_notify (RFC 8446 section 6.1), which may come in one piece with data, and
        then wait for ours before it closes the connection.
        """

    @property
    def has_unread(self) -> bool:
        """Whether :meth:`recv` has something to return that the socket does not show: it was read already."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Take some bytes and return how many. Raises BlockingIOError when it can take none now."""

    @property
    def pending(self) -> bool:
        """Whether bytes that were taken have not gone out; call :meth:`flush` when the socket can be written."""

    def flush(self) -> None:
        """Send what is pending. Raises BlockingIOError when some of it stays."""

    def close(self) -> None:
        """Give the socket back."""

    def drop(self) -> None:
        """Close our descriptor without a word to the peer: another process goes on with this connection."""


class PlainChannel:
    """A TCP connection.

    Args:
        sock: connected and non-blocking.
    """

    __slots__ = ("_socket", "close", "drop", "fileno", "recv", "send")

    pending = False
    has_ended = False  # the socket shows it
    has_unread = False

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self.fileno = sock.fileno
        self.recv = sock.recv
        self.send = sock.send
        self.close = self.drop = sock.close

    def flush(self) -> None:
        """See :class:`Channel`; nothing is ever pending."""


class TlsChannel:
    """A connection under TLS; call :meth:`shake_hands` until it returns True before anything else.

    The engine works on memory, so it does not matter whether ``ssl`` was patched.

    Args:
        sock: connected and non-blocking.
        context: of a client.
        host: whose certificate is expected.
    """

    __slots__ = ("_engine", "_incoming", "_outgoing", "_socket", "_unsent", "drop", "fileno", "has_ended")

    def __init__(self, sock: _socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._socket = sock
        self.fileno = sock.fileno
        self.drop = sock.close
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # RFC 6066 section 3: without the dot that makes a name absolute. No certificate has one either.
        self._engine = context.wrap_bio(self._incoming, self._outgoing, server_hostname=absolute_name(host))
        self._unsent = b""
        self.has_ended = False

    @property
    def protocol(self) -> str | None:
        """The protocol agreed by ALPN."""
        return self._engine.selected_alpn_protocol()

    def shake_hands(self) -> bool:
        """Do what can be done of the handshake; return whether it is over. Wait for the socket between two calls.

        Raises:
            ssl.SSLError: it failed. OSError: the connection did.
        """
        with suppress(BlockingIOError):
            self._receive()
        try:
            self._engine.do_handshake()
            is_over = True
        except ssl.SSLWantReadError:
            is_over = False
        except ssl.SSLError:
            with suppress(OSError):
                self.flush()  # the alert tells the server why
            raise
        with suppress(BlockingIOError):
            self.flush()
        return is_over

    @property
    def pending(self) -> bool:
        """See :class:`Channel`."""
        return bool(self._unsent or self._outgoing.pending)

    @property
    def has_unread(self) -> bool:
        """See :class:`Channel`: what came in one piece with the end of the handshake."""
        return bool(self._incoming.pending or self._engine.pending())

    def recv(self, size: int, /) -> bytes:
        """See :class:`Channel`. Broken TLS gives :class:`ssl.SSLError`; an end without close_notify does, too."""
        if self.has_ended:
            return b""
        try:
            self._receive()
        except BlockingIOError:
            if not self.has_unread:
                raise
        parts: list[bytes] = []
        try:
            while part := self._engine.read(READ_SIZE):
                parts.append(part)
            self.has_ended = True  # close_notify: ssl tells it by no bytes, or by SSLZeroReturnError
        except ssl.SSLWantReadError:
            if not parts:
                raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        except ssl.SSLEOFError:
            # Without its close_notify an end may be an attacker's: only a framing of the body itself can tell.
            if not parts:
                raise
        return b"".join(parts)

    def send(self, data: bytes | memoryview, /) -> int:
        """See :class:`Channel`."""
        if self.pending:
            self.flush()
        taken = self._engine.write(data[:READ_SIZE])
        with suppress(BlockingIOError):
            self.flush()
        return taken

    def flush(self) -> None:
        """See :class:`Channel`."""
        while True:
            if not self._unsent:
                self._unsent = self._outgoing.read()
            if not self._unsent:
                return
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def close(self) -> None:
        """See :class:`Channel`. Says close_notify when that needs no waiting."""
        with suppress(OSError, ValueError):
            self._engine.unwrap()
        with suppress(OSError):
            self.flush()
        self._socket.close()

    def _receive(self) -> None:
        data = self._socket.recv(READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
