"""How a forked process ends: what was registered in it runs, within a bound; what its parent registered does not.

A worker leaves by ``os._exit``, because what the run script registered for the end of its process, from ``atexit`` to
temporary directories, is for the supervisor alone. So everything that an interpreter does at its end for the process
itself is done here.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from signal import Signals
from typing import Any, Final, NoReturn

import gevent.monkey

from skitai.hub import signals
from skitai.net.logs import current

#: Seconds that threads and exit handlers may take; then the process ends without the rest of them.
EXIT_TIME: Final = 5.0

_start_native_thread: Any = gevent.monkey.get_original("_thread", "start_new_thread")
_sleep_natively: Any = gevent.monkey.get_original("time", "sleep")

_main_thread: int = gevent.monkey.get_original("_thread", "get_ident")()

# Threads that were there before the fork: they do not run here, or are not this process's to wait for.
_inherited: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def running_threads() -> list[str]:
    """The names of all threads but the main one and those that gevent's own pool replaces after a fork.

    Those of ``threading`` count also where gevent has made them greenlets: a fork marks them as dead. Others that run
    Python code are named by the function that they began with.
    """
    threads = [each for each in threading.enumerate() if each is not threading.main_thread()]
    threads = [each for each in threads if each.is_alive() and not isinstance(each, threading._DummyThread)]
    known = {each.ident for each in threads} | {_main_thread}
    names = [repr(each.name) for each in threads]
    for ident, frame in sys._current_frames().items():
        while frame.f_back is not None:
            frame = frame.f_back
        module = frame.f_globals.get("__name__", "")
        if ident not in known and not module.startswith("gevent."):
            names.append(f"{module}.{frame.f_code.co_name}()")
    return names


def forget_inherited() -> None:
    """Leave to the parent what was registered before the fork for the end of the process; called in the child."""
    _inherited.update(threading.enumerate())
    atexit._clear()
    # The interpreter calls finalizers by one handler of atexit, which has just gone.
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        finalizer.atexit = False
    if hasattr(weakref.finalize, "_registered_with_atexit"):
        weakref.finalize._registered_with_atexit = False
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        getattr(process, "_children", set()).clear()  # they are children of the parent
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        getattr(util, "_finalizer_registry", {}).clear()


def end_process(code: int) -> NoReturn:
    """End a forked process as an interpreter ends: threads, exit handlers, pending output; and go no further up.

    Threads that are no daemons are waited for, and exit handlers run, the last one registered first; together at most
    :data:`EXIT_TIME` seconds. From here on only SIGUSR2 and SIGKILL end the process sooner.

    Args:
        code: of the exit.
    """
    progress = _Progress()
    try:
        signals.ignore((Signals.SIGTERM, Signals.SIGUSR1, Signals.SIGHUP))
        signals.reset_to_default((Signals.SIGUSR2,))
        _start_native_thread(_give_up, (progress, code))
        _run_exit_handlers(progress)
        progress.stage = "the output"
        current().flush()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class _Progress:
    """What a process that ends is doing."""

    def __init__(self) -> None:
        self.stage = "threads"


def _run_exit_handlers(progress: _Progress) -> None:
    with _logged():
        _end_threads(progress)
    progress.stage = "exit handlers"
    with _logged():
        atexit._run_exitfuncs()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # Registered when that module was imported, perhaps before the fork; a second time it does nothing.
        progress.stage = "child processes"
        with _logged():
            util._exit_function()
    progress.stage = "handlers of logging"
    with _logged():
        logging.shutdown()


def _end_threads(progress: _Progress) -> None:
    """As ``threading._shutdown()``, without those of the parent."""
    for call in reversed(getattr(threading, "_threading_atexits", [])):  # executors stop their threads by it
        with _logged():
            call()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread() and thread not in _inherited:
            progress.stage = f"the thread {thread.name!r}"
            thread.join()


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """One handler's fault must not keep the others from running."""
    try:
        yield
    except BaseException as error:  # a handler may also call sys.exit()
        current().server.traceback("the end of the process", error=error)


def _give_up(progress: _Progress, code: int) -> None:
    """In a native thread, because what does not end may hold the loop or the interpreter's only greenlet."""
    _sleep_natively(EXIT_TIME)
    try:
        pid = os.getpid()
        current().server.log(f"process {pid} ends without {progress.stage}, not done within {EXIT_TIME:g} s", "error")
        current().flush()
    finally:
        os._exit(code)
