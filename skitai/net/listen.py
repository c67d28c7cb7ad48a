"""Sockets that listen."""

from __future__ import annotations

import socket

#: Clients that the kernel lets wait to be accepted.
BACKLOG = 2048


def bind(address: tuple[str, int], backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens on (host, port).

    Args:
        address: an IPv4 or IPv6 address or name; port 0 lets the system choose one.

    Raises:
        OSError: the name is unknown, or the address is taken or not ours.
    """
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, resolved = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(resolved)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock
