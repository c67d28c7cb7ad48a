"""Worker greenlets that are parked and reused, as a thread pool reuses threads.

A request, and each call of ``was``, runs on one of these. A worker is a raw greenlet: switching to a parked one costs
about a tenth of spawning a :class:`gevent.Greenlet`. In a prototype of the server, hello world ran 2.5 times as fast
on parked workers as on greenlets spawned for each request.

Every task begins with an empty :class:`contextvars.Context` and an empty ``spawn_tree_locals``, so nothing of one
request is seen by the next one that the same worker runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent.hub import Hub
from greenlet import GreenletExit, getcurrent, greenlet

from skitai.net import faults, forks

#: Parked workers kept per hub; more than this end when their task does. One costs about 5 KB.
MOST_PARKED = 1_000

_NOTHING: dict[str, Any] = {}


class Worker(greenlet):  # type: ignore[misc]
    """A greenlet that runs one task after another; between tasks it is parked."""

    #: What gevent hands down to greenlets that a task spawns: a child finds its request by this.
    spawn_tree_locals: dict[str, Any]


class GreenletPool:
    """The workers of one gevent hub.

    Args:
        hub: the hub that the workers switch to when they block.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._parked: list[Worker] = []
        self._count = 0

    def run(self, fn: Callable[..., object], *args: Any) -> None:
        """Run ``fn(*args)`` on a worker at once; returns when it has ended or blocks. Only the hub may call this.

        Switching straight from a watcher's callback is how gevent itself resumes greenlets: when the worker blocks it
        switches to the hub, which goes on behind this call.
        """
        worker = self._parked.pop() if self._parked else self._new_worker()
        worker.spawn_tree_locals = {}
        worker.switch(fn, args)

    def begin(self, fn: Callable[..., object], *args: Any) -> None:
        """Run ``fn(*args)`` on a worker at once; the caller goes on when that has ended or blocks, after the hub had
        a turn. Any greenlet of the hub's thread may call this, also the hub itself.
        """
        me = getcurrent()
        if me is self._hub:
            self.run(fn, *args)
            return
        callback = self._hub.loop.run_callback(me.switch)
        try:
            self.run(fn, *args)
        finally:
            callback.stop()  # an exception that was thrown into the caller came first

    def spawn(self, fn: Callable[..., object], *args: Any) -> None:
        """Run ``fn(*args)`` on a worker in the next turn of the hub; any greenlet of the hub's thread may call this."""
        self._hub.loop.run_callback(self.run, fn, *args)

    def _new_worker(self) -> Worker:
        """Return a worker that is parked already: the arguments that start a greenlet live as long as it does."""
        worker = Worker(self._work, getcurrent())
        self._count += 1
        worker.switch()
        worker.parent = self._hub
        return worker

    def _work(self) -> None:
        me = getcurrent()
        parked = self._parked
        hub = self._hub
        park = super(Hub, hub).switch  # type: ignore[misc]
        fn, args = greenlet.switch(me.parent)  # back to _new_worker()
        while True:
            try:
                fn(*args)
            except GreenletExit:
                break
            except Exception as error:
                faults.escaped(fn, error)
            except BaseException:
                if forks.is_child and hub is not get_hub():
                    forks.end_if_child()
                report(fn)
            # The hub of a worker that was copied by a fork is the parent's; those of the child itself go on.
            if forks.is_child and hub is not get_hub():
                forks.end_if_child()
            if len(parked) >= MOST_PARKED:
                break
            del fn, args
            # A parked worker must not keep what its task left: after a rush, a thousand requests with their bodies.
            # Without a context of its own it gets an empty one when the next task first asks for one.
            me.gr_context = None
            me.spawn_tree_locals = _NOTHING
            parked.append(me)
            fn, args = park()
        self._count -= 1

    def __repr__(self) -> str:
        return f"<GreenletPool {self._count} workers, {len(self._parked)} parked>"


def report(task: object) -> None:
    """Print the current exception of a task as gevent prints those of its greenlets."""
    import sys

    kind, value, trace = sys.exc_info()
    get_hub().handle_error(task, kind, value, trace)


def current() -> GreenletPool:
    """Return the pool of this thread's hub, made on first use."""
    hub = get_hub()
    try:
        return hub.skitai_pool  # type: ignore[no-any-return]
    except AttributeError:
        hub.skitai_pool = pool = GreenletPool(hub)
        return pool


def run(fn: Callable[..., object], *args: Any) -> None:
    """:meth:`GreenletPool.run` of this thread's pool."""
    current().run(fn, *args)


def begin(fn: Callable[..., object], *args: Any) -> None:
    """:meth:`GreenletPool.begin` of this thread's pool."""
    current().begin(fn, *args)


def spawn(fn: Callable[..., object], *args: Any) -> None:
    """:meth:`GreenletPool.spawn` of this thread's pool."""
    current().spawn(fn, *args)
