"""Where the commands of one stub go: a database, a member of a cluster, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.errors import ConfigurationError
from skitai.was import _clusters
from skitai.wire import clusters, databases

if TYPE_CHECKING:
    from skitai.was._clusters import Cluster
    from skitai.was._result import Node
    from skitai.wire.balance import MemberState
    from skitai.wire.databases import Database


class Target(NamedTuple):
    """See the module.

    Attributes:
        kind: of database. uri: ``@alias``, or what is shown of the database.
        database: that is called; ``None`` for an alias. dbname: for an alias, goes before the member's own.
        is_map: all members of the alias.
        error: why nothing can be called.
    """

    kind: str
    uri: str
    database: Database | None
    dbname: str = ""
    is_map: bool = False
    error: Exception | None = None

    def database_of(self, cluster: Cluster | None, member: MemberState | None) -> Database:
        """Return the database to ask: of the member that was chosen, for an alias."""
        if self.database is not None:
            return self.database
        assert cluster is not None and member is not None  # an alias is a cluster, and one of its members was chosen
        return databases.of_member(cluster.definition, member.member, self.dbname)

    def database_at(self, node: Node) -> Database | None:
        """Return the database of the member that answered; ``None`` when it is not known, or no member any more.

        Args:
            node: of a result.
        """
        if self.database is not None or node is None:
            return self.database
        definition = clusters.definitions.get(self.uri[1:])
        found = [each for each in definition.members if each.node == node] if definition is not None else []
        return databases.of_member(definition, found[0], self.dbname) if definition is not None and found else None


def read(kind: str | None, server: str, dbname: str, auth: Any, is_map: bool) -> Target:
    """Return the target that the arguments of a service name.

    Args:
        kind: of database; ``None``: the alias says.

    Raises:
        UnknownAlias: there is no such alias.
    """
    if server[:1] == "@":
        return _read_alias(kind, server, dbname, is_map)
    assert kind is not None
    try:
        database = databases.parse(kind, server, dbname, auth)
    except (ConfigurationError, TypeError) as error:  # as a URL that cannot be read: the request fails
        return Target(kind, kind, None, is_map=is_map, error=error)
    return Target(kind, database.name, database, is_map=is_map)


def _read_alias(kind: str | None, server: str, dbname: str, is_map: bool) -> Target:
    name = server[1:].rstrip("/")
    definition = _clusters.find(name).definition
    found = definition.kind
    error = None
    if found not in databases.KINDS:
        error = ConfigurationError(f"@{name} is of type {found}, which is no database")
    elif kind is not None and kind != found:
        error = ConfigurationError(f"@{name} is of type {found}, not {kind}: call was.{found}, or was.db")
    kind = kind or (found if error is None else "postgresql")
    return Target(kind, f"@{name}", None, dbname if found == "mongodb" else "", is_map, error)
