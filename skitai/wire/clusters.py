"""Named groups of servers, as ``skitai.alias()`` defines them. Data only: who is alive is known in ``skitai.was``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from skitai.errors import ConfigurationError, UnknownAlias
from skitai.wire.client_certificate import ClientCertificate
from skitai.wire.hosts import normal_host
from skitai.wire.masking import mask

HTTP_KINDS = frozenset({"http", "https"})
WEBSOCKET_KINDS = frozenset({"ws", "wss"})
DEFAULT_PORTS = {
    "http": 80, "https": 443, "ws": 80, "wss": 443, "postgresql": 5432, "redis": 6379, "mongodb": 27017,
}  # fmt: skip
KINDS = frozenset(DEFAULT_PORTS) | {"sqlite3", "grpc"}

# ``ssl`` turns a plain kind into its secure one and back is never done: "https" with ssl=False stays https.
_SECURE = {"http": "https", "ws": "wss"}
_WITH_TLS = frozenset({"https", "wss"})
# The documents of both versions spell it so in an example.
_MISSPELLED = {"postresql": "postgresql"}
_HOST_PORT = re.compile(r"(\[[^\[\]\s]*\]|[^:@/\[\]\s]+)(?::([0-9]{1,5}))?")


class Member(NamedTuple):
    """One server of a cluster.

    ``host`` and ``port`` are empty and 0 for a database file, whose path is in ``dbname``. ``weight`` is its share of
    the requests relative to the other members.
    """

    host: str
    port: int
    dbname: str = ""
    user: str = ""
    password: str = ""
    weight: int = 1

    @property
    def node(self) -> tuple[str, int] | str:
        """What ``result.node`` shows: ``(host, port)``, or the path of a database file."""
        return (self.host, self.port) if self.host else self.dbname

    def __repr__(self) -> str:
        where = f"{self.host}:{self.port}" if self.host else mask(self.dbname)
        return f"<Member {where}>" if self.weight == 1 else f"<Member {where} x{self.weight}>"


class ClusterDefinition(NamedTuple):
    """What was said about a cluster.

    Attributes:
        name: without its ``@``.
        kind: ``http``, ``https``, ``ws``, ``wss``, ``postgresql``, ``sqlite3``, ``redis``, ``mongodb``.
        members: at least one.
        role: comma separated roles that the gateway asks for. source: comma separated networks it admits.
        tls: connections to the members are encrypted.
        verify: ``True`` checks certificates against the system's authorities, a string against this PEM file,
            ``False`` not at all, ``None`` as the process does by default.
        cert: what we show to members that ask for a certificate; ``None`` as the process does by default.
        http2: ``True`` speaks HTTP/2 without TLS as well, ``False`` never, ``None`` as the process does by default.
        pooler: whether a pooler such as pgbouncer stands in front of PostgreSQL servers, which may give each
            transaction another session of the server; ``None``: each connection finds out.
    """

    name: str
    kind: str
    members: tuple[Member, ...]
    role: str = ""
    source: str = ""
    tls: bool = False
    verify: bool | str | None = None
    cert: ClientCertificate | None = None
    http2: bool | None = None
    pooler: bool | None = None


#: The clusters of this process by name. Replaced entries are never changed in place.
definitions: dict[str, ClusterDefinition] = {}


def define(
    name: str,
    kind: str,
    members: str | Iterable[str],
    role: str = "",
    source: str = "",
    ssl: bool | int | str = False,
    verify: bool | str | None = None,
    cert: object = None,
    http2: bool | None = None,
    pooler: bool | None = None,
) -> ClusterDefinition:
    """Define a cluster, or replace the one of this name.

    Args:
        name: with or without ``@``.
        kind: see :class:`ClusterDefinition`; a ``DB_*`` constant counts as the string it starts with ``*``.
        members: ``"host:port"``, ``"host:port weight"``, ``"host:port/dbname/user/password"`` or a database file;
            one, or several in a list; commas separate several in one string.
        role, source: for the gateway.
        ssl: encrypt; also the words ``yes``, ``true``, ``on`` of a configuration file.
        verify, http2, pooler: see :class:`ClusterDefinition`.
        cert: see :meth:`skitai.wire.client_certificate.ClientCertificate.read`.

    Returns:
        What is now in :data:`definitions`.

    Raises:
        ConfigurationError: no member, an unknown kind, or a member that cannot be read.
    """
    definition = parse(name, kind, members, role, source, ssl, verify, cert, http2, pooler)
    definitions[definition.name] = definition
    return definition


def parse(
    name: str,
    kind: str,
    members: str | Iterable[str],
    role: str = "",
    source: str = "",
    ssl: bool | int | str = False,
    verify: bool | str | None = None,
    cert: object = None,
    http2: bool | None = None,
    pooler: bool | None = None,
) -> ClusterDefinition:
    """Return what :func:`define` would define. Arguments and errors are the same."""
    name = name.removeprefix("@")
    if not name or "/" in name:
        raise ConfigurationError(f"an alias needs a name without a slash, like '@search', not {name!r}")
    kind = plain_kind(kind)
    if kind not in KINDS:
        raise ConfigurationError(f"alias @{name}: unknown type {kind!r}; known are {', '.join(sorted(KINDS))}")
    if _is_on(ssl):
        kind = _SECURE.get(kind, kind)
    try:
        parsed = tuple(parse_member(kind, text) for text in _split(members))
    except ConfigurationError as error:
        raise ConfigurationError(f"alias @{name}: {error}") from None
    if not parsed:
        raise ConfigurationError(f"alias @{name} needs at least one member")
    tls = kind in _WITH_TLS or _is_on(ssl)
    return ClusterDefinition(name, kind, parsed, role, source, tls, verify, ClientCertificate.read(cert), http2, pooler)


def plain_kind(kind: str) -> str:
    """Return the type of a cluster or database without the ``*`` of the ``DB_*`` constants, in lower case."""
    kind = str(kind).lstrip("*").lower()
    return _MISSPELLED.get(kind, kind)


def find(name: str) -> ClusterDefinition:
    """Return the definition of a cluster by its name without ``@``.

    Raises:
        UnknownAlias: there is none.
    """
    try:
        return definitions[name]
    except KeyError:
        raise UnknownAlias(name) from None


def _is_on(ssl: bool | int | str) -> bool:
    return ssl.strip().lower() in ("1", "yes", "true", "on") if isinstance(ssl, str) else bool(ssl)


def _split(members: str | Iterable[str]) -> Iterator[str]:
    for text in members.split(",") if isinstance(members, str) else members:
        if stripped := text.strip():
            yield stripped


def parse_member(kind: str, text: str) -> Member:
    """Return the server that ``text`` names.

    Args:
        kind: of the cluster: it decides the default port, and a ``sqlite3`` member is the path of a file.
        text: ``"host"``, ``"host:port"`` or ``"host:port/dbname/user/password"``, and perhaps a weight after a blank.

    Raises:
        ConfigurationError: it cannot be read. The text of the error has no password.
    """
    address, weight = _split_weight(text)
    if kind == "sqlite3":
        return Member("", 0, dbname=address, weight=weight)
    # A password may hold anything, also slashes: whatever follows the third one belongs to it.
    where, *rest = address.split("/", 3)
    match = _HOST_PORT.fullmatch(where)
    if match is None:
        raise ConfigurationError(f"a server is 'host' or 'host:port', not {mask(where)!r}")
    try:
        host = normal_host(match[1])
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    port = int(match[2]) if match[2] else DEFAULT_PORTS.get(kind, 80)
    if not 0 < port < 65536:
        raise ConfigurationError(f"{port} in {mask(where)!r} is not a port")
    dbname, user, password = (*rest, "", "", "")[:3]
    return Member(host, port, dbname, user, password, weight)


def _split_weight(text: str) -> tuple[str, int]:
    address, blank, weight = text.rpartition(" ")
    if not blank:
        return text, 1
    if not weight.isdecimal():
        return text, 1  # a blank in the path of a database file, or in a password
    if int(weight) < 1:
        raise ConfigurationError(f"the weight {weight} of a member is not above 0")
    return address.rstrip(), int(weight)
