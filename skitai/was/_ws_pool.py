"""The WebSockets to one place: kept for the next message, counted, and opened with the credentials that it wants."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from gevent import get_hub

from skitai.errors import ConnectionFailed, RemoteProtocolError
from skitai.net import faults
from skitai.net import pool as workers
from skitai.was import _settings
from skitai.was._ws_connection import Place, Refused, WsConnection, open_connection
from skitai.wire.auth import Authorization, Credentials, bearer, parse_challenges
from skitai.wire.fields import field_line

if TYPE_CHECKING:
    from skitai.was._engine import Engine


class Home(Protocol):
    """Who must know when a connection is closed."""

    def forget(self, connection: WsConnection) -> None:
        """It is closed."""


class Waiting(Protocol):
    """Who waits for a connection. Exactly one of the first two is called, once."""

    def has_connection(self, connection: WsConnection) -> None:
        """Here it is."""

    def has_none(self, error: Exception) -> None:
        """There will be none."""

    def break_off(self, error: BaseException) -> None:
        """One of the two raised: see :class:`skitai.net.faults.Breakable`."""


def connect_with(
    engine: Engine, home: Home, place: Place, credentials: Credentials | None, deadline: float
) -> WsConnection:
    """Open a connection, a second time when the server wants the credentials in another way; blocks.

    Raises:
        Refused, ConnectionFailed, RemoteProtocolError: see :func:`open_connection`.
    """
    try:
        return open_connection(home, place, _authorization(engine, place, credentials), deadline)
    except Refused as refusal:
        if refusal.head.status != 401 or credentials is None or credentials.user is None:
            raise
        values = [value for name, value in refusal.head.fields if name.lower() == "www-authenticate"]
        chosen = Authorization.choose(parse_challenges(values))
        known = engine.authorizations
        before = known.get((place.origin, credentials.user))
        if chosen is None or (before is not None and before.is_basic and chosen.is_basic):
            raise
        known[place.origin, credentials.user] = chosen
    return open_connection(home, place, _authorization(engine, place, credentials), deadline)


def _authorization(engine: Engine, place: Place, credentials: Credentials | None) -> str:
    if credentials is None:
        return ""
    if credentials.user is None:
        return field_line("Authorization", bearer(credentials.secret))
    known = engine.authorizations.get((place.origin, credentials.user))
    if known is None:
        return ""
    return field_line("Authorization", known.value(credentials.user, credentials.secret, "GET", place.target))


class WsPool:
    """The connections of one engine to one place with the same credentials."""

    def __init__(self, engine: Engine, key: tuple[Place, Credentials | None]) -> None:
        self._engine = engine
        self._key = key
        self._idle: list[WsConnection] = []
        self._open: set[WsConnection] = set()
        self._opening = 0
        self._waiting: deque[Waiting] = deque()

    def submit(self, waiting: Waiting) -> None:
        """Give a connection that is kept, else one that is opened, else the next that is given back. Never blocks."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit():
                self._engine.sweep.forget(connection)
                _hand_over(waiting, connection)
                return
            connection.drop()
        self._waiting.append(waiting)
        self._connect_more()

    def withdraw(self, waiting: Waiting) -> None:
        """Somebody waits no longer."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def give_back(self, connection: WsConnection) -> None:
        """A connection can take another message."""
        connection.rest()
        if self._waiting:
            # In the next turn: what the server says besides its answer must not be taken for that to the next message.
            get_hub().loop.run_callback(faults.guarded, self._pass_on, connection)
        else:
            self._keep(connection)

    def forget(self, connection: WsConnection) -> None:
        """See :class:`Home`."""
        self._open.discard(connection)
        self._engine.sweep.forget(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._connect_more()
        self._forget_if_empty()

    def close_idle(self) -> None:
        """Close what is kept."""
        for connection in list(self._idle):
            connection.close(1001)

    def forget_process(self) -> None:
        """After a fork."""
        for connection in self._open:
            connection.forget_process()

    def _keep(self, connection: WsConnection) -> None:
        self._engine.sweep.watch(connection)
        self._idle.append(connection)

    def _pass_on(self, connection: WsConnection) -> None:
        if not connection.is_fit():
            connection.drop()
        elif self._waiting:
            _hand_over(self._waiting.popleft(), connection)
        else:
            self._keep(connection)

    def _connect_more(self) -> None:
        most = _settings.current.connections
        while self._opening < len(self._waiting) and self._opening + len(self._open) < most:
            self._opening += 1
            workers.spawn(self._connect)

    def _connect(self) -> None:
        if not self._waiting:
            self._opening -= 1
            self._forget_if_empty()
            return
        deadline = time.monotonic() + _settings.current.connect_time
        try:
            connection = connect_with(self._engine, self, *self._key, deadline)
        except BaseException as error:  # whoever waits must hear of it
            self._opening -= 1
            if not isinstance(error, (ConnectionFailed, RemoteProtocolError)):
                faults.report(error)
            if self._waiting:
                faults.guarded(self._waiting.popleft().has_none, faults.as_exception(error))
            self._connect_more()
            self._forget_if_empty()
            faults.reraise_end(error)
            return
        self._opening -= 1
        self._open.add(connection)
        if self._waiting:
            _hand_over(self._waiting.popleft(), connection)
        else:
            self.give_back(connection)

    def _forget_if_empty(self) -> None:
        is_used = self._open or self._waiting or self._opening
        if not is_used and self._engine.ws_pools.get(self._key) is self:
            del self._engine.ws_pools[self._key]

    def __repr__(self) -> str:
        counts = f"{len(self._open)} open, {len(self._idle)} idle, {len(self._waiting)} waiting"
        return f"<WsPool {self._key[0]!r} {counts}>"


def _hand_over(waiting: Waiting, connection: WsConnection) -> None:
    """Give a connection to whoever waits for one; when that raises, both end."""
    try:
        waiting.has_connection(connection)
    except Exception as error:
        faults.escaped(waiting.has_connection, error)
        connection.drop()
