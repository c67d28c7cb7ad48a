"""``start``, ``stop`` and ``-f``: a server in the background, its pid file, and a parent that restarts it.

A service manager such as systemd or a container does all of this better; run the script in the foreground there.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import Final, NoReturn

import gevent
import gevent.monkey

from skitai.errors import ConfigurationError, LaunchError
from skitai.hub.backoff import Backoff
from skitai.hub.endings import end_process, forget_inherited
from skitai.hub.signals import SignalQueue
from skitai.hub.supervisor import (
    EXIT_FAILED,
    EXIT_MISCONFIGURED,
    EXIT_OK,
    EXIT_RESTART,
    describe_end,
)
from skitai.net.logs import Logger

# Seconds before a crashed server is started again with -f: 5, 10, 20 ... 600.
FIRST_DELAY: Final = 5.0
LONGEST_DELAY: Final = 600.0
# A server that ran this long (seconds) crashed for a new reason: the delays begin anew.
LONG_LIFE: Final = 600.0

# Seconds that a process may take to end after its server did.
LAST_MOMENTS: Final = 5.0

_STOPPING = (Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT)
_FORWARDED = (*_STOPPING, Signals.SIGHUP, Signals.SIGUSR1)

_fork: Callable[[], int] = gevent.monkey.get_original("os", "fork")
_waitpid: Callable[[int, int], tuple[int, int]] = gevent.monkey.get_original("os", "waitpid")
_sleep: Callable[[float], None] = gevent.monkey.get_original("time", "sleep")


class PidFile:
    """The file that tells which process is the server. It is locked as long as that process lives.

    The lock, not the number in the file, says whether the server runs, so a file left over from a crash or a reused
    number misleads nobody. The lock is a POSIX record lock: children do not inherit it.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._fd = -1

    def acquire(self) -> None:
        """Lock the file and write our own pid into it.

        Raises:
            LaunchError: another server has it, or it cannot be written.
        """
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaunchError(f"already running as process {self.read()}: stop it first, or use restart") from None
        except OSError as error:
            raise LaunchError(f"the pid file {self.path} cannot be written: {error.strerror}") from error
        os.truncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        os.close(self._fd)

    def read(self) -> int | None:
        """The pid in the file, None when there is none."""
        try:
            return int(self.path.read_text())
        except (OSError, ValueError):
            return None

    def owner(self) -> int | None:
        """The pid of the running server; None when none runs, after removing a file that was left over."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LaunchError(f"the pid file {self.path} cannot be read: {error.strerror}") from error
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self.read()
        else:
            self.path.unlink(missing_ok=True)
            return None
        finally:
            os.close(fd)


def stop(pid_file: PidFile, patience: float) -> None:
    """Stop the server of a pid file with SIGTERM and wait for its end.

    Args:
        pid_file: of the server.
        patience: seconds to wait.

    Raises:
        LaunchError: no server runs, or it did not end in time.
    """
    pid = pid_file.owner()
    if pid is None:
        raise LaunchError(f"Cannot find process: no server runs with the pid file {pid_file.path}")
    with suppress(ProcessLookupError):
        os.kill(pid, Signals.SIGTERM)
    deadline = time.monotonic() + patience
    while pid_file.owner() == pid:
        if time.monotonic() > deadline:
            raise LaunchError(f"process {pid} did not end within {patience:g} s; kill -9 {pid} ends it at once")
        # Another process's end cannot be waited for without polling; this is a command, not the server.
        _sleep(0.02)
    # It gave the file back; what is left is the end of its interpreter.
    deadline = time.monotonic() + LAST_MOMENTS
    while _exists(pid) and time.monotonic() < deadline:
        _sleep(0.02)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # Ended, but its parent has not asked for the exit code; in some containers the first process never does.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        # It has just ended, or this system has no /proc to ask.
        return not Path("/proc/self").exists()


class Report:
    """How a background process tells the command that started it what became of it; the first message counts.

    Args:
        writer: the write end of a pipe.
    """

    def __init__(self, writer: int) -> None:
        self._writer = writer

    def ready(self) -> None:
        """The server serves."""
        self.send(EXIT_OK, "started")

    def failed(self, error: ConfigurationError) -> None:
        """The server cannot start."""
        self.send(EXIT_MISCONFIGURED, str(error))

    def send(self, code: int, text: str) -> None:
        """Tell the exit code that the command shall end with, and why."""
        # The command reads one message and goes; with -f a server that is started again has nobody to tell.
        with suppress(BrokenPipeError):
            os.write(self._writer, json.dumps([code, text]).encode() + b"\n")


def start(pid_file: PidFile, serve: Callable[[Report], int], output: str | None) -> int:
    """Run a server in the background.

    Args:
        pid_file: to lock while the server runs.
        serve: runs the server and returns its exit code.
        output: a file for what the server prints; None discards it.

    Returns:
        In the calling process 0 when the server is ready, else its exit code, with its message on standard error. In
        the background process the exit code of the server.

    Raises:
        LaunchError: a server runs already.
    """
    if (pid := pid_file.owner()) is not None:
        raise LaunchError(f"already running as process {pid}: stop it first, or use restart")
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = _fork()
    if child == 0:
        os.close(reader)
        # A second fork, because a session leader without a terminal could get one by opening it.
        os.setsid()
        if _fork():
            os._exit(EXIT_OK)
        gevent.reinit()
        return _serve_in_background(pid_file, serve, output, Report(writer))
    os.close(writer)
    _waitpid(child, 0)
    # What the script registered for its end is for the end of the server, whose script it is as well.
    atexit._clear()
    return _await_report(reader)


def _serve_in_background(pid_file: PidFile, serve: Callable[[Report], int], output: str | None, report: Report) -> int:
    try:
        _redirect_streams(output)
        pid_file.acquire()
        try:
            code = serve(report)
        finally:
            pid_file.release()
    except ConfigurationError as error:
        report.failed(error)
        return EXIT_MISCONFIGURED
    except Exception:
        report.send(EXIT_FAILED, traceback.format_exc())
        raise
    report.send(code, "the server ended before it was ready: its log, or starting it in the foreground, tells why")
    return code


def _redirect_streams(output: str | None) -> None:
    """Let go of the terminal."""
    if output is not None:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
    for flags, path, targets in (
        (os.O_RDONLY, os.devnull, (0,)),
        (os.O_WRONLY | os.O_APPEND | os.O_CREAT, output or os.devnull, (1, 2)),
    ):
        fd = os.open(path, flags, 0o644)
        for target in targets:
            os.dup2(fd, target)
        if fd > 2:
            os.close(fd)


def _await_report(reader: int) -> int:
    with os.fdopen(reader, encoding="utf-8") as report:
        line = report.readline()
    code, text = json.loads(line) if line else (EXIT_FAILED, "the server was killed before it was ready")
    sys.stderr.write(f"skitai: {text}\n")
    return int(code)


def fail_safe(serve: Callable[[int], int], log: Logger, on_error: Callable[[ConfigurationError], None]) -> int:
    """Run a server in a child process, and start it again after a crash.

    Args:
        serve: runs the server and returns its exit code; its argument becomes readable when this process is gone.
        log: the server log.
        on_error: told, in the child, why the server cannot start.

    Returns:
        0 when the server ended by itself or by a signal, 2 when its configuration is wrong.
    """
    return _FailSafe(serve, log, on_error).run()


class _FailSafe:
    def __init__(
        self, serve: Callable[[int], int], log: Logger, on_error: Callable[[ConfigurationError], None]
    ) -> None:
        self._serve = serve
        self._log = log
        self._on_error = on_error
        self._is_stopping = False
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)

    def run(self) -> int:
        """Go on until the server ends for good; return the exit code."""
        while True:
            with SignalQueue((*_FORWARDED, Signals.SIGCHLD)) as queue:
                began = time.monotonic()
                code = self._run_once(queue)
                if self._is_stopping:
                    return max(code, EXIT_OK)
                if code in (EXIT_OK, EXIT_MISCONFIGURED):
                    return code
                if time.monotonic() - began >= LONG_LIFE:
                    self._backoff.reset()
                delay = 0.0 if code == EXIT_RESTART else self._backoff.next_delay()
                self._log.log(f"server {describe_end(code)}; it starts again in {delay:g} s", "error")
                if self._is_told_to_stop(queue, delay):
                    return EXIT_OK

    def _run_once(self, queue: SignalQueue) -> int:
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # No signal may come before the child has let go of our handlers.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        pid = _fork()
        if pid == 0:
            os.close(writer)
            queue.release()
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
            self._become_server(reader)
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        os.close(reader)
        try:
            return self._await_end(queue, pid)
        finally:
            os.close(writer)

    def _become_server(self, life_line: int) -> NoReturn:
        code = EXIT_FAILED
        try:
            forget_inherited()
            gevent.reinit()
            code = self._serve(life_line)
        except ConfigurationError as error:
            self._on_error(error)
            code = EXIT_MISCONFIGURED
        except BaseException:
            traceback.print_exc()
        finally:
            end_process(code)

    def _await_end(self, queue: SignalQueue, pid: int) -> int:
        while True:
            ended, status = _waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            for number in queue.wait(None)[0]:
                if number == Signals.SIGUSR1:
                    self._log.file.close()  # the server renames it; the next line opens the new one
                if number in _STOPPING:
                    self._is_stopping = True
                if number in _FORWARDED:
                    os.kill(pid, number)

    def _is_told_to_stop(self, queue: SignalQueue, delay: float) -> bool:
        """Wait before the next start; SIGHUP ends the wait."""
        end = time.monotonic() + delay
        while (left := end - time.monotonic()) > 0:
            numbers = queue.wait(left)[0]
            if any(number in _STOPPING for number in numbers):
                return True
            if Signals.SIGHUP in numbers:
                return False
        return False
