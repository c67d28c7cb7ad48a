"""Group chats over several workers and hosts: what is said in a room goes through Redis pub/sub (redis-py).

Delivery is at most once. What is said while the connection to Redis is down, or while more waits to be told than
:data:`MOST_WAITING`, reaches the clients of this worker and nobody else.
"""

from __future__ import annotations

import secrets
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from skitai.errors import ConfigurationError
from skitai.hub.rooms import Room
from skitai.wire.ws_frames import BINARY, TEXT

if TYPE_CHECKING:
    from skitai.net.logs import Logger

#: Messages, and bytes of them, that wait to be published; more are lost.
MOST_WAITING = 10_000
MOST_BYTES = 16 * 1024 * 1024
#: Seconds between two attempts to connect: the first, and the longest.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
#: Seconds that Redis has to take a message.
ANSWER_TIME = 5.0

_SPACE = b" "


def check(url: str) -> None:
    """Refuse what cannot be used.

    Raises:
        ConfigurationError: the URL is none of Redis, or redis-py is not installed.
    """
    try:
        from redis.connection import parse_url
    except ImportError as error:
        raise ConfigurationError("set_backplane() needs redis-py: pip install 'skitai[redis]'") from error
    try:
        parse_url(url)
    except ValueError as error:
        raise ConfigurationError("set_backplane() takes a URL as redis://host:6379/0, rediss:// or unix://") from error


class RedisBackplane:
    """See :class:`skitai.hub.rooms.Backplane`. One connection subscribes and one publishes, each on its greenlet.

    Args:
        url: of the server. log: for failures. prefix: of channel names; servers with the same one share their rooms.
    """

    def __init__(self, url: str, log: Logger, prefix: str = "skitai") -> None:
        self._url = url
        self._log = log
        self._base = f"{prefix}:ws"
        self._origin = secrets.token_hex(8).encode()
        self._rooms: dict[str, Room] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._pause = SHORTEST_PAUSE
        self._has_ears = Event()  # cleared while nothing can be told
        self._has_ears.set()
        self._is_losing = False  # too much waits
        self._has_more = Event()
        self._pubsub: Any = None
        self._turn = BoundedSemaphore()  # to write to it
        self._is_over = Event()
        #: Set while others are heard.
        self.is_connected = Event()

    @staticmethod
    def first_client() -> int:
        """Return a number for clients to begin behind that no other worker has; a JavaScript number can hold it."""
        return secrets.randbits(32) << 20

    def start(self) -> None:
        """Begin to listen and to tell; what fails is tried again for as long as it takes."""
        gevent.spawn(self._listen)
        gevent.spawn(self._tell)

    def stop(self) -> None:
        """End both."""
        self._is_over.set()
        self._has_more.set()
        self._has_ears.set()
        self._drop()

    # As a backplane

    def enter(self, room: Room) -> None:
        """See :class:`skitai.hub.rooms.Backplane`."""
        channel = self._channel(room)
        self._rooms[channel] = room
        gevent.spawn(self._change, "subscribe", channel)

    def leave(self, room: Room) -> None:
        """See :class:`skitai.hub.rooms.Backplane`."""
        channel = self._channel(room)
        if self._rooms.pop(channel, None) is not None:
            gevent.spawn(self._change, "unsubscribe", channel)

    def publish(self, room: Room, target: int | None, opcode: int, payload: bytes) -> None:
        """See :class:`skitai.hub.rooms.Backplane`."""
        if not self._has_ears.is_set():
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes >= MOST_BYTES:
            if not self._is_losing:
                self._is_losing = True
                self._lost("tells", BufferError("more is said than Redis takes, and some of it is lost"))
            return
        self._is_losing = False
        data = b"%b %d %b %b" % (self._origin, opcode, b"-" if target is None else b"%d" % target, payload)
        self._waiting.append((self._channel(room), data))
        self._bytes += len(data)
        self._has_more.set()

    def _channel(self, room: Room) -> str:
        return f"{self._base}:{room.name}"

    # Listening

    def _listen(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._is_over.is_set():
            try:
                self._subscribe()
                pause = SHORTEST_PAUSE
                while not self._is_over.is_set():
                    self._take(self._pubsub.get_message(timeout=10.0))
            except Exception as error:  # of the network, of Redis, or of our own: others must be heard again
                self._lost("hears", error)
            self._drop()
            self._is_over.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _subscribe(self) -> None:
        pubsub = _connect(self._url).pubsub(ignore_subscribe_messages=True)
        asked = set(self._rooms)
        pubsub.subscribe(self._base, *asked)
        if self._is_over.is_set():
            pubsub.close()
            return
        # Not before it is connected: whoever enters a room meanwhile would make it connect twice, and be heard on the
        # connection that nobody reads.
        self._pubsub = pubsub
        for channel in asked ^ set(self._rooms):
            self._change("subscribe" if channel in self._rooms else "unsubscribe", channel)
        pubsub.get_message(timeout=5.0)  # the answer, so that it is known to be there
        self.is_connected.set()
        self._has_ears.set()

    def _change(self, method: str, channel: str) -> None:
        """Subscribe or not, beside the greenlet that reads; a failure is met there as well, and all begins anew."""
        pubsub = self._pubsub
        if pubsub is None or (method == "subscribe") != (channel in self._rooms):
            return
        try:
            with self._turn:
                getattr(pubsub, method)(channel)
        except Exception as error:
            self._lost("hears", error)

    def _take(self, message: dict[str, Any] | None) -> None:
        if message is None or message["type"] != "message":
            return
        room = self._rooms.get(message["channel"].decode())
        try:
            origin, opcode, target, payload = message["data"].split(_SPACE, 3)
            kind, client = int(opcode), None if target == b"-" else int(target)
        except ValueError:
            return  # somebody else's
        if room is not None and origin != self._origin and kind in (TEXT, BINARY):
            room.deliver(kind, payload, client)

    def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        self.is_connected.clear()
        if pubsub is not None:
            try:
                pubsub.connection_pool.disconnect()
                pubsub.close()
            except Exception as error:  # whatever a broken connection says when it is closed
                self._lost("hears", error)

    # Telling

    def _tell(self) -> None:
        client = _connect(self._url, ANSWER_TIME)
        self._pause = SHORTEST_PAUSE
        while not self._is_over.is_set():
            self._has_more.wait()
            self._has_more.clear()
            while self._waiting and not self._is_over.is_set():
                channel, data = self._waiting.popleft()
                self._bytes -= len(data)
                try:
                    client.publish(channel, data)
                    self._pause = SHORTEST_PAUSE
                except Exception as error:
                    self._lost("tells", error)
                    self._wait_for_ears(client)
        client.close()

    def _wait_for_ears(self, client: Any) -> None:
        """Until Redis answers again nothing waits to be told: it would come as if it had just been said."""
        self._has_ears.clear()
        self._waiting.clear()
        self._bytes = 0
        while not self._has_ears.wait(self._pause) and not self._is_over.is_set():
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            try:
                client.ping()
                self._has_ears.set()
            except Exception:  # was said when it began, and by the greenlet that listens
                continue

    def _lost(self, what: str, error: Exception) -> None:
        if not self._is_over.is_set():
            self._log.log(f"the backplane {what} nobody: {error}", "warn", "websocket")

    def __repr__(self) -> str:
        return f"<RedisBackplane {len(self._rooms)} rooms, {len(self._waiting)} messages waiting>"


def _connect(url: str, answer_time: float | None = None) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Trying again inside of the library could tell the same twice; and a host that is gone must be noticed.
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=answer_time,
        socket_connect_timeout=5.0,
        socket_keepalive=True,
        socket_keepalive_options={socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3},
        health_check_interval=30,
    )
