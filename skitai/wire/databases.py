"""Which database a call means: parsed from what a caller gave, compared as the key of a pool, shown without secrets."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.wire.clusters import parse_member
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.wire.client_certificate import ClientCertificate
    from skitai.wire.clusters import ClusterDefinition, Member

#: The kinds that are databases.
KINDS = frozenset({"postgresql", "sqlite3", "redis", "mongodb"})


class Database(NamedTuple):
    """A database of a server, for one user. Connections are shared by equal ones only.

    Attributes:
        kind: one of :data:`KINDS`.
        host, port: of the server; ``""`` and 0 for a file, whose path is in ``dbname``.
        tls: the connection is encrypted.
        verify, cert: with ``tls``: as in :class:`skitai.wire.clusters.ClusterDefinition`.
        pooler: whether a pooler stands in front of a PostgreSQL server; ``None``: each connection finds out.
    """

    kind: str
    host: str
    port: int
    dbname: str = ""
    user: str = ""
    password: str = ""
    tls: bool = False
    verify: bool | str | None = None
    cert: ClientCertificate | None = None
    pooler: bool | None = None

    @property
    def node(self) -> tuple[str, int] | str:
        """What ``result.node`` shows: ``(host, port)``, or the path of a file."""
        return (self.host, self.port) if self.host else self.dbname

    @property
    def server(self) -> str:
        """``host:port``, or the path of a file."""
        if not self.host:
            return self.dbname
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """``host:port/dbname``, or the path of a file."""
        return f"{self.server}/{self.dbname}" if self.host and self.dbname else self.server

    def __str__(self) -> str:
        return f"{self.kind} {mask(self.name)}"

    def __repr__(self) -> str:
        # Neither user nor password: this is what logs, errors and tracebacks show.
        return f"<Database {self}>"


def parse(kind: str, server: str, dbname: str = "", auth: Any = None) -> Database:
    """Return the database that a call names directly.

    Args:
        kind: one of :data:`KINDS`.
        server: ``host``, ``host:port`` or ``host:port/dbname/user/password``; the path of a file for ``sqlite3``.
        dbname: goes before what stands in ``server``.
        auth: ``(user, password)`` or ``"user:password"``, before what stands in ``server``.

    Raises:
        ConfigurationError: ``server`` cannot be read.
        TypeError: ``auth`` is neither.
    """
    if kind == "sqlite3":
        return Database(kind, "", 0, server)
    return _parse(kind, server, str(dbname), read_auth(auth))


# A tenth of the time of a GET from Redis on the same machine went into reading where it is.
@lru_cache(maxsize=256)
def _parse(kind: str, server: str, dbname: str, auth: tuple[str, str] | None) -> Database:
    member = parse_member(kind, server)
    user, password = auth or (member.user, member.password)
    return Database(kind, member.host, member.port, dbname or member.dbname, user, password)


def of_member(definition: ClusterDefinition, member: Member, dbname: str = "") -> Database:
    """Return the database of one member of a cluster; ``dbname`` goes before the member's own."""
    return Database(
        definition.kind, member.host, member.port, dbname or member.dbname, member.user, member.password,
        definition.tls, definition.verify, definition.cert, definition.pooler,
    )  # fmt: skip


def read_auth(auth: Any) -> tuple[str, str] | None:
    """Return (user, password) of ``(user, password)``, ``(user,)`` or ``"user:password"``; ``None`` for nothing.

    Raises:
        TypeError: it is something else.
    """
    if not auth:
        return None
    if isinstance(auth, str):
        user, _, password = auth.partition(":")
        return user, password
    if isinstance(auth, (tuple, list)) and len(auth) <= 2 and all(isinstance(each, str) for each in auth):
        return str(auth[0]), str(auth[1]) if len(auth) == 2 else ""
    raise TypeError(f"auth of a database is (user, password) or 'user:password', not {type(auth).__name__}")
