"""Signals for a process that has no loop: they wake a plain ``select``, and are handled one after another."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator

import gevent.monkey

#: Of prctl(2).
_PR_SET_PDEATHSIG = 1

_set_handler = gevent.monkey.get_original("signal", "signal")
_select = gevent.monkey.get_original("select", "select")


class SignalQueue:
    """Catches signals and hands them out in the order they came. Use it as a context manager.

    Args:
        signals: which ones to catch; their former handlers return at the end.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._former = {number: signal.getsignal(number) for number in signals}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def __enter__(self) -> SignalQueue:
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._former:
            _set_handler(number, _woken)
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def wait(self, timeout: float | None, files: Iterable[int] = ()) -> tuple[list[signal.Signals], list[int]]:
        """Wait for a signal, for a file to become readable, or for time to pass.

        Args:
            timeout: seconds; None waits without end.
            files: file descriptors.

        Returns:
            The signals that came, and which of the files are readable.
        """
        readable: list[int] = _select([self._reader, *files], [], [], timeout)[0]
        if self._reader not in readable:
            return [], readable
        # Python writes the numbers of all signals that have a handler, also of those that a script has set.
        numbers = [signal.Signals(number) for number in os.read(self._reader, 4096) if number in self._former]
        return numbers, [file for file in readable if file != self._reader]

    def release(self) -> None:
        """Give the signals back to their former handlers; also what a forked child calls first."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._former.items():
            _set_handler(number, signal.SIG_DFL if handler is None else handler)
        for file in (self._reader, self._writer):
            os.close(file)


def reset_to_default(signals: Iterable[signal.Signals]) -> None:
    """Let signals do what they do in a fresh process."""
    for number in signals:
        _set_handler(number, signal.SIG_DFL)


def ignore(signals: Iterable[signal.Signals]) -> None:
    """Let signals do nothing."""
    for number in signals:
        _set_handler(number, signal.SIG_IGN)


@contextlib.contextmanager
def blocked(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Keep signals waiting while what they do is changed."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def end_with_parent(number: signal.Signals, parent: int) -> None:
    """Get a signal when the parent process ends, however it ends; where the system cannot do that, nothing happens.

    A process without a loop hears of it only in this way, when it is busy or waits for something else.

    Args:
        number: the signal. parent: process id of the parent; when it is gone already, the signal comes at once.
    """
    if sys.platform != "linux":
        return
    import ctypes  # only workers need it

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _woken(number: int, frame: object) -> None:
    """The byte that the interpreter writes to the wake-up file says it all."""
