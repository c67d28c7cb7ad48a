"""A listening socket: accepts clients as long as there are any, and survives what comes with it."""

from __future__ import annotations

import _socket
import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from skitai.hub.connection import READ
from skitai.net import faults

if TYPE_CHECKING:
    from skitai.hub.server import Server

#: Clients accepted in one turn of the hub; more would let the connections that are open wait.
ACCEPT_AT_ONCE = 64
#: Clients accepted at most before the socket is closed: as many as the queue of a kernel usually holds.
ACCEPT_LAST = 4096
#: Seconds without accepting when the process has no file descriptor left.
PAUSE = 0.1

#: What accept(2) says of a client that is gone already, or of its network. The next client may be well. Anything else
#: is about this process or its socket: the socket stays readable, and to try again at once would take all of the loop.
_OF_THE_CLIENT = frozenset({
    errno.ECONNABORTED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EINTR, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ENONET if hasattr(errno, "ENONET") else errno.ENETDOWN, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPERM,
    errno.EPROTO, errno.ETIMEDOUT,
})  # fmt: skip


class Listener:
    """Accepts the clients of one bound socket.

    Args:
        server: gets the clients. sock: bound and listening; it is made non-blocking. tls: context for TLS, else plain.

    Attributes:
        address: (host, port) that it is bound to. scheme: ``"http"`` or ``"https"``.
        asks_clients: whether clients are asked for certificates.
        https_port: where its clients are sent to, 0 when they are served here.
    """

    def __init__(self, server: Server, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._socket = sock
        sock.setblocking(False)
        self.tls = tls
        self.scheme = "http" if tls is None else "https"
        self.asks_clients = tls is not None and tls.verify_mode != ssl.CERT_NONE
        self.https_port = 0
        self.is_unix = sock.family == socket.AF_UNIX
        name = sock.getsockname()
        self.address: tuple[str, int] = (str(name), 0) if self.is_unix else (name[0], name[1])
        self._watcher: Any = None
        self._pause: Any = None
        self._has_rested = False

    def start(self) -> None:
        """Begin to accept."""
        self._watcher = get_hub().loop.io(self._socket.fileno(), READ)
        self._watcher.start(self._on_readable)

    def accept_waiting(self) -> None:
        """Accept who has connected already: when the socket is closed, the kernel resets those that nobody accepted."""
        if self._watcher is not None and self._watcher.active:
            for _ in range(ACCEPT_LAST // ACCEPT_AT_ONCE):
                if not self._on_readable():
                    return

    def stop(self) -> None:
        """Accept no more and close the socket."""
        for watcher in (self._watcher, self._pause):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._pause = None
        self._socket.close()

    def abandon(self) -> None:
        """See :meth:`Server.abandon`."""
        self._socket.close()

    def _on_readable(self) -> bool:
        """Accept some clients; return whether there may be more."""
        for _ in range(ACCEPT_AT_ONCE):
            try:
                number, peer = self._socket._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in _OF_THE_CLIENT:
                    self._rest(error)
                    return False
                continue
            self._has_rested = False
            client = _socket.socket(self._socket.family, self._socket.type, self._socket.proto, fileno=number)
            try:
                client.setblocking(False)
                self._server.connected(self, client, ("", 0) if self.is_unix else (peer[0], peer[1]))
            except OSError:
                client.close()  # it is gone
            except Exception as error:  # gevent would stop the watcher, and nobody were accepted any more
                faults.report(error)
                client.close()
        return True

    def _rest(self, error: OSError) -> None:
        """Try again in a moment: the waiting clients stay in the queue of the kernel."""
        if not self._has_rested:
            self._has_rested = True
            self._server.logs.server.log(f"accepting rests, it is tried again soon: {error.strerror}", "warn")
        self._watcher.stop()
        # A new one each time: a timer of libev that has run out fires at once when it is started again.
        self._pause = get_hub().loop.timer(PAUSE)
        self._pause.start(self._go_on)

    def _go_on(self) -> None:
        self._pause.close()
        self._pause = None
        self._watcher.start(self._on_readable)

    def __repr__(self) -> str:
        return f"<Listener {self.scheme}://{self.address[0]}:{self.address[1]}>"
