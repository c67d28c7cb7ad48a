"""The master process: it forks workers and keeps them running, and does nothing else.

It has no loop, no threads and no connection of its own, so there is little that can go wrong in it. It waits in a plain
``select`` for signals and for workers to say that they are ready:

    SIGTERM, SIGINT, SIGQUIT    stop: workers finish the requests in flight, at most ``grace`` seconds. The same again
                                a second later or more: stop now.
    SIGHUP                      start new workers; when all of them are ready, stop the old ones. During a start or a
                                reload it is remembered, and done behind it.
    SIGUSR1                     rotate the logs: workers write what they have, then the files are renamed here.
    SIGCHLD                     a worker ended: replace it, with a growing delay when it dies at once.

To a worker it sends SIGTERM (finish and end), SIGURG (the same, while others serve already), SIGUSR2 (end now),
SIGUSR1, and SIGKILL to one that does not listen.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from signal import Signals
from typing import Final, NoReturn

import gevent
import gevent.monkey

from skitai.errors import ConfigurationError
from skitai.hub import signals, stacks
from skitai.hub.backoff import Backoff
from skitai.hub.endings import EXIT_TIME, end_process, forget_inherited, running_threads
from skitai.net import forks, once
from skitai.net.logs import Logger, current

# Why a server ended, for service managers and for -f.
EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_MISCONFIGURED: Final = 2
EXIT_RESTART: Final = 3

# A worker that lived shorter than this (seconds) died at once: its replacement waits.
SHORT_LIFE: Final = 5.0
# Delays in seconds before such a replacement.
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 60.0
# Seconds after which the log says that new workers are still not ready.
SLOW_RELOAD: Final = 10.0
# Seconds between telling workers to write what they have of their logs, and renaming the files.
WRITE_TIME: Final = 0.2
# A second stop signal counts as impatience only this many seconds after the first: service managers and terminals
# signal a whole group of processes, so one wish to stop often comes twice.
IMPATIENCE: Final = 1.0
# Seconds between "end now" and SIGKILL: exit handlers run meanwhile, unless a second signal said that nobody waits.
LAST_WORDS: Final = EXIT_TIME + 1.0
LAST_WORDS_WHEN_HURRIED: Final = 1.0

# Seconds that a worker without a sign of life gets to write its stack, before it is killed.
STACK_TIME: Final = 0.5
# Beats that are read at one time.
_MOST_BEATS: Final = 4096

#: Tells a worker that is ready to finish and end because others serve already. One that loads its apps ignores SIGURG,
#: as processes do, and gets SIGTERM.
RETIRE: Final = Signals.SIGURG

_STOPPING = (Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT)
_CAUGHT = (*_STOPPING, Signals.SIGHUP, Signals.SIGUSR1, Signals.SIGCHLD)

_fork: Callable[[], int] = gevent.monkey.get_original("os", "fork")
_waitpid: Callable[[int, int], tuple[int, int]] = gevent.monkey.get_original("os", "waitpid")


@dataclass(frozen=True)
class Post:
    """What a worker knows of its master.

    Attributes:
        index: the worker's number, from 1.
        life_line: a file descriptor that becomes readable when the master is gone.
        workers: how many there are.
        master: process id of the master.
        is_reload: whether it is to take the place of a worker that serves well.
        stack: a file descriptor for the stack that the master asks for.
    """

    index: int
    life_line: int
    workers: int
    master: int
    is_reload: bool
    stack: int
    _ready: int

    def ready(self) -> None:
        """Tell the master that this worker serves."""
        with suppress(BrokenPipeError):  # it is gone, as the life line says too
            os.write(self._ready, b"\n")
        os.set_blocking(self._ready, False)
        forks.guard(self._let_go)

    def beat(self) -> None:
        """Tell the master that the loop of this worker turns."""
        # Nobody reads: the master is gone, or it is stopped and the pipe is full of beats.
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._ready, b".")

    def _let_go(self) -> None:
        os.close(self._ready)

    def ask_master(self, number: Signals) -> None:
        """Send the master a signal, unless it is gone: its process id may be somebody else's then."""
        if os.getppid() == self.master:
            os.kill(self.master, number)


@dataclass
class Worker:
    """The master's view of one worker process."""

    index: int
    generation: int
    pid: int
    # Readable when the worker says that it is ready, or that its loop turns, or is dead; -1 when that has been read.
    ready: int
    # Where its stack is written when it is asked for.
    stack: int = -1
    is_ready: bool = False
    is_ending: bool = False
    # Whether it was sent SIGTERM; a second one would mean "now".
    is_told: bool = False
    started: float = field(default_factory=time.monotonic)
    # When its loop turned last, and since when its stack is asked for because it does not.
    beat: float = 0.0
    asked: float | None = None
    is_killed: bool = False
    # When to send what if it is still there.
    deadlines: list[tuple[float, Signals]] = field(default_factory=list)

    def kill(self, number: int) -> None:
        """Send a signal; the process cannot be another one, because only its master's waitpid() frees the pid."""
        os.kill(self.pid, number)

    def end(self, number: Signals, grace: float) -> None:
        """Let it finish, at most ``grace`` seconds long; one that has less time left keeps that."""
        if not (number == Signals.SIGTERM and self.is_told):
            self.is_told = self.is_told or number == Signals.SIGTERM
            self.kill(number)
        if not self.is_ending:
            self.is_ending = True
            self.end_at(time.monotonic() + grace, LAST_WORDS)

    def end_at(self, moment: float, last_words: float) -> None:
        """Make it end at a moment (monotonic seconds), and kill it ``last_words`` seconds later."""
        self.deadlines = [(moment, Signals.SIGUSR2), (moment + last_words, Signals.SIGKILL)]

    def __str__(self) -> str:
        return f"worker {self.index} (pid {self.pid})"


@dataclass(frozen=True)
class Orders:
    """What a supervisor shall do.

    Attributes:
        worker_main: what a worker runs, in a process of its own; it returns the exit code.
        workers: how many.
        log: the server log.
        grace: seconds that a stopping worker may take for its requests in flight.
        reload_time: seconds that new workers may take to become ready after SIGHUP; then the old ones stay.
        worker_timeout: seconds without a sign of life after which a worker is replaced; 0 never does.
        on_ready: called once, when all workers are ready for the first time.
        before_reload: called when SIGHUP came, before new workers start; ConfigurationError keeps the old ones.
        on_stop: called once, when the stop begins; closes the listening sockets, which would keep clients waiting.
        life_line: a file descriptor that becomes readable when the server shall stop because its parent is gone.
    """

    worker_main: Callable[[Post], int]
    workers: int
    log: Logger
    grace: float = 30.0
    reload_time: float = 60.0
    worker_timeout: float = 0.0
    on_ready: Callable[[], None] = lambda: None
    before_reload: Callable[[], None] = lambda: None
    on_stop: Callable[[], None] = lambda: None
    life_line: int | None = None


def supervise(orders: Orders) -> int:
    """Run worker processes until a signal says stop.

    Returns:
        The exit code: 0 after a signal, 2 when a worker found the configuration wrong before any was ready.
    """
    return Supervisor(orders).run()


class Supervisor:
    """See :func:`supervise`."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._log = orders.log
        self._has_been_ready = False
        self._parent = orders.life_line
        self._workers: dict[int, Worker] = {}
        self._generation = 1
        self._backoffs = {index: Backoff(FIRST_DELAY, LONGEST_DELAY) for index in range(1, orders.workers + 1)}
        # When to start the worker of an index, for those that have none.
        self._due = dict.fromkeys(self._backoffs, 0.0)
        self._reload_ends: float | None = None
        # When to say that it takes long.
        self._reload_is_slow: float | None = None
        # SIGHUP came while it could not be done.
        self._is_reload_wanted = False
        self._rotation: float | None = None
        self._stop_began: float | None = None
        self._code = EXIT_OK
        self._life_line = (-1, -1)
        self._signals = signals.SignalQueue(_CAUGHT)

    def __repr__(self) -> str:
        states = ", ".join(
            f"{worker} {'ready' if worker.is_ready else 'starting'}" for worker in self._workers.values()
        )
        return f"<Supervisor generation {self._generation}: {states or 'no workers'}>"

    def run(self) -> int:
        """Serve until a signal says stop; return the exit code."""
        self._life_line = os.pipe()
        once.prepare()  # memory that all workers share must be there before the first of them
        self._warn_of_threads()
        with self._signals:
            while self._stop_began is None or self._workers:
                self._turn()
        if self._rotation is not None:
            current().rotate()
        for file in self._life_line:
            os.close(file)
        self._log.log(f"stopped, exit code {self._code}")
        return self._code

    def _warn_of_threads(self) -> None:
        names = running_threads()
        if names:
            self._log.log(
                f"threads that run before the workers are forked: {', '.join(names)}. They are dead in the workers, as"
                " are event loops and connections made so early: mount the app by its path, as"
                " skitai.mount('/', 'app.py'), and each worker makes its own",
                "warn",
            )

    def _turn(self) -> None:
        self._start_due()
        waiting = {worker.ready: worker for worker in self._workers.values() if worker.ready != -1}
        watched = [*waiting] if self._parent is None else [*waiting, self._parent]
        caught, readable = self._signals.wait(self._patience(), watched)
        for file in readable:
            if file == self._parent:
                self._parent = None
                self._stop("the parent process is gone", "error")
            else:
                self._hear(waiting[file])
        self._reap()
        for number in caught:
            self._handle(number)
        self._meet_deadlines()
        self._look_for_signs_of_life()
        if self._is_reload_wanted and self._can_reload:
            self._is_reload_wanted = False
            self._reload()

    def _patience(self) -> float | None:
        moments = [worker.deadlines[0][0] for worker in self._workers.values() if worker.deadlines]
        if self._stop_began is None:
            moments += self._due.values()
        moments += [self._silent_until(worker) for worker in self._workers.values() if self._is_watched(worker)]
        moments += [
            each for each in (self._reload_ends, self._reload_is_slow, self._rotation) if each is not None
        ]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    # Starting workers

    def _start_due(self) -> None:
        if self._stop_began is not None:
            return
        now = time.monotonic()
        for index in [index for index, moment in self._due.items() if moment <= now]:
            del self._due[index]
            try:
                self._start(index)
            except OSError as error:
                delay = self._backoffs[index].next_delay()
                self._log.log(f"worker {index} cannot be forked: {error}; trying again in {delay:g} s", "error")
                self._due[index] = now + delay

    def _start(self, index: int) -> None:
        ready, is_ready = os.pipe()
        is_reload = self._reload_ends is not None
        stack = stacks.open_stack_file() if self._orders.worker_timeout else -1
        post = Post(index, self._life_line[0], self._orders.workers, os.getpid(), is_reload, stack, is_ready)
        # Nothing buffered may be written twice, and no signal may come before the child has let go of our handlers.
        sys.stdout.flush()
        sys.stderr.flush()
        former = signal.pthread_sigmask(signal.SIG_BLOCK, [*_CAUGHT, Signals.SIGUSR2])
        try:
            pid = _fork()
            if pid == 0:
                os.close(ready)
                self._become_worker(post, former)
        except OSError:
            os.close(ready)
            if stack != -1:
                os.close(stack)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
            os.close(is_ready)
        self._workers[pid] = Worker(index, self._generation, pid, ready, stack)

    def _become_worker(self, post: Post, mask: set[int | Signals]) -> NoReturn:
        code = EXIT_FAILED
        try:
            self._signals.release()
            os.close(self._life_line[1])
            for worker in self._workers.values():
                for file in (worker.ready, worker.stack):
                    if file != -1:
                        os.close(file)
            # Until the worker's own loop takes over: SIGTERM and SIGUSR2 end it, since no request is in flight; the
            # rest is the master's business even when a terminal sends it to the whole group.
            signals.reset_to_default((Signals.SIGTERM, Signals.SIGUSR2, Signals.SIGCHLD))
            signals.ignore((Signals.SIGINT, Signals.SIGQUIT, Signals.SIGHUP, Signals.SIGUSR1))
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # While it loads its apps it does not watch the life line.
            signals.end_with_parent(Signals.SIGTERM, post.master)
            # What the script registered for the end of its process is not for the end of each worker.
            forget_inherited()
            # The script may have used the loop before run(); without one this does nothing.
            gevent.reinit()
            code = self._orders.worker_main(post)
        except ConfigurationError as error:
            self._log.log(f"worker {post.index} (pid {os.getpid()}) cannot start: {error}", "error")
            code = EXIT_MISCONFIGURED
        except BaseException as error:
            self._log.traceback(f"worker {post.index}", error=error)
        finally:
            end_process(code)

    def _hear(self, worker: Worker) -> None:
        """A worker is ready or gives a sign of life, or it closed its end by dying."""
        if not os.read(worker.ready, _MOST_BEATS):
            os.close(worker.ready)
            worker.ready = -1
            return
        now = time.monotonic()
        if worker.asked is not None:
            self._log.log(f"{worker} goes on after {now - worker.beat:.0f} s without a sign of life", "warn")
            worker.asked = None
        worker.beat = now
        if not worker.is_ready:
            worker.is_ready = True
            self._finish_reload()
            if not self._has_been_ready and self._are_all_ready():
                self._has_been_ready = True
                self._orders.on_ready()

    def _are_all_ready(self) -> bool:
        current_ones = [worker for worker in self._workers.values() if worker.generation == self._generation]
        return len(current_ones) == self._orders.workers and all(worker.is_ready for worker in current_ones)

    # Workers that give no sign of life

    def _is_watched(self, worker: Worker) -> bool:
        """Whether beats are expected of it: not while it loads its apps, nor while it ends."""
        return bool(self._orders.worker_timeout) and worker.is_ready and not (worker.is_ending or worker.is_killed)

    def _silent_until(self, worker: Worker) -> float:
        return worker.beat + self._orders.worker_timeout if worker.asked is None else worker.asked + STACK_TIME

    def _look_for_signs_of_life(self) -> None:
        now = time.monotonic()
        for worker in self._workers.values():
            if not self._is_watched(worker) or self._silent_until(worker) > now:
                continue
            if worker.asked is None:
                worker.asked = now
                worker.kill(stacks.STACK_SIGNAL)
                continue
            stack = stacks.read_stack(worker.stack) or "(no stack: it is stopped, or waits in the kernel)"
            self._log.log(
                f"{worker} gave no sign of life for {now - worker.beat:.0f} s and is killed (worker_timeout):\n{stack}",
                "error",
            )
            worker.is_killed = True
            worker.kill(Signals.SIGKILL)

    # Workers that ended

    def _reap(self) -> None:
        while True:
            try:
                # Any child: as the first process of a container this one inherits orphans.
                pid, status = _waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                for file in (worker.ready, worker.stack):
                    if file != -1:
                        os.close(file)
                self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: Worker, code: int) -> None:
        if worker.is_ending or self._stop_began is not None:
            # A worker that still loads its apps when SIGTERM comes has nothing to finish, so the signal just ends it;
            # so does SIGUSR2 with one that runs its exit handlers.
            if code not in (EXIT_OK, EXIT_RESTART, -Signals.SIGTERM, -Signals.SIGUSR2):
                self._log.log(f"{worker} {describe_end(code)}", "error")
        elif code == EXIT_MISCONFIGURED and not self._has_been_ready:
            # Trying again would fail in the same way.
            self._code = EXIT_MISCONFIGURED
            self._stop("the configuration is wrong", "error")
        elif worker.generation == self._generation and self._reload_ends is not None and not worker.is_ready:
            self._abort_reload(f"new {worker} {describe_end(code)}")
        elif worker.generation == self._generation:
            self._replace(worker, code)

    def _replace(self, worker: Worker, code: int) -> None:
        backoff, delay = self._backoffs[worker.index], 0.0
        if time.monotonic() - worker.started < SHORT_LIFE:
            delay = backoff.next_delay()
        else:
            backoff.reset()
        when = f"in {delay:g} s" if delay else "now"
        # By was.restart() it asked for that itself.
        category = "info" if code == EXIT_RESTART else "error"
        self._log.log(f"{worker} {describe_end(code)}; a new one starts {when}", category)
        self._due[worker.index] = time.monotonic() + delay

    # Signals

    def _handle(self, number: Signals) -> None:
        if number in _STOPPING:
            self._stop(number.name)
        elif number == Signals.SIGHUP:
            self._ask_for_reload()
        elif number == Signals.SIGUSR1:
            # Lines of before belong into the files of before: they are renamed when workers have written them.
            for worker in self._workers.values():
                worker.kill(number)
            self._rotation = time.monotonic() + WRITE_TIME

    def _stop(self, reason: str, category: str = "info") -> None:
        now = time.monotonic()
        if self._stop_began is None:
            self._stop_began = now
            self._reload_ends = self._reload_is_slow = None
            self._is_reload_wanted = False
            self._log.log(f"stopping within {self._orders.grace:g} s: {reason}", category)
            self._orders.on_stop()
            for worker in self._workers.values():
                worker.end(Signals.SIGTERM, self._orders.grace)
        elif now - self._stop_began >= IMPATIENCE:
            self._log.log(f"stopping now: {reason} again")
            for worker in self._workers.values():
                worker.end_at(now, LAST_WORDS_WHEN_HURRIED)

    def _meet_deadlines(self) -> None:
        now = time.monotonic()
        for worker in self._workers.values():
            while worker.deadlines and worker.deadlines[0][0] <= now:
                _, number = worker.deadlines.pop(0)
                if number == Signals.SIGKILL:
                    self._log.log(f"{worker} does not end: killed", "error")
                worker.kill(number)
        if self._rotation is not None and self._rotation <= now:
            self._rotation = None
            current().rotate()
        if self._reload_is_slow is not None and self._reload_is_slow <= now:
            self._reload_is_slow = None
            self._log.log(
                f"new workers are not ready after {SLOW_RELOAD:g} s: {self._loading()} still loads; the reload is given"
                f" up after {self._orders.reload_time:g} s",
                "warn",
            )
        if self._reload_ends is not None and self._reload_ends <= now:
            self._abort_reload(f"{self._loading()} was not ready within {self._orders.reload_time:g} s")

    # Reload

    @property
    def _can_reload(self) -> bool:
        return self._has_been_ready and self._reload_ends is None and self._stop_began is None

    def _ask_for_reload(self) -> None:
        if self._can_reload:
            self._reload()
        elif self._stop_began is not None:
            self._log.log("SIGHUP ignored: the server stops")
        elif not self._is_reload_wanted:
            self._is_reload_wanted = True
            what = "the workers that start now" if self._reload_ends is None else "the reload that goes on"
            self._log.log(f"SIGHUP: another reload follows {what}")

    def _reload(self) -> None:
        try:
            self._orders.before_reload()
        except Exception as error:
            self._log.log(f"SIGHUP: reload given up, the old workers stay: {error}", "error")
            if not isinstance(error, ConfigurationError):
                self._log.traceback("SIGHUP", error=error)
            return
        self._log.log("SIGHUP: starting new workers")
        self._generation += 1
        now = time.monotonic()
        self._reload_ends = now + self._orders.reload_time
        self._reload_is_slow = now + SLOW_RELOAD
        for index in self._backoffs:
            self._due[index] = 0.0

    def _loading(self) -> str:
        """Who is not ready, in words."""
        workers = [each for each in self._workers.values() if each.generation == self._generation and not each.is_ready]
        return ", ".join(map(str, workers)) or "a worker that could not be started"

    def _finish_reload(self) -> None:
        if self._reload_ends is None or not self._are_all_ready():
            return
        self._reload_ends = self._reload_is_slow = None
        self._log.log("new workers are ready: stopping the old ones")
        self._retire(lambda worker: worker.generation != self._generation)

    def _abort_reload(self, reason: str) -> None:
        """Keep the old workers; the new ones end."""
        self._reload_ends = self._reload_is_slow = None
        self._log.log(f"reload given up, the old workers stay: {reason}", "error")
        failed = self._generation
        self._retire(lambda worker: worker.generation == failed)
        self._generation += 1
        for worker in self._workers.values():
            if not worker.is_ending:
                worker.generation = self._generation
        serving = {worker.index for worker in self._workers.values() if not worker.is_ending}
        self._due = {index: 0.0 for index in self._backoffs if index not in serving}

    def _retire(self, is_meant: Callable[[Worker], bool]) -> None:
        """Let workers end while others serve."""
        for worker in self._workers.values():
            if worker.is_ending:
                # Of an earlier reload: it need not keep idle connections any longer, or each reload would add workers.
                worker.end(Signals.SIGTERM, self._orders.grace)
            elif is_meant(worker):
                worker.end(RETIRE if worker.is_ready else Signals.SIGTERM, self._orders.grace)


def describe_end(code: int) -> str:
    """How a process ended, from its exit code; negative is a signal."""
    return f"was killed by {Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
