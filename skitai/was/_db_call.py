"""What a caller asked of a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from skitai.was._db_connection import Command
from skitai.was._db_result import DbResult
from skitai.was._db_target import Target
from skitai.wire.masking import mask

_SCALARS = frozenset({str, bytes, int, float, bool, type(None)})
#: Modules whose types can be compared safely; those of bson are the ids and numbers of MongoDB.
_IMMUTABLE = frozenset({"datetime", "decimal", "uuid", "bson.objectid", "bson.int64", "bson.decimal128"})


class DbOptions(NamedTuple):
    """What every database service takes beside where the database is; see ``docs/databases.md``."""

    meta: dict[str, Any] | None = None
    use_cache: bool = True
    filter: Callable[[Any], object] | None = None
    callback: Any = None
    timeout: float | None = None


class DbCall(NamedTuple):
    """One command for one database, or for all members of a cluster of them; see :class:`skitai.was._call.Call`.

    Attributes:
        target: where it goes. command: what is to be done. options: as the caller gave them.
    """

    target: Target
    command: Command
    options: DbOptions
    result: type[DbResult]
    name: str

    @property
    def protocol(self) -> str:
        """The kind of database."""
        return self.target.kind

    @property
    def uri(self) -> str:
        """The alias, or what is shown of the database."""
        return self.target.uri

    @property
    def is_map(self) -> bool:
        """Whether all members of an alias are asked."""
        return self.target.is_map

    @property
    def method(self) -> str:
        """The name of the command."""
        return self.command.name

    @property
    def meta(self) -> dict[str, Any] | None:
        """As the caller gave it."""
        return self.options.meta

    @property
    def use_cache(self) -> bool:
        """As the caller gave it."""
        return self.options.use_cache

    @property
    def filter(self) -> Callable[[Any], object] | None:
        """As the caller gave it."""
        return self.options.filter

    @property
    def callback(self) -> Any:
        """As the caller gave it."""
        return self.options.callback

    @property
    def timeout(self) -> float | None:
        """Seconds that the database may take; ``None``: as long as any call."""
        return self.options.timeout

    @property
    def key(self) -> tuple[object, ...] | None:
        """See :class:`skitai.was._call.Call`: server, database, user, statement and parameters."""
        name, args, kwargs = self.command
        try:
            parameters = _frozen([args, kwargs])
        except _Incomparable:
            return None
        return (self.target, name, parameters)

    def close(self) -> None:
        """Nothing is open."""

    def __repr__(self) -> str:
        # Not the parameters: passwords of users are among them.
        return f"<DbCall {self.name}{'.map' if self.is_map else ''} {mask(self.uri)} {self.command.name}>"


class _Incomparable(Exception):
    """A parameter cannot be compared safely."""


def _frozen(value: Any) -> object:
    """Return something that is equal for equal parameters only: 1, 1.0 and True are three, and so are 0.0 and -0.0."""
    kind = type(value)
    if kind is float:
        return (kind, value.hex())
    if kind in _SCALARS:
        return (kind, value)
    if kind in (list, tuple):
        return (kind, tuple(map(_frozen, value)))
    if kind is dict:
        return (kind, tuple((_frozen(key), _frozen(each)) for key, each in value.items()))
    if kind.__module__ in _IMMUTABLE:
        # Equal ones need not mean the same: Decimal("1.0") and Decimal("1.00"), one instant in two time zones.
        return (kind, value, repr(value))
    raise _Incomparable
