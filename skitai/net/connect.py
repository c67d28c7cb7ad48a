"""Opening a connection to a server: the name, the addresses, TLS. Blocks the calling greenlet, never the hub.

Foreign errors end here: what leaves is a :class:`skitai.errors.ConnectionFailed` with the first cause chained.
"""

from __future__ import annotations

import _socket
import errno
import os
import ssl
import time
from typing import Any

from gevent import Timeout, get_hub
from gevent.hub import Waiter

from skitai.errors import ConnectFailed, ConnectTimeout, NameNotFound, TlsFailed
from skitai.net.channel import Channel, PlainChannel, TlsChannel

#: Seconds that an address has before the next one is tried beside it (RFC 8305 section 5 recommends 0.25).
STAGGER = 0.25
#: Seconds that the addresses of a name are kept: enough for a burst of connections, short for a change of DNS.
NAME_TTL = 5.0

READ, WRITE = 1, 2

Address = tuple[int, int, int, Any]

_names: dict[tuple[str, int], tuple[float, list[Address]]] = {}
_MOST_NAMES = 1024


def connect(host: str, port: int, deadline: float, tls: ssl.SSLContext | None = None) -> Channel:
    """Return an open channel to ``host``.

    Args:
        host: a name, an IPv4 or an IPv6 address (without brackets).
        deadline: monotonic seconds by which name, connection and handshake must be done together.
        tls: encrypt with this context, for a server called ``host``.

    Raises:
        NameNotFound, ConnectFailed, ConnectTimeout, TlsFailed: as their names say.
    """
    sock = _race(host, port, resolve(host, port, deadline), deadline)
    try:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        if tls is None:
            return PlainChannel(sock)
        channel = TlsChannel(sock, tls, host)
        _shake_hands(channel, f"{host}:{port}", deadline)
        return channel
    except BaseException:
        sock.close()
        raise


def resolve(host: str, port: int, deadline: float) -> list[Address]:
    """Return the addresses of ``host`` as (family, type, protocol, sockaddr), best first (RFC 6724).

    Raises:
        NameNotFound: there are none. ConnectTimeout: it took too long.
    """
    try:
        return _addresses(_socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_NUMERICHOST))
    except OSError:
        pass  # a name
    except UnicodeError as error:
        raise NameNotFound(f"{host} cannot be the name of a host: {error}") from error
    known = _names.get((host, port))
    if known is not None and known[0] > time.monotonic():
        return known[1]
    try:
        # The resolver's thread goes on when we stop waiting for it: nothing is killed.
        with Timeout(max(deadline - time.monotonic(), 0.001), ConnectTimeout(f"no address of {host} came in time")):
            found = _addresses(get_hub().resolver.getaddrinfo(host, port, 0, _socket.SOCK_STREAM))
    except OSError as error:
        raise NameNotFound(f"the name {host} has no address: {error}") from error
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    _names[host, port] = (time.monotonic() + NAME_TTL, found)
    return found


def wait_for(fileno: int, event: int, deadline: float) -> bool:
    """Wait until a descriptor is ready for ``event`` (READ or WRITE); return False when the deadline came first."""
    return _wait_for_any([fileno], event, deadline) is not None


def _addresses(found: list[Any]) -> list[Address]:
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


def _race(host: str, port: int, addresses: list[Address], deadline: float) -> _socket.socket:
    """Connect to one of the addresses: each gets a head start before the next one is tried beside it."""
    started: dict[int, _socket.socket] = {}
    waiting = list(addresses)
    error: OSError | None = None
    try:
        while waiting or started:
            if waiting:
                sock, failure = _start(waiting.pop(0))
                error = error or failure
                if sock is None:
                    continue
                started[sock.fileno()] = sock
            until = min(deadline, time.monotonic() + STAGGER) if waiting else deadline
            ready = _wait_for_any(list(started), WRITE, until)
            if ready is None:
                if time.monotonic() >= deadline:
                    raise ConnectTimeout(f"no connection to {host}:{port} in time")
                continue
            sock = started.pop(ready)
            code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if code == 0:
                return sock
            sock.close()
            error = error or OSError(code, os.strerror(code))
        raise ConnectFailed(f"cannot connect to {host}:{port}: {error}") from error
    finally:
        for sock in started.values():
            sock.close()


def _start(address: Address) -> tuple[_socket.socket | None, OSError | None]:
    family, kind, protocol, where = address
    try:
        sock = _socket.socket(family, kind, protocol)
    except OSError as error:  # no descriptors left, or no IPv6 on this machine
        return None, error
    sock.setblocking(False)
    try:
        code = sock.connect_ex(where)
    except OSError as error:
        sock.close()
        return None, error
    if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        return sock, None
    sock.close()
    return None, OSError(code, os.strerror(code))


def _wait_for_any(filenos: list[int], event: int, deadline: float) -> int | None:
    hub = get_hub()
    waiter = Waiter(hub)
    watchers = [hub.loop.io(fileno, event) for fileno in filenos]
    timer = hub.loop.timer(max(deadline - time.monotonic(), 0.0))
    try:
        for fileno, watcher in zip(filenos, watchers, strict=True):
            watcher.start(waiter.switch, fileno)
        timer.start(waiter.switch, None)
        ready: int | None = waiter.get()
        return ready
    finally:
        timer.close()
        for watcher in watchers:
            watcher.close()


def _shake_hands(channel: TlsChannel, where: str, deadline: float) -> None:
    try:
        while not channel.shake_hands():
            event = WRITE if channel.pending else READ
            if not wait_for(channel.fileno(), event, deadline):
                raise ConnectTimeout(f"the TLS handshake with {where} was not done in time")
    except ssl.SSLCertVerificationError as error:
        raise TlsFailed(f"the certificate of {where} does not verify: {error.verify_message}") from error
    except (OSError, ValueError) as error:
        raise TlsFailed(f"the TLS handshake with {where} failed: {error}") from error
