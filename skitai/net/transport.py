"""The server's end of a client connection: a non-blocking socket, plain or under TLS, with one small interface."""

from __future__ import annotations

import _socket
import os
import ssl
import struct
from contextlib import suppress
from typing import Protocol

#: Bytes read at a time. Large enough for a request of a browser, small enough to be taken from the heap for each read.
READ_SIZE = 16 * 1024

# SO_LINGER on, for 0 seconds.
_RESET = struct.pack("ii", 1, 0)


class Transport(Protocol):
    """What a connection needs of its socket. Nothing here blocks."""

    def fileno(self) -> int:
        """Return the file descriptor to watch."""

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, ``b""`` at the end of input. Raises BlockingIOError when there are none yet."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Take some bytes and return how many. Raises BlockingIOError when it can take none now."""

    @property
    def pending(self) -> bool:
        """Whether bytes that were taken have not gone out; call :meth:`flush` when the socket can be written."""

    @property
    def protocol(self) -> str | None:
        """The protocol agreed by ALPN."""

    def flush(self) -> None:
        """Send what is pending. Raises BlockingIOError when some of it stays."""

    def send_file(self, file: int, offset: int, count: int) -> int | None:
        """Send a part of a regular file without copying it; ``None`` when this transport cannot."""

    def shutdown(self) -> None:
        """Say that we send no more."""

    def drain(self, size: int, /) -> bytes:
        """After :meth:`shutdown`: as :meth:`recv`, for bytes that nobody will look at."""

    def close_abruptly(self) -> None:
        """Give the socket back so that the client cannot take what it has for everything."""

    def close(self) -> None:
        """Give the socket back."""


class PlainTransport:
    """A TCP or unix socket."""

    __slots__ = ("_socket", "drain", "fileno", "recv", "send")

    pending = False
    protocol = None

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self.fileno = sock.fileno
        self.recv = self.drain = sock.recv
        self.send = sock.send

    def flush(self) -> None:
        """See :class:`Transport`; nothing is ever pending."""

    def send_file(self, file: int, offset: int, count: int) -> int | None:
        """See :class:`Transport`."""
        return os.sendfile(self._socket.fileno(), file, offset, count)

    def shutdown(self) -> None:
        """See :class:`Transport`."""
        with suppress(OSError):  # the client was faster
            self._socket.shutdown(_socket.SHUT_WR)

    def close_abruptly(self) -> None:
        """See :class:`Transport`: a reset instead of an end (RFC 9112 section 8)."""
        with suppress(OSError):
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET)
        self._socket.close()

    def close(self) -> None:
        """See :class:`Transport`."""
        self._socket.close()


class TlsTransport:
    """A socket under TLS. The handshake happens in :meth:`recv`, as its bytes come.

    Args:
        sock: connected and non-blocking.
        context: of the server.
    """

    __slots__ = ("_engine", "_incoming", "_is_ready", "_outgoing", "_socket", "_unsent", "drain", "fileno")

    def __init__(self, sock: _socket.socket, context: ssl.SSLContext) -> None:
        self._socket = sock
        self.fileno = sock.fileno
        self.drain = sock.recv  # still encrypted
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._engine = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""
        self._is_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether the handshake has ended."""
        return self._is_ready

    @property
    def protocol(self) -> str | None:
        """The protocol agreed by ALPN."""
        return self._engine.selected_alpn_protocol()

    @property
    def pending(self) -> bool:
        """See :class:`Transport`."""
        return bool(self._unsent or self._outgoing.pending)

    def recv(self, size: int, /) -> bytes:
        """See :class:`Transport`. A client that breaks TLS gives OSError (:class:`ssl.SSLError`)."""
        data = self._socket.recv(READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        try:
            return self._decrypt(size)
        finally:
            if self.pending:
                with suppress(BlockingIOError):
                    self.flush()

    def _decrypt(self, size: int) -> bytes:
        parts: list[bytes] = []
        try:
            if not self._is_ready:
                self._engine.do_handshake()
                self._is_ready = True
            while part := self._engine.read(size):
                parts.append(part)
        except ssl.SSLWantReadError:
            if not parts:
                raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            if not self._is_ready:
                raise
        return b"".join(parts)

    def send(self, data: bytes | memoryview, /) -> int:
        """See :class:`Transport`."""
        if self.pending:
            self.flush()
        if not data:
            return 0
        taken = self._engine.write(data[:READ_SIZE])
        with suppress(BlockingIOError):
            self.flush()
        return taken

    def flush(self) -> None:
        """See :class:`Transport`."""
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def send_file(self, file: int, offset: int, count: int) -> int | None:
        """See :class:`Transport`: the bytes must be encrypted, so it cannot."""
        return None

    def shutdown(self) -> None:
        """See :class:`Transport`: says so in TLS, then in TCP."""
        with suppress(OSError):
            self._engine.unwrap()
        with suppress(OSError):
            self.flush()
            self._socket.shutdown(_socket.SHUT_WR)

    def close_abruptly(self) -> None:
        """See :class:`Transport`: a missing close_notify says that something is missing (RFC 8446 section 6.1)."""
        self._socket.close()

    def close(self) -> None:
        """See :class:`Transport`."""
        self._socket.close()
