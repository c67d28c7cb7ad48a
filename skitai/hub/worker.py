"""The life of one serving process: serve, and end well when a signal says so."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from signal import Signals
from typing import Any, Final

from gevent import get_hub, spawn, wait
from gevent.event import Event
from gevent.hub import LoopExit

from skitai.hub import signals
from skitai.hub.heartbeat import Heartbeat
from skitai.hub.server import Server
from skitai.hub.supervisor import EXIT_OK, EXIT_RESTART, IMPATIENCE, RETIRE, Post
from skitai.net import faults, forks
from skitai.net.logs import Logs
from skitai.was import _engine, _life
from skitai.was._context import wasc

_READABLE: Final = 1


# Container objects more than before that start a collection of the youngest; Python's own 700 is less than one page of
# a framework makes, so it looked at the objects of requests in progress again and again. With 20,000 a page that leaves
# cycles behind, as one with a session, took 8 % more CPU than with 5,000: what it freed was in no cache any more.
_COLLECT_AFTER: Final = 5_000
_PYTHONS_OWN: Final = (700, 10, 10)


def settle_memory() -> None:
    """Take what the apps loaded out of the garbage collector's sight, and let it look less often.

    A Flask page with five calls of ``was`` took 11 % less CPU with this. An app that set thresholds keeps them.
    """
    gc.collect()
    gc.freeze()
    if gc.get_threshold() == _PYTHONS_OWN:
        gc.set_threshold(_COLLECT_AFTER, 20, 20)


class Worker:
    """Serves until a signal says stop, or the process that started this one is gone.

    Under a supervisor the signals come from it: SIGTERM finishes the requests in flight; :data:`RETIRE` does the same
    when others have begun to serve, so that idle clients can be given more time; SIGUSR2 ends now, SIGUSR1 rotates the
    logs; what a terminal sends to the whole group (SIGINT, SIGQUIT, SIGHUP) stays ignored. A server without a
    supervisor answers to those as well.

    Args:
        server: with its listeners.
        logs: to rotate and to write at the end.
        messages: for the server log, once it serves.
        post: what it knows of its supervisor, ``None`` when there is none.
    """

    def __init__(self, server: Server, logs: Logs, messages: Sequence[str], post: Post | None = None) -> None:
        self._server = server
        self._logs = logs
        beat, stack = (None, -1) if post is None else (post.beat, post.stack)
        self._heartbeat = Heartbeat(server.settings, logs, beat, stack)
        self._messages = messages
        self._post = post
        self._grace: float | None = None
        self._loop = get_hub().loop
        self._is_told = Event()
        self._is_hurried = Event()
        self._has_successor = False
        self._code = EXIT_OK
        self._watchers: list[Any] = []
        self._life_line: Any = None
        # When the first signal to stop came; that of a reload does not count.
        self._told_at: float | None = None

    def run(
        self, on_ready: Callable[[], None], life_line: int | None, alone: Mapping[Signals, int] | None = None
    ) -> int:
        """Serve; returns when all is over.

        Args:
            on_ready: called when clients are accepted.
            life_line: a file descriptor that becomes readable when the parent process is gone.
            alone: for a server without a supervisor, the further signals that stop it, with their exit codes.

        Returns:
            The exit code of the process.
        """
        self._watch_signals(alone or {})
        if life_line is not None:
            self._life_line = get_hub().loop.io(life_line, _READABLE)
            self._watch(self._life_line, self._be_orphaned)
        settle_memory()
        self._server.start()
        for message in self._messages:
            self._logs.server.log(message)
        self._logs.flush()
        _life.use(self)
        on_ready()
        self._heartbeat.start()
        try:
            self._is_told.wait()
        except LoopExit:  # in a child that an app has forked, when nothing of it is left to do
            forks.end_if_child()
            raise
        self._finish()
        return self._code

    # What an app may ask for

    def restart(self, grace: float | None) -> None:
        """Serve anew: ``was.restart()``. May be called in any thread; returns at once.

        The only worker of a supervisor lets it start a new one first, so that clients are accepted throughout.

        Args:
            grace: seconds for requests in flight; ``None`` takes the setting.
        """
        self._ask(Signals.SIGHUP, EXIT_RESTART, grace)

    def shutdown(self, grace: float | None) -> None:
        """Serve no more: ``was.shutdown()``. As :meth:`restart`."""
        self._ask(Signals.SIGTERM, EXIT_OK, grace)

    def _ask(self, number: Signals, code: int, grace: float | None) -> None:
        self._grace = grace
        if self._post is not None and self._post.workers == 1:
            self._post.ask_master(number)
        else:
            self._loop.run_callback_threadsafe(self._tell_once, code)

    # Signals

    def _watch_signals(self, alone: Mapping[Signals, int]) -> None:
        for number, code in {Signals.SIGTERM: EXIT_OK, **alone}.items():
            self._watch(get_hub().loop.signal(number), self._tell, code)
        self._watch(get_hub().loop.signal(RETIRE), self._retire)
        self._watch(get_hub().loop.signal(Signals.SIGUSR2), self._hurry)
        # Under a supervisor the files are renamed there: of several processes each would do it.
        rotate = self._logs.rotate if self._post is None else self._logs.make_way
        self._watch(get_hub().loop.signal(Signals.SIGUSR1), rotate)

    def _watch(self, watcher: Any, callback: Callable[..., object], *args: object) -> None:
        watcher.start(faults.guarded, callback, *args)
        self._watchers.append(watcher)

    def _tell(self, code: int) -> None:
        """Stop; the same again after a second means now. Called in the loop."""
        now = time.monotonic()
        self._server.hasten()
        if self._told_at is None:
            self._told_at = now
            if not self._is_told.is_set():
                self._code = code
                self._is_told.set()
        elif now - self._told_at >= IMPATIENCE:
            self._hurry()

    def _tell_once(self, code: int) -> None:
        """Stop; unlike a signal, the same again means nothing more."""
        if not self._is_told.is_set():
            self._tell(code)

    def _retire(self) -> None:
        """Stop, while others serve already."""
        self._has_successor = True
        self._is_told.set()

    def _be_orphaned(self) -> None:
        """The parent process is gone. The end of its pipe stays readable: heard once, it is watched no more."""
        self._life_line.stop()
        self._logs.server.log("the parent process is gone: ending after the requests in flight", "error")
        self._tell_once(EXIT_OK)

    def _hurry(self) -> None:
        self._is_told.set()
        self._is_hurried.set()

    def _finish(self) -> None:
        drain = self._server.limits.drain_time if self._has_successor else None
        stopping = spawn(self._server.stop, self._grace, drain)
        waiting = spawn(self._is_hurried.wait)
        wait([stopping, waiting], count=1)
        self._heartbeat.stop()
        with signals.blocked((Signals.SIGTERM, Signals.SIGUSR1)):
            for watcher in self._watchers:
                watcher.stop()
                watcher.close()
            if self._post is not None:
                # Without a watcher they would end the process, whose exit handlers are still to run.
                signals.ignore((Signals.SIGTERM, Signals.SIGUSR1))
        wasc.clean_up()
        _engine.current().close()
        self._logs.close()
