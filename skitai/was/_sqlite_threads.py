"""The native threads that wait for the disk on behalf of SQLite, and the order in which connections write."""

from __future__ import annotations

import sqlite3
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from gevent import Timeout, get_hub
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from skitai.was import _engine

if TYPE_CHECKING:
    from skitai.was._engine import Engine

#: Native threads of one hub at a time. They are not those of gevent's own pool, where names are looked up.
MOST = 32
#: Seconds after which a thread without work ends.
_IDLE = 60

_pools: weakref.WeakKeyDictionary[Engine, ThreadPool] = weakref.WeakKeyDictionary()


def _current() -> ThreadPool:
    engine = _engine.current()
    threads = _pools.get(engine)
    if threads is None:
        threads = _pools[engine] = ThreadPool(MOST, get_hub(), idle_task_timeout=_IDLE)
    return threads


def are_busy() -> bool:
    """Whether :func:`start` would have to wait."""
    return len(_current()) >= MOST


def start(seconds: float | None, fn: Callable[..., Any], *args: Any) -> AsyncResult[Any]:
    """Start ``fn(*args)`` in a thread; the value of what is returned is for :func:`outcome`.

    Args:
        seconds: to wait for a thread, when all of them are busy; ``None``: until there is one.

    Raises:
        sqlite3.OperationalError: none got free in time.
    """
    threads = _current()
    if seconds is None or len(threads) < MOST:
        return threads.spawn(_catch, fn, args)
    with Timeout(seconds, sqlite3.OperationalError(f"none of the {MOST} threads of SQLite got free in time")):
        return threads.spawn(_catch, fn, args)


def _catch(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    # gevent prints what leaves a function in a thread, and an error of SQL is nobody's accident.
    try:
        return fn(*args), None
    except Exception as error:
        return None, error


def outcome(value: tuple[Any, Exception | None]) -> Any:
    """Return what a function returned in a thread, or raise what it raised."""
    result, error = value
    if error is not None:
        try:
            raise error
        finally:
            del value, error  # its traceback holds this frame
    return result


class WriteTurn:
    """Which transaction of the connections to one file may write: SQLite lets one at a time.

    A transaction is several jobs for threads. Whoever waited for its end inside a thread could hold the very thread
    that the end needs; so here greenlets wait for it, first come, first served. Statements that are a transaction of
    their own end by themselves: they wait for transactions, and not for each other, which SQLite sees to in less time.

    Other processes know nothing of all this: against them SQLite's own lock is waited for.
    """

    def __init__(self) -> None:
        self._holder: object = None
        self._waiting: deque[_Waiting] = deque()

    def is_of(self, connection: object) -> bool:
        """Whether a transaction of ``connection`` may write."""
        return self._holder is connection

    def take(self, connection: object, seconds: float, *, is_transaction: bool) -> bool:
        """Wait until ``connection`` may write; False when that was not in time, or :meth:`leave` was called.

        Args:
            is_transaction: nobody else may from then on, until :meth:`end`.
        """
        if self._holder is None:
            self._holder = connection if is_transaction else None
            return True
        waiting = _Waiting(connection, is_transaction, AsyncResult())
        self._waiting.append(waiting)
        try:
            waiting.ticket.wait(seconds)
        except BaseException:  # whoever calls waits no longer, and the turn may have come all the same
            self.end(connection)
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove(waiting)
        return waiting.ticket.value is True

    def leave(self, connection: object) -> None:
        """Let ``connection`` wait no longer."""
        for waiting in self._waiting:
            if waiting.connection is connection:
                waiting.ticket.set(False)

    def end(self, connection: object) -> None:
        """The transaction of ``connection``, if it was its turn, has ended: now others may write."""
        if self._holder is not connection:
            return
        self._holder = None
        while self._waiting and self._holder is None:
            following = self._waiting.popleft()
            if not following.ticket.ready():
                self._holder = following.connection if following.is_transaction else None
                following.ticket.set(True)

    def __repr__(self) -> str:
        return f"<WriteTurn {'free' if self._holder is None else 'taken'}, {len(self._waiting)} waiting>"


class _Waiting(NamedTuple):
    connection: object
    is_transaction: bool
    ticket: AsyncResult[bool]
