"""What is added to psycopg2, which this imports: connections that wait at less cost, and bytes that are bytes."""

from __future__ import annotations

from typing import Any

from psycopg2 import BINARY
from psycopg2.extensions import POLL_READ, connection, new_type, register_type

from skitai.net.waiting import Readable

_poll = connection.poll


class Connection(connection):  # type: ignore[misc]
    """A connection whose :meth:`poll` waits, once it is open, for what is to be read.

    The wait callback of psycogreen asks ``poll()`` what to wait for, and would make a watcher for each answer.
    """

    _readable: Readable | None = None

    def begin(self) -> None:
        """It is open: its socket stays the same from now on. To be called on the hub that it is used on."""
        self._readable = Readable(self.fileno())
        register_type(_BYTES, self)

    def poll(self) -> Any:
        """Go on with what is under way, and return what to wait for before the next call."""
        state = _poll(self)
        while state == POLL_READ and self._readable is not None:
            self._readable.wait()
            state = _poll(self)
        return state

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


def _read_bytes(value: str | None, cursor: Any) -> bytes | None:
    return None if value is None else bytes(BINARY(value, cursor))


# Reads ``bytea``: the memoryview of psycopg2 neither compares, prints nor pickles.
_BYTES = new_type((17,), "BYTES", _read_bytes)
