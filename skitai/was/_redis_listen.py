"""``SUBSCRIBE``: what other clients of a Redis server published, as an iterator."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from skitai.errors import PeerClosed, ReadTimeout
from skitai.was import _redis, _settings

if TYPE_CHECKING:
    from skitai.net.cooperative import CooperativeSocket
    from skitai.was._redis_driver import Driver
    from skitai.wire.databases import Database

_OF_PATTERNS = frozenset("*?[")


class Message(NamedTuple):
    """What came on a channel.

    Attributes:
        channel, data: as ``PUBLISH`` gave them. pattern: that the channel was found by; ``None`` for its name.
    """

    channel: str | bytes
    data: str | bytes
    pattern: str | bytes | None = None


class Subscription:
    """``with was.redis("@cache").subscribe("news", "job.*") as messages: for each in messages: ...``

    It has a connection that is not one of the pool. When that is lost the iteration raises: what was published in the
    meantime has gone, so whoever subscribes should look for itself before it subscribes again.

    Args:
        database: whose server is listened to. channels, timeout: see
            :meth:`skitai.was._redis_stub.RedisStub.subscribe`. as_bytes: give bytes instead of str.
    """

    def __init__(self, database: Database, channels: Sequence[str], timeout: float | None, as_bytes: bool) -> None:
        if not channels:
            raise ValueError("name at least one channel to subscribe to")
        self._database = database
        self._channels = [each for each in channels if not _OF_PATTERNS & set(each)]
        self._patterns = [each for each in channels if _OF_PATTERNS & set(each)]
        self._timeout = timeout
        self._as_bytes = as_bytes
        self._open: tuple[CooperativeSocket, Driver] | None = None
        self._early: deque[Any] = deque()  # what came before the last channel was confirmed

    def __enter__(self) -> Self:
        if self._open is not None:
            raise RuntimeError("this subscription has begun already: make another one")
        deadline = time.monotonic() + _settings.current.connect_time
        # Version 2 of the protocol: messages are answers then, and nothing else is asked on this connection.
        sock, driver = _redis.open_driver(self._database, deadline, (2,), _settings.current.idle_time)
        errors = _redis.need_driver().redis
        try:
            self._subscribe(driver)
        except BaseException as error:
            sock.close()
            if isinstance(error, errors.TimeoutError):
                raise ReadTimeout(f"{self._database} did not confirm a subscription in time") from error
            if isinstance(error, errors.ConnectionError):
                raise PeerClosed(f"{self._database} closed the connection: {error}") from error
            raise
        self._open = sock, driver
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            sock, _ = self._open
            self._open = None
            sock.close()  # not the driver's own end: another greenlet may be reading through it

    def __iter__(self) -> Iterator[Message]:
        """Return the messages as they come.

        Raises:
            PeerClosed: the connection was lost.
        """
        if self._open is None:
            raise RuntimeError("subscribe() is used by a with block")
        while (opened := self._open) is not None:
            reply = self._early.popleft() if self._early else self._next(*opened)
            if reply is None:
                return
            message = self._message(reply)
            if message is not None:
                yield message

    def _subscribe(self, driver: Driver) -> None:
        expected = 0
        for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
            if names:
                driver.send_command(command, *names)
                expected += len(names)
        while expected:
            reply = driver.read_response()
            if reply[0] in (b"subscribe", b"psubscribe"):
                expected -= 1
            else:
                self._early.append(reply)

    def _next(self, sock: CooperativeSocket, driver: Driver) -> Any:
        """Return what the server sends next; ``None`` when it says nothing in time."""
        errors = _redis.need_driver().redis
        sock.settimeout(self._timeout)
        try:
            return driver.read_response(disconnect_on_error=False)
        except errors.TimeoutError:  # part of a message may have come, which is completed by the next call
            return None
        except errors.ConnectionError as error:
            if self._open is None:  # another greenlet has left the block
                return None
            raise PeerClosed(f"{self._database} closed the connection: {error}") from error

    def _message(self, reply: Sequence[Any]) -> Message | None:
        kind, *parts = reply
        if kind == b"pmessage":
            pattern, channel, data = parts if self._as_bytes else _redis.decode(parts)
            return Message(channel, data, pattern)
        if kind == b"message":
            channel, data = parts if self._as_bytes else _redis.decode(parts)
            return Message(channel, data)
        return None

    def __repr__(self) -> str:
        return f"<Subscription to {', '.join([*self._channels, *self._patterns])} of {self._database}>"
