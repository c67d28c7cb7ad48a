"""The server's end of a client connection: a non-blocking socket, plain or under TLS, with one small interface."""

from __future__ import annotations

import _socket
import errno
import os
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from gevent import get_hub

from skitai.net.client_certificate import describe

#: Bytes read at a time. Large enough for a request of a browser, small enough to be taken from the heap for each read.
READ_SIZE = 16 * 1024

#: Bytes that are encrypted and sent at a time, as long as the socket takes them. Waiting for it after each of them took
#: a sixth more of a core. Smaller ones would spare memory, which OpenSSL keeps, and take a tenth more.
RECORD: Final = 16 * 1024

# SO_LINGER on, for 0 seconds.
_RESET = struct.pack("ii", 1, 0)

#: Steps of handshakes in one turn of the loop; the clients of further ones wait for the next turn. A step costs up to a
#: millisecond, as much as tens of requests, and those of the connections that are open already wait behind it. With 500
#: RSA handshakes at once the slowest answer on an open connection took 34 and 40 ms, and 210 and 890 ms without this.
MOST_STEPS: Final = 8


#: Bytes that may wait for a client that we still read. A response leaves at most a record here; above this it is the
#: answers to its requests for new keys that pile up (RFC 8446 section 4.6.3).
MOST_UNSENT: Final = 64 * 1024


class PlainHttp(OSError):
    """A client spoke HTTP without TLS."""


class Transport(Protocol):
    """What a connection needs of its socket. Nothing here blocks."""

    def fileno(self) -> int:
        """Return the file descriptor to watch."""

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, ``b""`` at the end of input. Raises BlockingIOError when there are none yet."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Take some bytes and return how many. Raises BlockingIOError when it can take none now."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing comes behind what :meth:`recv` returned last, which the socket need not show.

        A client may say close_notify in one piece with a request (RFC 8446 section 6.1) and wait for ours.
        """

    @property
    def client_certificate(self) -> Mapping[str, str]:
        """Who the client is by its certificate: see :func:`~skitai.net.client_certificate.describe`."""

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
    has_ended = False  # the socket shows it
    client_certificate: Mapping[str, str] = {}
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


class _Steps:
    """Counts the handshake steps of a turn of the loop."""

    def __init__(self) -> None:
        self._turn = 0.0
        self._left = MOST_STEPS

    def take(self) -> bool:
        """Whether there is one more in this turn."""
        turn = get_hub().loop.now()  # of the loop's own clock, which moves once a turn
        if turn != self._turn:
            self._turn = turn
            self._left = MOST_STEPS
        self._left -= 1
        return self._left >= 0


_steps = _Steps()


class _NoEngine:
    """In place of an engine, until the client has said something."""

    def write(self, data: object) -> int:
        raise BlockingIOError

    def unwrap(self) -> None:
        raise BlockingIOError

    def selected_alpn_protocol(self) -> None:
        return None


_NO_ENGINE: Final[Any] = _NoEngine()
_NO_BYTES: Final = ssl.MemoryBIO()


class TlsTransport:
    """A socket under TLS. The handshake happens in :meth:`recv`, as its bytes come.

    A client that says nothing has a socket and nothing else: what TLS needs is made with the first byte.

    Args:
        sock: connected and non-blocking.
        context: of the server.
    """

    __slots__ = (
        "_certificate", "_context", "_engine", "_incoming", "_is_ready", "_outgoing", "_socket", "_unsent", "drain",
        "fileno", "has_ended",
    )  # fmt: skip

    def __init__(self, sock: _socket.socket, context: ssl.SSLContext) -> None:
        self._socket = sock
        self.fileno = sock.fileno
        self.drain = sock.recv  # still encrypted
        self._context = context
        self._incoming = self._outgoing = _NO_BYTES
        self._engine = _NO_ENGINE
        self._unsent = b""
        self._is_ready = False
        self.has_ended = False
        self._certificate: Mapping[str, str] = {}

    @property
    def is_ready(self) -> bool:
        """Whether the handshake has ended."""
        return self._is_ready

    @property
    def has_begun(self) -> bool:
        """Whether the client has said anything."""
        return self._engine is not _NO_ENGINE

    @property
    def protocol(self) -> str | None:
        """The protocol agreed by ALPN."""
        return self._engine.selected_alpn_protocol()  # type: ignore[no-any-return]

    @property
    def client_certificate(self) -> Mapping[str, str]:
        """See :class:`Transport`; empty when the server asks for none."""
        return self._certificate

    @property
    def pending(self) -> bool:
        """See :class:`Transport`."""
        return bool(self._unsent or self._outgoing.pending)

    def recv(self, size: int, /) -> bytes:
        """See :class:`Transport`.

        Raises:
            ssl.SSLError: the client broke TLS, or does not accept what we show. PlainHttp: it does not speak TLS.
        """
        if not self._is_ready and not _steps.take():
            raise BlockingIOError  # the socket stays readable, so the next turn comes back to it
        if len(self._unsent) > MOST_UNSENT:
            raise ssl.SSLError(errno.ENOBUFS, "the client asks for more and more and takes nothing")
        data = self._socket.recv(READ_SIZE)
        if self._engine is _NO_ENGINE:
            if not data:
                return data
            self._begin(data)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        try:
            if not self._is_ready:
                self._shake_hands()
            return self._decrypt(len(data) or size)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            if not self._is_ready:
                raise
            return b""
        finally:
            if self._outgoing.pending:
                with suppress(BlockingIOError):
                    self.flush()

    def _begin(self, data: bytes) -> None:
        # The first byte of TLS is 22. That of HTTP is a capital letter, which nothing in TLS begins with.
        if data[:1].isupper():
            raise PlainHttp("plain HTTP on a port that speaks HTTPS")
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._engine = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def _shake_hands(self) -> None:
        self._engine.do_handshake()
        self._is_ready = True
        if self._context.verify_mode != ssl.CERT_NONE:
            self._certificate = describe(self._engine.getpeercert(True))

    def send_in_plain(self, data: bytes) -> None:
        """Answer a client that raised :class:`PlainHttp`, without TLS."""
        with suppress(OSError):
            self._socket.send(data)

    def _decrypt(self, size: int) -> bytes:
        engine, incoming = self._engine, self._incoming
        first: bytes = engine.read(size)
        # Mostly that was all. Reading until the engine wants more would end in an exception: with that, and with blocks
        # of READ_SIZE instead of what came, a request and its response took 7.5 microseconds here instead of 5.4.
        if not incoming.pending and not engine.pending():
            return first
        parts = [first]
        try:
            while part := engine.read(READ_SIZE):
                parts.append(part)
            self.has_ended = True  # close_notify: ssl tells it by no bytes, or by SSLZeroReturnError
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        except (ssl.SSLWantReadError, ssl.SSLEOFError):
            pass  # the socket shows more, and an end without close_notify
        return b"".join(parts)

    def send(self, data: bytes | memoryview, /) -> int:
        """See :class:`Transport`."""
        if self._unsent or self._outgoing.pending:
            self.flush()
        size = len(data)
        view = data if size <= RECORD else memoryview(data)
        taken = 0
        while taken < size:
            taken += self._engine.write(view if size <= RECORD else view[taken : taken + RECORD])
            unsent = self._outgoing.read()
            try:
                sent = self._socket.send(unsent)
            except BlockingIOError:
                sent = 0
            if sent != len(unsent):
                self._unsent = unsent[sent:]
                break
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
        self.close()

    def close(self) -> None:
        """See :class:`Transport`."""
        self._socket.close()
        # A connection and its session refer to each other until the collector looks, which takes thousands of them: 20
        # KB of OpenSSL's for each would wait as long.
        self._engine = _NO_ENGINE
        self._incoming = self._outgoing = _NO_BYTES
