"""The rooms of group chats in one worker, and the numbers of WebSocket clients."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from gevent import get_hub
from gevent.hub import Waiter
from greenlet import getcurrent

from skitai.net.turns import current

if TYPE_CHECKING:
    from skitai.hub.websocket_sockets import AppSocket

#: Clients that are told something at once. In larger rooms whoever speaks may wait some turns of the loop: when the
#: thousand members of one all spoke at the same time, nobody else was served for twenty seconds, and 100 KB for all of
#: them, which the kernel copies a thousand times, took half a second.
FEW: Final = 20


class Backplane(Protocol):
    """Carries what is said in rooms to other workers and hosts."""

    def start(self) -> None:
        """The server runs."""

    def stop(self) -> None:
        """It stops."""

    def enter(self, room: Room) -> None:
        """A room has its first client here: what others say in it is to be given to ``room.deliver()``."""

    def leave(self, room: Room) -> None:
        """It has none any more."""

    def publish(self, room: Room, target: int | None, opcode: int, payload: bytes) -> None:
        """Tell the others what was said here. Never blocks; what cannot be told is lost."""


class Room:
    """The clients here of one path and one value of the room argument.

    Attributes:
        name: the same in every worker. clients: by number. loop: of WEBSOCKET_MULTICAST, which pulls their messages.
    """

    __slots__ = ("_key", "_rooms", "_speakers", "clients", "loop", "name")

    def __init__(self, rooms: Rooms, key: Hashable, name: str) -> None:
        self.loop: Any = None
        self._speakers: deque[Waiter[None]] | None = None  # who wait while somebody speaks
        self._rooms = rooms
        self._key = key
        self.name = name
        self.clients: dict[int, AppSocket] = {}

    def enter(self, socket: AppSocket) -> None:
        """Let a client in."""
        if not self.clients and self._rooms.backplane is not None:
            self._rooms.backplane.enter(self)
        self.clients[socket.client_id] = socket

    def leave(self, socket: AppSocket) -> None:
        """A client is gone; an empty room is forgotten."""
        if self.clients.pop(socket.client_id, None) is not None and not self.clients:
            self._rooms.forget(self._key, self)
            if self._rooms.backplane is not None:
                self._rooms.backplane.leave(self)

    def say(self, opcode: int, payload: bytes, target: int | None = None) -> None:
        """Send a message to all clients of the room, here and elsewhere, or to one; an unknown one is ignored.

        The calling greenlet waits until its turn has come, and never for a client.
        """
        if target is None or target not in self.clients:
            backplane = self._rooms.backplane
            if backplane is not None:
                backplane.publish(self, target, opcode, payload)
        self.deliver(opcode, payload, target)

    def deliver(self, opcode: int, payload: bytes, target: int | None = None) -> None:
        """Send a message to the clients here. Its frame is made once for all that agreed on the same compression."""
        if target is not None:
            socket = self.clients.get(target)
            if socket is not None:
                _send([socket], opcode, payload)
        elif len(self.clients) <= FEW:
            _send(list(self.clients.values()), opcode, payload)
        elif getcurrent() is get_hub():  # which must not wait
            self._deliver_to_many(opcode, payload)
        else:
            self._begin_speaking()
            try:
                self._deliver_to_many(opcode, payload)
            finally:
                self._end_speaking()

    def _begin_speaking(self) -> None:
        """Wait for those who spoke before, so that all members hear the same order. A lock of gevent looks at all who
        wait whenever one goes on, which are a thousand here.
        """
        if self._speakers is None:
            self._speakers = deque()
            return
        waiter: Waiter[None] = Waiter(get_hub())
        self._speakers.append(waiter)
        try:
            waiter.get()
        except BaseException:  # of a timeout of the app
            if waiter in self._speakers:
                self._speakers.remove(waiter)
            else:
                self._end_speaking()
            raise

    def _end_speaking(self) -> None:
        if self._speakers:
            get_hub().loop.run_callback(self._speakers.popleft().switch, None)
        else:
            self._speakers = None

    def _deliver_to_many(self, opcode: int, payload: bytes) -> None:
        turns, members = current(), list(self.clients.values())
        frames: dict[int, bytes] = {}
        for at in range(0, len(members), FEW):
            turns.wait()
            began = perf_counter()
            _send(members[at : at + FEW], opcode, payload, frames)
            turns.spend(perf_counter() - began)

    def __repr__(self) -> str:
        return f"<Room {self.name} {len(self.clients)} clients>"


def _send(members: list[AppSocket], opcode: int, payload: bytes, frames: dict[int, bytes] | None = None) -> None:
    """Who does not read is given up, and leaves the room, on the way. Frames that were made are taken again."""
    frames = {} if frames is None else frames
    for member in members:
        session = member.session
        if not session.is_open:
            continue
        engine = session.engine
        frame = frames.get(engine.coding)
        if frame is None:
            frame = frames[engine.coding] = engine.data_frame(opcode, payload)
        session.post(frame)


class Rooms:
    """See the module.

    Args:
        worker_index: of this worker among those of the server; it keeps the numbers of clients apart.

    Attributes:
        backplane: ``None`` when rooms end with the process.
    """

    def __init__(self, worker_index: int = 0) -> None:
        self._rooms: dict[Hashable, Room] = {}
        self._client = worker_index * 1_000_000
        self.backplane: Backplane | None = None

    def use(self, backplane: Backplane, first_client: int) -> None:
        """Share the rooms with others; the numbers of clients begin at one that nobody else has."""
        self.backplane = backplane
        self._client = first_client

    def new_client(self) -> int:
        """Return a number that no other client has or had."""
        self._client += 1
        return self._client

    def room(self, key: Hashable, name: str) -> Room:
        """Return the room, made when it is not there."""
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(self, key, name)
        return room

    def forget(self, key: Hashable, room: Room) -> None:
        """A room is empty."""
        if self._rooms.get(key) is room:
            del self._rooms[key]

    def __len__(self) -> int:
        return len(self._rooms)
