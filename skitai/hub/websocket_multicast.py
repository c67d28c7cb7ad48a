"""WEBSOCKET_MULTICAST of 0.15: one loop for each room, which pulls the messages of all its clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from gevent import get_hub
from gevent.hub import Waiter

from skitai.hub.websocket_designs import run_loop
from skitai.hub.websocket_session import INBOX
from skitai.hub.websocket_sockets import GroupSocket, pack
from skitai.wire.ws_frames import GOING_AWAY, NORMAL

if TYPE_CHECKING:
    from skitai.hub.rooms import Room
    from skitai.hub.server import Server
    from skitai.hub.websocket_designs import Conversation
    from skitai.hub.websocket_session import WebSocketSession

#: Messages that wait for the loop, and bytes or characters of them, above which no client of the room is read.
MOST_WAITING = 256
MOST_SIZE = 4 * 1024 * 1024


class RoomSocket:
    """``environ["websocket"]`` of such a loop: all clients of its room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._messages: list[tuple[int, str | bytes]] = []
        self._size = 0
        self._held: set[WebSocketSession] = set()
        self._waiter: Waiter[None] | None = None
        self._has_ended = False

    def getswait(self, timeout: float | None = None) -> list[tuple[int, str | bytes]] | None:
        """Wait for messages and return all as (number of the client, message); ``None`` when the room is empty.

        Args:
            timeout: taken and without effect, as it always was.
        """
        while not self._messages:
            if self._has_ended or not self._room.clients:
                return None
            self._waiter = Waiter(get_hub())
            try:
                self._waiter.get()
            finally:
                self._waiter = None
        messages, self._messages = self._messages, []
        self._size = 0
        held, self._held = self._held, set()
        for session in held:
            session.let_go(INBOX)
        return messages

    def sendall(self, message: str | bytes) -> None:
        """Send a message to all clients of the room."""
        self._room.say(*pack(message, None))

    def sendto(self, client_id: int, message: str | bytes) -> None:
        """Send a message to one; an unknown one is ignored."""
        self._room.say(*pack(message, None), client_id)

    def send(self, *args: Any) -> NoReturn:
        """Refused: it has many clients.

        Raises:
            AssertionError: always.
        """
        raise AssertionError("a WEBSOCKET_MULTICAST has many clients: use sendall() or sendto()")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close all clients of the room."""
        for socket in list(self._room.clients.values()):
            socket.close(code, reason)

    # For the server

    def put(self, member: GroupSocket, content: str | bytes) -> None:
        """A client said something."""
        self._messages.append((member.client_id, content))
        self._size += len(content)
        if len(self._messages) >= MOST_WAITING or self._size >= MOST_SIZE:
            member.session.hold(INBOX)
            self._held.add(member.session)
        self.wake()

    def end(self) -> None:
        """No more will come."""
        self._has_ended = True
        self.wake()

    def wake(self) -> None:
        """Let the loop look."""
        waiter = self._waiter
        if waiter is not None:
            get_hub().loop.run_callback(_switch, waiter)


def _switch(waiter: Waiter[None]) -> None:
    if waiter.greenlet is not None:
        waiter.switch(None)


class RoomLoop:
    """The loop of one room; it begins with the first client and ends with the last."""

    def __init__(self, server: Server, room: Room, conversation: Conversation) -> None:
        self._server = server
        self._room = room
        self._conversation = conversation
        self.socket = RoomSocket(room)
        self.is_draining = False
        self.has_ended = False

    def run(self) -> None:
        """Run the function; on a worker of its own."""
        try:
            run_loop(self._server, self._conversation, self._sessions)
        finally:
            self.has_ended = True
            self.socket.close(GOING_AWAY if self.is_draining else NORMAL)

    def _sessions(self) -> list[WebSocketSession]:
        return [socket.session for socket in self._room.clients.values()]


class Member:
    """The servant of one client of such a room.

    Args:
        find_room: returns the room that it enters. conversation: runs the loop, if there is none yet.
    """

    __slots__ = ("_conversation", "_find_room", "_loop", "_room", "_server", "_socket", "is_busy")

    def __init__(
        self, server: Server, find_room: Callable[[], Room], socket: GroupSocket, conversation: Conversation
    ) -> None:
        self._server = server
        self._find_room = find_room
        self._socket = socket
        self._conversation = conversation
        self._room: Room | None = None
        self._loop: RoomLoop | None = None
        self.is_busy = False

    def begin(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        self._socket.room = self._room = room = self._find_room()
        room.enter(self._socket)
        loop: RoomLoop | None = room.loop
        if loop is None or loop.has_ended:
            loop = room.loop = RoomLoop(self._server, room, self._conversation)
            self._conversation.attach(loop.socket)
            self._server.pool.spawn(loop.run)
        self._loop = loop
        if self._server.is_stopping:
            self.drain()

    def message(self, content: str | bytes) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        if self._loop is not None and not self._loop.is_draining:
            self._loop.socket.put(self._socket, content)

    def ended(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        if self._room is not None and self._loop is not None:
            self._room.leave(self._socket)
            self._loop.socket.wake()

    def drain(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        if self._loop is not None:
            self._loop.is_draining = True
            self._loop.socket.end()
