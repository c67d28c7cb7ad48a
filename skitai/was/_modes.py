"""What the single-thread mode (``threads=0``) refuses: there, nobody may wait inside an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skitai.was import _callback

if TYPE_CHECKING:
    from skitai.was._context import Context


class Mode:
    """How the apps of this process run.

    Attributes:
        threads: slots for app calls; 0 is the single-thread mode.
    """

    def __init__(self) -> None:
        self.threads = 1_000

    @property
    def is_single(self) -> bool:
        """Whether this is the single-thread mode."""
        return self.threads == 0


#: Of this process; the server sets it.
current = Mode()


def check_map() -> None:
    """Refuse ``.map`` in the single-thread mode.

    Raises:
        AttributeError: as version 0.26 raised it.
    """
    if current.is_single:
        raise AttributeError("Cannot use Map-Reduce with Single Thread")


def check_call(context: Context, callback: Any, is_map: bool) -> None:
    """Refuse a call that nobody could take the result of.

    Raises:
        RuntimeError: a map with a callback; or a call without one, in a request of the single-thread mode.
        TypeError: the callback cannot be called.
    """
    if callback is not None:
        _callback.check(callback)
        if is_map:
            raise RuntimeError("a map has several results, which one callback cannot take: use getswait()")
    elif current.is_single and context.exchange is not None:
        raise RuntimeError("Should have callback in Main thread")


def check_waiting(context: Context) -> None:
    """Refuse what waits while it is called, such as a transaction.

    Raises:
        RuntimeError: it is called in a request of the single-thread mode.
    """
    if current.is_single and context.exchange is not None:
        raise RuntimeError("Cannot wait with Single Thread: start a request with a callback")
