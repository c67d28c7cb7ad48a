"""What a callback of the loop raises: it is logged, and it ends what the callback was for.

gevent prints such an exception and goes on, and an I/O watcher it stops as well. Whoever waited for what the callback
was to do would then wait for ever, a connection would be read no more, a place in a pool would stay taken. So whatever
the loop, the sweep, a turn or a worker greenlet calls for a call or for a connection is called with this guard around
it: either by :func:`guarded`, or by an ``except`` that calls :func:`escaped`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from greenlet import GreenletExit

from skitai.net import logs


class Breakable(Protocol):
    """Something that a callback of the loop works for."""

    def break_off(self, error: BaseException) -> None:
        """One of its methods raised ``error`` in the loop: end, in whatever state, and tell whoever waits.

        It must not block, and a second call does nothing.
        """


def guarded(fn: Callable[..., object], *args: Any) -> None:
    """Call ``fn(*args)``; what it raises goes to :func:`escaped`.

    Use it where the loop is given a callback: ``loop.run_callback(guarded, self.go_on)``.
    """
    try:
        fn(*args)
    except Exception as error:
        escaped(fn, error)


def escaped(fn: object, error: BaseException, tag: str = "") -> None:
    """A callback raised ``error``: log it, and break off what it is a method of. Raises nothing.

    Args:
        fn: the callback. What it is bound to is broken off when it is :class:`Breakable`.
        tag: for the log, such as a transaction id.
    """
    report(error, tag)
    break_off = getattr(getattr(fn, "__self__", None), "break_off", None)
    if break_off is None:
        return
    try:
        break_off(error)
    except Exception as second:
        report(second, tag)


def report(error: BaseException, tag: str = "") -> None:
    """Log an exception that nobody else will hear of, with where it came from."""
    logs.current().app.traceback(tag=tag, error=error)


def as_exception(error: BaseException) -> Exception:
    """Return ``error`` as what results carry and ``except Exception`` catches: ``gevent.Timeout`` is none by itself."""
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def reraise_end(error: BaseException) -> None:
    """Raise ``error`` again when it is to end the greenlet or the process, and not only what was being done.

    ``sys.exit()`` in a function that a caller gave is not: it is no way to end a server.
    """
    if isinstance(error, (GreenletExit, KeyboardInterrupt)):
        raise error
