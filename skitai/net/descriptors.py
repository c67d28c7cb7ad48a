"""What can be done with the socket of somebody else's library, by its descriptor."""

from __future__ import annotations

import _socket
import os
from contextlib import suppress

from gevent.monkey import get_original

_poll = get_original("select", "poll")
_READABLE = 0x001 | 0x008 | 0x010  # POLLIN, POLLERR, POLLHUP


class Line:
    """A socket that is looked at now and then.

    Args:
        fileno: its descriptor, which must stay open.
    """

    __slots__ = ("_look",)

    def __init__(self, fileno: int) -> None:
        poll = _poll()
        poll.register(fileno, _READABLE)
        self._look = poll.poll

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was received and the other side has not closed: how a kept connection should be."""
        return not self._look(0)


def shut_down(fileno: int) -> None:
    """End both directions of a socket, so that whoever waits for it sees the end of its input. Never blocks.

    The descriptor stays open: it belongs to the library, which closes it itself.
    """
    with suppress(OSError):  # it is closed already
        sock = _socket.socket(fileno=os.dup(fileno))
        try:
            sock.shutdown(_socket.SHUT_RDWR)
        finally:
            sock.close()


def cut_off(fileno: int) -> None:
    """Make a descriptor lead nowhere. For a child process after a fork, whose parent goes on with the connection.

    What the library says when it closes the connection then reaches nobody.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        with suppress(OSError):
            os.dup2(nowhere, fileno, inheritable=False)
    finally:
        os.close(nowhere)


def keep_alive(fileno: int, idle: int, interval: int, count: int) -> None:
    """Let the system ask for a sign of life, where it can be told how.

    Args:
        idle: seconds of silence before the first question. interval: seconds between two.
        count: questions without an answer after which the connection is lost.
    """
    sock = _socket.socket(fileno=os.dup(fileno))
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", interval), ("TCP_KEEPCNT", count)):
            if hasattr(_socket, name):
                sock.setsockopt(_socket.IPPROTO_TCP, getattr(_socket, name), value)
    finally:
        sock.close()
