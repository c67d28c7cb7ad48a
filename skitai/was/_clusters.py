"""The clusters of this process while they are in use: which member is busy, which is put aside."""

from __future__ import annotations

from skitai.wire import clusters
from skitai.wire.balance import Balancer
from skitai.wire.clusters import ClusterDefinition


class Cluster:
    """A definition with the state of its members. All requests of the process share it."""

    __slots__ = ("balancer", "definition")

    def __init__(self, definition: ClusterDefinition) -> None:
        self.definition = definition
        self.balancer = Balancer(definition.members)

    def __repr__(self) -> str:
        return f"<Cluster @{self.definition.name} {self.definition.kind} {self.balancer.states}>"


_live: dict[str, Cluster] = {}


def find(name: str) -> Cluster:
    """Return the cluster called ``name`` (without ``@``).

    Raises:
        UnknownAlias: it is not defined.
    """
    definition = clusters.find(name)
    cluster = _live.get(name)
    if cluster is None or cluster.definition is not definition:  # defined again: what was known is void
        cluster = _live[name] = Cluster(definition)
    return cluster


def split(uri: str) -> tuple[str, str]:
    """Return (name, path with its query) of ``@name/path``; the path of ``@name`` alone is ``/``."""
    name, slash, path = uri[1:].partition("/")
    if not slash and "?" in name:
        name, _, query = name.partition("?")
        return name, "/?" + query
    return name, "/" + path
