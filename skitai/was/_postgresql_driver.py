"""What is added to psycopg2, which this imports: connections that wait in the gevent loop, and values of more types.

The connections are asynchronous ones of psycopg2 (``async_=1``), which say what they wait for. So they need no wait
callback, which psycopg2 has one of for the whole process: that one belongs to the app.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg2 import BINARY
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    UNICODE,
    AsIs,
    ISQLQuote,
    adapters,
    connection,
    new_array_type,
    new_type,
    register_type,
)
from psycopg2.extras import Json

from skitai.net.connect import READ, WRITE, wait_for
from skitai.net.waiting import Readable

_poll = connection.poll
#: Seconds of one wait for a socket that takes no more; a wait without an end is made of these.
_LONGEST_WAIT = 3600.0


class Connection(connection):  # type: ignore[misc]
    """An asynchronous connection of psycopg2 whose :meth:`complete` waits in the gevent loop.

    It is in autocommit mode, as all asynchronous ones are.
    """

    _readable: Readable | None = None

    def open(self, deadline: float) -> bool:
        """Complete what ``psycopg2.connect(async_=1)`` has begun; False when the deadline came first.

        Args:
            deadline: monotonic seconds.

        Raises:
            psycopg2.OperationalError: the server cannot be reached, or refused.
        """
        # libpq closes the socket and opens another one when it tries the next address.
        while (state := _poll(self)) != POLL_OK:
            if not wait_for(self.fileno(), READ if state == POLL_READ else WRITE, deadline):
                return False
        self._readable = Readable(self.fileno())
        for each in _TYPES:
            register_type(each, self)
        return True

    def execute(self, cursor: Any, sql: str | bytes, args: Any = None) -> None:
        """Send a statement and wait until all of its answer has come.

        A wait that ends by an exception, such as a timeout of gevent, leaves the answer on its way, so that the
        connection is closed.

        Args:
            cursor: of this connection. sql, args: see ``cursor.execute()``.

        Raises:
            psycopg2.Error: the server refused, or the connection was lost.
        """
        cursor.execute(sql, None if args is None else adapted(args))
        readable = self._readable
        while (state := _poll(self)) != POLL_OK:
            try:
                if state != POLL_READ:
                    # It cannot go on before the server takes more, which it may do only when its notices are read.
                    wait_for(self.fileno(), READ | WRITE, time.monotonic() + _LONGEST_WAIT)
                elif readable is not None:
                    readable.wait()
            except BaseException:
                self.close()
                raise

    def look(self) -> None:
        """Take what came while nothing was under way; never waits.

        Raises:
            psycopg2.Error: the connection was lost.
        """
        _poll(self)

    def close(self) -> None:
        """Close it, and let go of what waits for it."""
        super().close()
        if self._readable is not None:
            self._readable.close()
            self._readable = None


# Values


def adapted(args: Any) -> Any:
    """Return the values of a statement with those that psycopg2 cannot write made into what it can.

    A UUID is written as one, a dict as JSON. A list is an array, unless a dict is somewhere in it: then it is JSON.
    psycopg2 would learn this by ``register_adapter()`` for the whole process, and so for the app's own connections;
    what an app taught it about dicts itself, as ``register_hstore()`` does, goes before.

    Args:
        args: a sequence or a mapping of values.
    """
    if isinstance(args, Mapping):
        if _NEEDS_NOTHING.issuperset(map(type, args.values())):
            return args
        return {name: _adapted(value) for name, value in args.items()}
    if not isinstance(args, (tuple, list)) or _NEEDS_NOTHING.issuperset(map(type, args)):
        return args
    return tuple([_adapted(value) for value in args])


def _adapted(value: Any) -> Any:
    if isinstance(value, UUID):
        return AsIs(f"'{value}'::uuid")
    if isinstance(value, dict):
        return value if (type(value), ISQLQuote) in adapters else Json(value)
    if isinstance(value, list):
        is_json = (dict, ISQLQuote) not in adapters and _has_dict(value)
        return Json(value) if is_json else [_adapted(each) for each in value]
    if type(value) is tuple:
        return tuple([_adapted(each) for each in value])
    return value


def _has_dict(values: Sequence[Any]) -> bool:
    return any(isinstance(each, dict) or (isinstance(each, list) and _has_dict(each)) for each in values)


#: Types of values that are given to psycopg2 as they are.
_NEEDS_NOTHING = frozenset({str, int, float, bool, bytes, type(None)})


def _read_bytes(value: str | None, cursor: Any) -> bytes | None:
    return None if value is None else bytes(BINARY(value, cursor))


# Reads ``bytea``: the memoryview of psycopg2 neither compares, prints nor pickles.
_BYTES = new_type((17,), "BYTES", _read_bytes)
# Arrays of types whose values are read as text, which psycopg2 would give as one text, ``{a,b}``: those of tid, xid,
# cid, xml, line, circle, macaddr8, money, aclitem, point, lseg, path, polygon, bit, varbit, refcursor, the reg* types,
# uuid, txid_snapshot, pg_lsn, the types of text search, jsonpath, the multiranges, pg_snapshot and xid8.
_TEXTS = new_array_type(
    (
        143, 271, 629, 719, 775, 791, 1008, 1010, 1011, 1012, 1017, 1018, 1019, 1027, 1034, 1561, 1563, 2201, 2207,
        2208, 2209, 2210, 2211, 2949, 2951, 3221, 3643, 3644, 3645, 3735, 3770, 4073, 4090, 4097, 4192, 5039, 6150,
        6151, 6152, 6153, 6155, 6157,
    ),
    "TEXTARRAY",
    UNICODE,
)  # fmt: skip
_TYPES = (_BYTES, new_array_type((1001,), "BYTESARRAY", _BYTES), _TEXTS)
