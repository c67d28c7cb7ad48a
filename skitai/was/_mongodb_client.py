"""The client of one MongoDB server for one user, which the connections of this process to it share.

pymongo keeps the sockets and watches the server. A client that has lost its server is not used again: the next
connection makes a new one, which shows at once whether the server is there, where pymongo would wait for it.
"""

from __future__ import annotations

import atexit
import time
import weakref
from collections import OrderedDict
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, NamedTuple

import pymongo
from bson.codec_options import CodecOptions
from gevent import get_hub
from gevent.event import AsyncResult
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.monitoring import ServerHeartbeatListener

from skitai.constants import NAME
from skitai.errors import ConfigurationError, ConnectTimeout, TlsFailed
from skitai.lib.documents import Document
from skitai.net import pool as workers
from skitai.net.connect import resolve
from skitai.was import _settings
from skitai.wire.hosts import absolute_name

if TYPE_CHECKING:
    from skitai.was._db_pool import DbPool
    from skitai.was._engine import Engine
    from skitai.was._mongodb_commands import OpenCursor
    from skitai.wire.client_certificate import ClientCertificate
    from skitai.wire.databases import Database

#: How documents are read: their times are UTC, without saying so, as pymongo does.
CODECS: CodecOptions[Document] = CodecOptions(document_class=Document)
#: Cursors that callers may leave open at one server; the oldest is closed for another.
MOST_CURSORS = 100
#: What stands in the text of an error of TLS: that is all that the monitor of pymongo leaves of one.
_TLS_FAILED = ("SSL handshake failed", "[SSL")
#: Seconds that saying good-bye may take.
_CLOSING_TIME = 1.0


class Key(NamedTuple):
    """What a client is for: a server, and who asks it."""

    host: str
    port: int
    user: str
    password: str
    tls: bool
    verify: bool | str | None
    cert: ClientCertificate | None

    @classmethod
    def of(cls, database: Database) -> Key:
        """Return the key of a database, which may be one of several at its server."""
        return cls(
            database.host, database.port, database.user, database.password, database.tls, database.verify,
            database.cert,
        )  # fmt: skip

    def __repr__(self) -> str:
        # Neither user nor password: this is what logs, errors and tracebacks show.
        return f"<Key {self.host}:{self.port}>"


class _Watch(ServerHeartbeatListener):
    """Hears what the monitor of a client finds.

    Attributes:
        first: set when the server has answered first, or could not be reached.
        is_lost: it could not be reached.
    """

    def __init__(self) -> None:
        self.first: AsyncResult[None] = AsyncResult()
        self.is_lost = False

    def started(self, event: Any) -> None:
        """Nothing is known yet."""

    def succeeded(self, event: Any) -> None:
        """The server is there."""
        if not self.first.ready():
            self.first.set(None)

    def failed(self, event: Any) -> None:
        """It cannot be reached."""
        self.fail(event.reply)

    def fail(self, error: BaseException) -> None:
        """Say that it cannot be used."""
        self.is_lost = True
        if not self.first.ready():
            self.first.set_exception(error)


class SharedClient:
    """See the module. It is to be opened by whoever made it, while others wait until it is ready.

    Attributes:
        client: of pymongo. opened: monotonic time.
        cursors: that callers may ask for more, by their numbers.
    """

    client: MongoClient[Document]

    def __init__(self) -> None:
        self._watch = _Watch()
        self.opened = time.monotonic()
        self.cursors: OrderedDict[int, OpenCursor] = OrderedDict()
        self._is_lost = False
        self._leases = 0

    def open(self, key: Key, most: int) -> None:
        """Begin to connect; other greenlets may run meanwhile.

        Args:
            key: what it is for. most: sockets at a time.
        """
        try:
            # In a context of its own: its monitors are to see neither the request that came first, nor its deadline.
            self.client = Context().run(self._make, key, most)
        except BaseException as error:
            self._watch.fail(error)
            raise

    def _make(self, key: Key, most: int) -> MongoClient[Document]:
        settings = _settings.current
        connect_ms = int(settings.connect_time * 1000)
        return MongoClient(
            absolute_name(key.host) if key.tls else key.host,  # pymongo looks for it in the certificate as it is
            key.port,
            document_class=Document,
            appname=NAME,
            event_listeners=[self._watch],
            # One member of an alias is one server: pymongo is not to look for others by itself.
            directConnection=True,
            maxPoolSize=most,
            maxIdleTimeMS=int(settings.keep_time * 1000),
            connectTimeoutMS=connect_ms,
            serverSelectionTimeoutMS=connect_ms,
            # Whether a command may be done again is decided in one place, which knows the other members too.
            retryReads=False,
            retryWrites=False,
            # The other mode holds a second connection for each client, and waits for its answer when the process ends.
            serverMonitoringMode="poll",
            uuidRepresentation="standard",
            **_login(key),
            **_tls(key),
        )

    # Use

    def wait_until_ready(self, deadline: float) -> None:
        """Wait until the server has answered.

        Raises:
            PyMongoError: it cannot be reached. TlsFailed, ConnectTimeout: as their names say.
        """
        first = self._watch.first
        first.wait(max(deadline - time.monotonic(), 0))
        if not first.ready():
            raise ConnectTimeout("the server did not answer in time")
        try:
            first.get(block=False)
        except PyMongoError as error:
            if any(mark in str(error) for mark in _TLS_FAILED):
                raise TlsFailed(f"TLS with the server failed: {error}") from error
            raise

    def lose(self) -> None:
        """Say that the server does not answer any more."""
        self._is_lost = True

    @property
    def is_lost(self) -> bool:
        """Whether its server was lost, or the connection to it."""
        return self._is_lost or self._watch.is_lost

    @property
    def is_too_old(self) -> bool:
        """Whether new connections are to use a new client."""
        return time.monotonic() - self.opened > _settings.current.db_life

    def keep_cursor(self, number: int, cursor: OpenCursor) -> None:
        """Remember a cursor. One that is forgotten is closed by pymongo, within a second."""
        self.cursors[number] = cursor
        while len(self.cursors) > MOST_CURSORS:
            self.cursors.popitem(last=False)

    # Ends

    def lease(self) -> None:
        """Count one connection more that uses it."""
        self._leases += 1

    def release(self) -> bool:
        """Count one less; True when that was the last one."""
        self._leases -= 1
        return self._leases == 0

    def close(self) -> None:
        """Close its sockets. Never raises."""
        self.cursors.clear()
        if not hasattr(self, "client"):
            return  # it could not even be made
        with suppress(Exception), pymongo.timeout(_CLOSING_TIME):
            self.client.close()

    def __repr__(self) -> str:
        return f"<SharedClient of {self._leases} connections{' lost' if self.is_lost else ''}>"


def _login(key: Key) -> dict[str, Any]:
    if not key.user:
        return {}
    source = _settings.current.mongodb_auth_source
    return {"username": key.user, "password": key.password, "authSource": source}


def _tls(key: Key) -> dict[str, Any]:
    if not key.tls:
        return {}
    options: dict[str, Any] = {"tls": True}
    verify, cert = _settings.security(key.verify, key.cert)
    if verify is False:
        options["tlsAllowInvalidCertificates"] = True
    elif isinstance(verify, str):
        options["tlsCAFile"] = verify
    if cert is not None and cert.keyfile is not None:
        raise ConfigurationError("pymongo reads a certificate and its key from one file: cert= names only that one")
    if cert is not None:
        options |= {"tlsCertificateKeyFile": cert.certfile, "tlsCertificateKeyFilePassword": cert.passphrase}
    return options


# By hub

_clients: weakref.WeakKeyDictionary[Engine, dict[Key, SharedClient]] = weakref.WeakKeyDictionary()
#: In the child of a fork: clients of its parent.
_left_behind: list[SharedClient] = []


def lease(pool: DbPool, deadline: float) -> SharedClient:
    """Return the client for the database of ``pool``, ready to be asked; give it back by :func:`release`.

    Raises:
        NameNotFound: its host has no address. Exception: see :meth:`SharedClient.wait_until_ready`.
    """
    clients = _clients.setdefault(pool.engine, {})
    key = Key.of(pool.database)
    shared = _usable(clients.get(key))
    if shared is None:
        resolve(key.host, key.port, deadline)
        shared = _usable(clients.get(key))  # which another connection may have made meanwhile
    is_new = shared is None
    if shared is None:
        shared = clients[key] = SharedClient()
    shared.lease()
    try:
        if is_new:
            shared.open(key, pool.most)
        shared.wait_until_ready(deadline)
    except BaseException:
        release(shared)
        raise
    return shared


def _usable(shared: SharedClient | None) -> SharedClient | None:
    return None if shared is None or shared.is_lost or shared.is_too_old else shared


def release(shared: SharedClient) -> None:
    """Give a client back; the last one closes it. Never blocks."""
    if shared.release():
        _forget(shared)
        workers.spawn(shared.close)


def _forget(shared: SharedClient) -> None:
    for clients in list(_clients.values()):
        for key, each in list(clients.items()):
            if each is shared:
                del clients[key]


def leave_behind(shared: SharedClient) -> None:
    """After a fork: forget a client without a word to its server, because the parent goes on with it.

    pymongo puts it into order in the child by a hook that runs after ours; until then it has to live.
    """
    shared.lose()
    _forget(shared)
    if not _left_behind:
        get_hub().loop.run_callback(_left_behind.clear)
    _left_behind.append(shared)


@atexit.register
def _close_all() -> None:
    """At the end of the process: pymongo waits for its monitors then, and complains of clients that are open."""
    for clients in list(_clients.values()):
        for shared in list(clients.values()):
            shared.close()
        clients.clear()
