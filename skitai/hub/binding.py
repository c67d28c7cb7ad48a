"""The sockets of a server, bound before its workers are forked."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final

import gevent.monkey

from skitai.errors import ConfigurationError

# Connections that the kernel completes while all workers are busy; it cuts this at net.core.somaxconn.
BACKLOG: Final = 2048

# gevent's own sockets would give the supervisor a loop; these are the plain ones.
_socket: type[socket.socket] = gevent.monkey.get_original("socket", "socket")
_getaddrinfo = gevent.monkey.get_original("socket", "getaddrinfo")


def bind(address: str, port: int) -> list[socket.socket]:
    """Bind and listen on every address that a name stands for.

    Args:
        address: an IPv4 or IPv6 address or a host name; empty for all IPv4 addresses.
        port: 0 lets the system choose one.

    Returns:
        Listening sockets, all on the same port; more than one for a name such as ``localhost``.

    Raises:
        ConfigurationError: the text says which address and port cannot be bound, why, and what to do.
    """
    bound: list[socket.socket] = []
    try:
        for family, resolved in _resolve(address, port):
            if bound:
                resolved = (resolved[0], bound[0].getsockname()[1], *resolved[2:])
            bound.append(_bind_one(family, resolved))
    except OSError as error:
        for sock in bound:
            sock.close()
        raise ConfigurationError(_explain(error, address, port)) from error
    return bound


def display(sock: socket.socket) -> str:
    """The ``host:port`` that a socket is bound to, as in a URL."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(address: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    found = _getaddrinfo(address or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, resolved) for family, _, _, _, resolved in found))


def _bind_one(family: int, resolved: tuple[Any, ...]) -> socket.socket:
    sock = _socket(family, socket.SOCK_STREAM)
    try:
        # A restarted server may bind while old connections are in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" means IPv6 only here; both are two names, so that one failing is seen.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(resolved)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _explain(error: OSError, address: str, port: int) -> str:
    where = f"port {port} of {address or '0.0.0.0'}"
    if isinstance(error, socket.gaierror):
        return f"{address!r} has no address: {error.strerror}. Give skitai.run(address=...) an IP address"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is already in use: stop the program that has it (ss -ltnp 'sport = :{port}' shows which), "
            f"or choose another with skitai.run(port=...)"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} may not be bound by user {os.getuid()}: choose a port above 1023, or start with more rights"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{where} cannot be bound: this machine has no address {address}. Use 127.0.0.1, 0.0.0.0 or one of its own"
        )
    return f"{where} cannot be bound: {error.strerror}"
