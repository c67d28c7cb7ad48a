"""A process that an app forks while this one serves: it has copies of all sockets and of the loop, and must use none.

``os.fork()``, ``multiprocessing`` and ``ProcessPoolExecutor`` copy the whole process. A copy of the loop that runs on,
whenever the child waits for something, would accept clients, read from their connections and answer them beside its
parent. So the child lets go of the sockets without a word to the other side, and gets a hub with an empty loop. It
lives for what it was made for: when it comes back to the server it ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from gevent import get_hub
from gevent._hub_local import get_hub_if_exists, set_hub, set_loop
from greenlet import getcurrent

from skitai.net import logs

#: Whether this process is such a child.
is_child = False

_guards: list[Callable[[], object]] = []
_forgetters: list[Callable[[], object]] = []


def guard(let_go: Callable[[], object]) -> None:
    """Say that this process serves.

    Args:
        let_go: called in a child, to close sockets of the parent without touching what they are watched by.
    """
    _guards.append(let_go)


def unguard(let_go: Callable[[], object]) -> None:
    """What :func:`guard` was told of is closed."""
    if let_go in _guards:
        _guards.remove(let_go)


def forget_in_child(forget: Callable[[], object]) -> None:
    """Call something in every child, also of a process that does not serve, as long as its loop is the parent's."""
    _forgetters.append(forget)


def end_if_child() -> None:
    """End this process when it is such a child: to be called when an app has come back to the server."""
    if is_child:
        _end(sys.exc_info()[1])


def _after_fork() -> None:
    global is_child
    for forget in _forgetters:
        forget()
    if not _guards:
        return
    is_child = True
    for let_go in _guards:
        let_go()
    _guards.clear()
    _leave_loop()


def _leave_loop() -> None:
    """Get a hub with an empty loop; the old one, and the greenlets that wait in it, never run again."""
    hub = get_hub_if_exists()
    if hub is None:
        return
    # Only one loop of a process can watch child processes and signals. It is destroyed without being run, so that
    # nothing is said to the epoll instance that is the parent's as well.
    hub.loop.destroy()
    set_hub(None)
    set_loop(None)
    new: Any = get_hub()
    me: Any = getcurrent()
    root = me
    while root.parent is not None:
        root = root.parent
    new.parent = root
    if me is not root:
        me.parent = new


def _end(error: BaseException | None) -> NoReturn:
    code = 0
    try:
        log = logs.current().app
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            code = 1
            log.traceback(error=error)
        else:
            log.log(
                f"a child process (pid {os.getpid()}) that a request had forked came back to the server and ends here: "
                "end it by os._exit(), or start it by multiprocessing or subprocess",
                "warn",
            )
        logs.current().flush()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


os.register_at_fork(after_in_child=_after_fork)
