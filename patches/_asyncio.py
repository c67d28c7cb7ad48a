"""asyncio knows one running loop for each native thread; with this it knows one for each greenlet.

Why: all greenlets share a thread. While one waited in ``asyncio.run()``, every other one that called it was told that a
loop is running already: of eight requests with an ``async def`` view seven were answered 500.
How: asyncio keeps the running loop in C, where only its own functions reach it. As long as a greenlet runs a loop, each
switch between greenlets tells asyncio which loop runs in the one that goes on. gevent's selector lets a loop wait as
greenlets wait; context variables, timeouts of gevent, threads and processes of asyncio work as everywhere.
Cost: a switch takes half a microsecond longer while some loop runs, and nothing while none does.
Versions: Python 3.11 and newer, gevent 25.9 and newer. It can go when Skitai no longer runs on gevent.
asyncio is patched when a program imports it, because importing it for those who do not use it would cost time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from . import _imports


def apply() -> None:
    """Patch asyncio now, or when it is imported."""
    if "asyncio" in sys.modules:
        _install()
    else:
        _imports.after("asyncio", _install)


def _install() -> None:
    from asyncio.base_events import BaseEventLoop

    BaseEventLoop.run_forever = _by_greenlet(BaseEventLoop.run_forever)  # type: ignore[method-assign, assignment]


def _by_greenlet(run_forever: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a ``run_forever()`` whose loop runs in its greenlet alone; ``run_until_complete()`` calls it too."""
    from gevent import get_hub
    from greenlet import getcurrent

    @wraps(run_forever)
    def run(self: Any) -> None:
        hub = get_hub()
        try:
            switches = hub.asyncio_switches
        except AttributeError:
            switches = hub.asyncio_switches = _Switches()
        me = getcurrent()
        if me in switches.loops:  # which asyncio refuses
            run_forever(self)
            return
        switches.begin(me, self)
        try:
            run_forever(self)
        finally:
            switches.end(me)

    return run


class _Switches:
    """Tells asyncio, at each switch between the greenlets of a thread, which loop runs in the one that goes on.

    Attributes:
        loops: that run, by their greenlets.
    """

    def __init__(self) -> None:
        from asyncio.events import _get_running_loop, _set_running_loop

        self.loops: dict[Any, Any] = {}
        self._get, self._set = _get_running_loop, _set_running_loop
        self._before: Callable[[str, Any], object] | None = None
        # What the thread has outside of loops: a loop has hooks of its own for async generators, which are the
        # thread's too.
        self._hooks: Any = (None, None)

    def begin(self, me: Any, loop: Any) -> None:
        """A greenlet begins to run a loop."""
        from greenlet import settrace

        if not self.loops:
            self._before = settrace(self._switched)
            self._hooks = sys.get_asyncgen_hooks()
        self.loops[me] = loop

    def end(self, me: Any) -> None:
        """It has ended."""
        from greenlet import gettrace, settrace

        del self.loops[me]
        # Who traces switches since then, as gevent's monitor may, goes on; then this one finds nothing to do.
        if not self.loops and gettrace() == self._switched:
            settrace(self._before)

    def _switched(self, event: str, args: Any) -> None:
        if event in ("switch", "throw"):
            loop = self.loops.get(args[1])
            if self._get() is not loop:
                self._set(loop)
                if loop is None:
                    sys.set_asyncgen_hooks(*self._hooks)
                else:
                    sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
        if self._before is not None:
            self._before(event, args)
