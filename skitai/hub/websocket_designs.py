"""How the messages of a WebSocket come to its app: by a call for each, or pulled by one that goes on.

The calls of WS_SIMPLE and WS_GROUPCHAT take slots as those of requests do, one after another for each client. A
function that pulls messages has a worker of its own beside the slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub
from greenlet import GreenletExit

from skitai.constants import WS_EVT_CLOSE, WS_EVT_OPEN
from skitai.errors import ClientDisconnected, RemoteProtocolError
from skitai.hub.inbox import Inbox
from skitai.hub.websocket_session import INBOX
from skitai.hub.websocket_sockets import AppSocket, GroupSocket, PulledSocket
from skitai.net import faults
from skitai.wire.ws_frames import GOING_AWAY, INTERNAL_ERROR, INVALID_DATA, NORMAL, TRY_AGAIN_LATER

if TYPE_CHECKING:
    from skitai.hub.rooms import Room
    from skitai.hub.server import Server
    from skitai.hub.websocket_session import WebSocketSession


class Conversation(Protocol):
    """An app's side of one WebSocket. Its methods run on a worker greenlet.

    :class:`~skitai.hub.websocket_wsgi.WsgiConversation` is one; a native app makes its own.
    """

    environ: dict[str, Any]

    def check(self, spec: int, detail: Any, has_events: bool) -> str:
        """Take the configuration; return what is wrong with the arguments in the query, ``""`` for nothing."""

    def room(self) -> str | None:
        """Return the value of the room argument, ``None`` when there is none."""

    def attach(self, socket: Any) -> None:
        """The WebSocket is there: ``environ["websocket"]``."""

    def call(self, event: str | None, message: str | bytes) -> Any:
        """Call the function for an event or a message, and return what it returned.

        Raises:
            RemoteProtocolError: the message is not in the encoding that the app configured.
        """

    def run(self) -> None:
        """Call the function that pulls its messages from ``environ["websocket"]``."""

    def tag(self) -> str:
        """Return what marks log lines."""


class NativeConversation(Conversation, Protocol):
    """What a native app makes: it makes the call of the handshake itself.

    Attributes:
        is_answered: whether the response to it is what any GET gets; else the function was called without some of its
            arguments, or is at another path.
    """

    is_answered: bool

    def begin(self) -> tuple[int, str | None, list[tuple[str, str]], Any]:
        """Make the call of the handshake and return its response; the configuration is in ``environ`` then.

        A body that is not bytes has the methods ``send(exchange, status, fields, reason)`` and ``close()``.
        """


class Called:
    """The servant of WS_SIMPLE and WS_GROUPCHAT.

    Args:
        has_events: whether the function is called for opening and closing too.
        find_room: returns the room that the client enters; ``None`` for WS_SIMPLE.
    """

    __slots__ = (
        "_conversation", "_find_room", "_has_events", "_inbox", "_is_draining", "_room", "_server", "_session",
        "_socket", "is_busy",
    )  # fmt: skip

    def __init__(
        self,
        server: Server,
        session: WebSocketSession,
        conversation: Conversation,
        socket: AppSocket,
        has_events: bool,
        find_room: Callable[[], Room] | None = None,
    ) -> None:
        self._server = server
        self._session = session
        self._conversation = conversation
        self._socket = socket
        self._has_events = has_events
        self._find_room = find_room
        self._room: Room | None = None
        self._inbox: Inbox | None = None
        self._is_draining = False
        self.is_busy = False

    def begin(self) -> None:
        """The WebSocket is open; called in the hub.

        Only now the client is let into its room: what is said there must not come before the 101.
        """
        if self._find_room is not None and isinstance(self._socket, GroupSocket):
            self._socket.room = self._room = self._find_room()
            self._room.enter(self._socket)
        if self._has_events:
            self._submit(WS_EVT_OPEN, "")
        if self._server.is_stopping:
            self.drain()

    def message(self, content: str | bytes) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        if self._is_draining:
            return
        if not self.is_busy:
            self._submit(None, content)
        else:
            self._put(None, content)

    def ended(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`: the close event comes after what was sent before."""
        if not self._has_events:
            self._leave()
        elif not self.is_busy:
            self.is_busy = True
            get_hub().loop.run_callback(faults.guarded, self._submit, WS_EVT_CLOSE, "")
        else:
            self._put(WS_EVT_CLOSE, "")

    def drain(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        self._is_draining = True
        if not self.is_busy:
            self._session.close(GOING_AWAY, "the server stops")

    def _put(self, event: str | None, content: str | bytes) -> None:
        if self._inbox is None:
            self._inbox = Inbox()
        self._inbox.put(event, content)
        if self._inbox.is_full:
            self._session.hold(INBOX)

    def _submit(self, event: str | None, content: str | bytes) -> None:
        self.is_busy = True
        if event == WS_EVT_CLOSE:
            self._leave()
        slots = self._server.slots
        if slots.submit(self._serve, event, content):
            return
        if event == WS_EVT_CLOSE:
            # There are no more of these than connections, and an app that counts its clients must get them all.
            slots.free -= 1
            self._server.pool.spawn(self._serve, event, content)
            return
        self.is_busy = False
        self._inbox = None
        self._session.close(TRY_AGAIN_LATER, "all workers are busy")

    def _serve(self, event: str | None, content: str | bytes) -> None:
        """Call the app and send what it returns; on a worker, in a slot."""
        try:
            try:
                result = self._conversation.call(event, content)
            finally:
                self._server.slots.release()
            if result is not None and result != "" and result != b"":
                self._socket.deliver(result)
        except ClientDisconnected:
            pass
        except RemoteProtocolError as error:
            self._server.logs.app.log(f"a WebSocket message was refused: {error}", "warn", self._conversation.tag())
            self._give_up(INVALID_DATA, "the message is not in the encoding that is expected here")
        except BaseException as error:
            self._server.logs.app.traceback(tag=self._conversation.tag())
            self._give_up(INTERNAL_ERROR, "the app failed")
            if isinstance(error, GreenletExit):
                raise
        finally:
            self.is_busy = False
            if self._inbox or self._is_draining:
                get_hub().loop.run_callback(faults.guarded, self._go_on)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._session.break_off(error)

    def _give_up(self, code: int, reason: str) -> None:
        """Close after an error; what the client said besides would fail again, each with a line in the log."""
        if self._inbox is not None:
            self._inbox.drop_messages()
        self._session.close(code, reason)

    def _go_on(self) -> None:
        if self.is_busy:
            return
        if self._inbox:
            event, content = self._inbox.take()
            if not self._inbox.is_full:
                self._session.let_go(INBOX)
            self._submit(event, content)
        elif self._is_draining:
            self._session.close(GOING_AWAY, "the server stops")

    def _leave(self) -> None:
        if self._room is not None:
            self._room.leave(self._socket)


class Pulled:
    """The servant of WS_DEDICATE and WEBSOCKET_DEDICATE."""

    __slots__ = ("_conversation", "_is_draining", "_server", "_session", "_socket", "is_busy")

    def __init__(
        self, server: Server, session: WebSocketSession, conversation: Conversation, socket: PulledSocket
    ) -> None:
        self._server = server
        self._session = session
        self._conversation = conversation
        self._socket = socket
        self._is_draining = False
        self.is_busy = False  # it runs as long as its client is there, so this says nothing

    def begin(self) -> None:
        """The WebSocket is open; called in the hub."""
        self._server.pool.run(self._run)
        if self._server.is_stopping:
            self.drain()

    def message(self, content: str | bytes) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        if not self._is_draining:
            self._socket.put(content)

    def ended(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        self._socket.end()

    def drain(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`: the function is told that no more messages come."""
        self._is_draining = True
        self._socket.end()

    def _run(self) -> None:
        run_loop(self._server, self._conversation, lambda: [self._session])
        self._session.close(GOING_AWAY if self._is_draining else NORMAL)


def run_loop(server: Server, conversation: Conversation, sessions: Callable[[], list[WebSocketSession]]) -> None:
    """Call a function that goes on until its clients are gone; an error closes those that are there then."""
    try:
        conversation.run()
    except ClientDisconnected:
        pass
    except BaseException as error:
        code = INVALID_DATA if isinstance(error, RemoteProtocolError) else INTERNAL_ERROR
        server.logs.app.traceback(tag=conversation.tag())
        for session in sessions():
            session.close(code, "the app failed")
        if isinstance(error, GreenletExit):
            raise
