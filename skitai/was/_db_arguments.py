"""The arguments of the database services, which the two generations of documents order differently."""

from __future__ import annotations

from typing import Any, NamedTuple

from skitai.constants import DatabaseType, database_type
from skitai.was._db_call import DbOptions
from skitai.wire import databases
from skitai.wire.masking import mask


class Arguments(NamedTuple):
    """What the arguments of a service say.

    Attributes:
        kind: of database, ``None`` when no argument names it. dbname, auth, options: as their names say.
    """

    kind: str | None
    dbname: str
    auth: Any
    options: DbOptions

    def __repr__(self) -> str:
        return f"<Arguments {self.kind} {mask(self.dbname)}>"  # not auth


_NOTHING = Arguments(None, "", None, DbOptions())
#: Names of the arguments behind ``auth``, in their order.
_ORDER = ("dbtype", "meta", "use_cache", "filter", "callback", "timeout")
_NAMES = frozenset({"dbname", "auth", "user", "password", *_ORDER})


def read_arguments(args: tuple[Any, ...], keywords: dict[str, Any]) -> Arguments:
    """Return what arguments mean in ``db(server, dbname, user, password, dbtype, use_cache)`` of version 0.15, or in
    ``db(server, dbname, auth, dbtype, meta, use_cache, filter, callback, timeout)`` of 0.26.

    They are told apart by the third one: a string followed by a string is a user with a password.

    Raises:
        TypeError: an argument that there is not, or one that is given twice.
    """
    if not args and not keywords:  # "@alias", or the path of a file: four microseconds less
        return _NOTHING
    if unknown := keywords.keys() - _NAMES:
        raise TypeError(f"a database service has no argument {', '.join(sorted(unknown))}")
    found = _read_positions(list(args)) if args else {}
    if twice := found.keys() & keywords.keys():
        raise TypeError(f"{', '.join(sorted(twice))} is given twice")
    found |= keywords
    kind = found.get("dbtype")
    if kind is not None and database_type(kind) is None:
        raise TypeError(f"dbtype is one of {', '.join(sorted(databases.KINDS))}, not {kind!r}")
    auth = found.get("auth")
    if "user" in found:
        auth = (found["user"], found.get("password") or "")
    options = DbOptions(
        found.get("meta"), found.get("use_cache", True), found.get("filter"), found.get("callback"),
        found.get("timeout"),
    )  # fmt: skip
    return Arguments(str(database_type(kind)) if kind is not None else None, found.get("dbname") or "", auth, options)


def _read_positions(args: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    # A DB_* constant is the type in whatever place, and not the name of a database.
    for position, value in enumerate(args):
        if _is_type(value) and position < 4:
            found["dbtype"] = args.pop(position)
            break
    if args:
        found["dbname"] = args.pop(0)
    if len(args) >= 2 and isinstance(args[0], str) and isinstance(args[1], str):
        found["user"], found["password"] = args.pop(0), args.pop(0)
        names = [name for name in ("dbtype", "use_cache") if name not in found]
    else:
        if args:
            found["auth"] = args.pop(0)
        names = [name for name in _ORDER if name not in found]
    if len(args) > len(names):
        raise TypeError("too many arguments for a database service")
    return found | dict(zip(names, args, strict=False))


def _is_type(value: Any) -> bool:
    """Whether a value is a ``DB_*`` constant, or the text of one with its ``*``: a plain word is a name."""
    if isinstance(value, DatabaseType):
        return True
    return isinstance(value, str) and value[:1] == "*" and database_type(value) is not None
