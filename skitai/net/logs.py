"""The request, server and app logs: lines gathered in memory and written in batches, off the hot path."""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

import gevent
import gevent.monkey

from skitai.wire.masking import mask

from .rotation import RotatingFile, Rotation, report, write_all

__all__ = ["LogFile", "Logger", "Logs", "current", "timestamp", "use"]

# A batch is written when it is this old (seconds) or this long (lines), whichever comes first.
FLUSH_INTERVAL: Final = 0.5
FLUSH_LINES: Final = 500
_STDOUT: Final = 1

_native_thread = gevent.monkey.get_original("_thread", "get_ident")
# Re-entrant, because a destructor that runs while a batch is written may log.
_native_lock = gevent.monkey.get_original("_thread", "RLock")
_main_thread = _native_thread()

Formatter = Callable[[Any], str]


class LogFile:
    """Lines on their way to a file, the console, or both.

    Nothing here raises into its caller: a full disk must not fail a request. Lost lines are counted in ``lost`` and
    reported on standard error, once when the loss begins and once when it ends.

    Args:
        path: the file; None is the console (standard output).
        rotation: when the file is renamed to ``<name>-YYYYMMDD.log``: ``"daily"`` or ``"monthly"``.
        keep: how many renamed files stay.
        echo: write to the console as well.
        batched: False writes each line at once, for processes that have no loop.
        sink: takes the bytes of each batch instead of a file or the console.
    """

    def __init__(
        self,
        path: str | None = None,
        rotation: Rotation = "daily",
        keep: int = 100,
        *,
        echo: bool = False,
        batched: bool = True,
        sink: Callable[[bytes], None] | None = None,
    ) -> None:
        self.path = path
        self.lost = 0
        self._file = RotatingFile(path, rotation, keep) if path is not None else None
        self._sinks: list[Callable[[bytes], None]] = [] if self._file is None else [self._file.write]
        if sink is not None:
            self._sinks.append(sink)
        elif echo or path is None:
            self._sinks.append(_write_to_console)
        self._batched = batched
        # Appending and popping a deque is atomic, so a native thread may log while the loop writes.
        self._pending: deque[str | tuple[Any, Formatter]] = deque()
        self._lost_since_report = 0
        self._timer: Any = None
        self._lock = _native_lock()
        _open_files.add(self)

    def __repr__(self) -> str:
        return f"<LogFile {self.path or 'console'}: {len(self._pending)} pending, {self.lost} lost>"

    def write_line(self, line: str) -> None:
        """Take one line, without its line end."""
        self._hold(line)

    def add(self, record: Any, formatter: Formatter) -> None:
        """Take a record that becomes a line when the batch is written.

        Args:
            record: whatever the formatter needs; it must not change any more.
            formatter: makes the line, without its line end.
        """
        self._hold((record, formatter))

    def flush(self) -> None:
        """Write all that is pending, now."""
        with self._lock:
            self._cancel_timer()
            lines = list(self._take_lines())
            if lines:
                self._write("\n".join([*lines, ""]).encode("utf-8", "backslashreplace"), len(lines))

    def rotate(self) -> None:
        """Write all that is pending, then rename the file now; does nothing for the console."""
        self.flush()
        if self._file is None:
            return
        with self._lock:
            try:
                self._file.rotate()
            except OSError as error:
                report(f"{self.path} cannot be rotated: {error}")

    def close(self) -> None:
        """Write all that is pending and close the file; a later line opens it again, by its name."""
        self.flush()
        if self._file is not None:
            with self._lock:
                self._file.close()

    def forget_process(self) -> None:
        """Start anew what belongs to one process: the timer in its loop, a lock that nobody holds, the open file.

        A file opened before the fork would share its lock with the parent, and so keep neither out.
        """
        self._timer = None
        self._lock = _native_lock()
        if self._file is not None:
            self._file.close()

    def _hold(self, item: str | tuple[Any, Formatter]) -> None:
        self._pending.append(item)
        if not self._batched or len(self._pending) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        if _native_thread() != _main_thread:
            # Only the main thread has a loop that is sure to run.
            self.flush()
            return
        # A timer with ref=False does not keep a script alive that only wanted to log.
        self._timer = gevent.get_hub().loop.timer(FLUSH_INTERVAL, ref=False)
        self._timer.start(self.flush)

    def _cancel_timer(self) -> None:
        if self._timer is not None and _native_thread() == _main_thread:
            self._timer.close()
            self._timer = None

    def _take_lines(self) -> Iterator[str]:
        while self._pending:
            try:
                item = self._pending.popleft()
            except IndexError:
                # Another thread took the last one.
                return
            if isinstance(item, str):
                yield item
            else:
                record, formatter = item
                try:
                    yield formatter(record)
                except Exception as error:
                    yield f"{timestamp()} [error] a log record could not be formatted: {error!r} {record!r}"

    def _write(self, data: bytes, lines: int) -> None:
        failure: OSError | None = None
        for write in self._sinks:
            try:
                write(data)
            except OSError as error:
                failure = error
        if failure is not None:
            if not self._lost_since_report:
                report(f"lines of {self.path or 'the console'} are being lost: {failure}")
            self.lost += lines
            self._lost_since_report += lines
        elif self._lost_since_report:
            report(f"{self._lost_since_report} lines of {self.path or 'the console'} were lost; it works again")
            self._lost_since_report = 0


def _write_to_console(data: bytes) -> None:
    write_all(_STDOUT, data)


_open_files: weakref.WeakSet[LogFile] = weakref.WeakSet()


def _flush_all() -> None:
    for file in list(_open_files):
        file.flush()


def _forget_process() -> None:
    for file in list(_open_files):
        file.forget_process()


# Flushed before a fork, or the child would write the parent's lines a second time.
os.register_at_fork(before=_flush_all, after_in_child=_forget_process)
atexit.register(_flush_all)


class Logger:
    """Categorised lines: ``2026.01.31 03:37:41 [category:tag] message``.

    Args:
        file: where the lines go.
    """

    def __init__(self, file: LogFile) -> None:
        self.file = file

    def __call__(self, message: object, category: str = "info") -> None:
        """:meth:`log`, as the documents spell it: ``wasc.logger.get("app")("message", "info")``."""
        self.log(message, category)

    def trace(self, ident: str = "") -> None:
        """:meth:`traceback` by its documented name."""
        self.traceback(ident)

    def log(self, message: object, category: str = "info", tag: str = "") -> None:
        """Write one message.

        Args:
            message: anything; its later lines are indented, so none of them can pass for a record of its own.
            category: ``info``, ``error``, or any other word.
            tag: what to search for, such as a transaction id.
        """
        label = f"{category}:{tag}" if tag else category
        text = mask(str(message))
        if "\n" in text or "\r" in text:
            text = "\n\t".join(text.splitlines())
        self.file.write_line(f"{timestamp()} [{label}] {text}")

    def traceback(self, ident: str = "", tag: str = "", error: BaseException | None = None) -> None:
        """Write an exception on one line: ``[expt:ident] <type> message [file|function|line] ...``.

        Args:
            ident: what to search for; the tag when it is empty.
            tag: such as a transaction id.
            error: the exception; None is the one being handled.
        """
        error = error or sys.exc_info()[1]
        text = "no exception is being handled" if error is None else _describe(error)
        self.log(text.replace("\r", " ").replace("\n", " "), "expt", ident or tag)


def _describe(error: BaseException) -> str:
    """An exception with its frames, then the exceptions that led to it."""
    parts: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        # Notes (PEP 678) say what the frames cannot, as the line of a template.
        notes = "".join(f" ({note})" for note in getattr(cause, "__notes__", ()))
        parts.append(f"{type(cause)} {cause}{notes}{_frames(cause.__traceback__)}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " caused by ".join(parts)


def _frames(trace: TracebackType | None) -> str:
    text = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        text += f" [{code.co_filename}|{code.co_name}|{trace.tb_lineno}]"
        trace = trace.tb_next
    return text


_is_log_name = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


class Logs:
    """The three logs of a server.

    Attributes:
        server: starts, stops, workers.
        request: one line per response.
        app: what apps log, and their unhandled exceptions.

    Args:
        directory: where :meth:`make` makes further files; None sends them where ``app`` goes.
        console: further files are written to standard output as well.
    """

    def __init__(
        self, server: LogFile, request: LogFile, app: LogFile, directory: str | None = None, console: bool = False
    ) -> None:
        self.server = Logger(server)
        self.request = request
        self.app = Logger(app)
        self._directory = directory
        self._console = console
        self._made: dict[str, Logger] = {}

    @classmethod
    def to_console(cls) -> Logs:
        """All three on standard output."""
        # One file for requests and apps keeps their lines in order; the supervisor has no loop to write a batch.
        shared = LogFile()
        return cls(LogFile(batched=False), shared, shared)

    @classmethod
    def to_directory(cls, path: str, console: bool = False) -> Logs:
        """``server.log``, ``request.log`` and ``app.log`` in a directory, which is made when it is missing.

        Args:
            path: the directory.
            console: write every line to standard output as well.

        Raises:
            OSError: the directory cannot be made.
        """
        os.makedirs(path, exist_ok=True)

        def file(name: str, rotation: Rotation, batched: bool = True) -> LogFile:
            return LogFile(os.path.join(path, name), rotation, echo=console, batched=batched)

        server = file("server.log", "monthly", False)
        return cls(server, file("request.log", "daily"), file("app.log", "daily"), path, console)

    def get(self, name: str) -> Logger:
        """Return the log called ``server``, ``request``, ``app``, or as :meth:`make` was told.

        Raises:
            KeyError: there is none of that name.
        """
        known = {"server": self.server, "request": Logger(self.request), "app": self.app, **self._made}
        if name not in known:
            raise KeyError(f"there is no log {name!r}: make it with make_logger({name!r}), or use {', '.join(known)}")
        return known[name]

    def make(self, name: str, rotation: Rotation = "daily") -> Logger:
        """Make a further log, ``<name>.log`` beside the others; without a directory its lines go where ``app`` goes.

        Raises:
            TypeError: there is one of that name already.
            ValueError: the name is more than letters, digits, ``_`` and ``-``, or the rotation is unknown.
        """
        if name in ("server", "request", "app", *self._made):
            raise TypeError(f"there is a log {name!r} already: get it with get({name!r})")
        if not _is_log_name(name):
            raise ValueError(f"{name!r} is no name for a log: letters, digits, _ and - make a file name that is safe")
        if rotation not in ("daily", "weekly", "monthly"):
            raise ValueError(f"a log is rotated daily, weekly or monthly, not {rotation!r}")
        file = self.app.file
        if self._directory is not None:
            file = LogFile(os.path.join(self._directory, f"{name}.log"), rotation, echo=self._console)
        self._made[name] = Logger(file)
        return self._made[name]

    def files(self) -> tuple[LogFile, ...]:
        """The files of the server, request and app log, and of those that were made."""
        return self.server.file, self.request, self.app.file, *(each.file for each in self._made.values())

    def flush(self) -> None:
        """Write all that is pending, now."""
        for file in self.files():
            file.flush()

    def rotate(self) -> None:
        """Rename the files now (SIGUSR1)."""
        for file in self.files():
            file.rotate()

    def make_way(self) -> None:
        """Write all that is pending before another process renames the files; those that it does not know, rename now.

        Files of :meth:`make` belong to whichever processes made them. One that another process has just renamed is not
        renamed again.
        """
        for file in (self.server.file, self.request, self.app.file):
            file.close()
        for each in self._made.values():
            each.file.rotate()

    def close(self) -> None:
        """Write all that is pending and close the files."""
        for file in self.files():
            file.close()


_second = 0
_stamp = ""


def timestamp() -> str:
    """The local time as ``YYYY.MM.DD HH:MM:SS``, formatted once a second."""
    global _second, _stamp
    now = int(time.time())
    if now != _second:
        _stamp = time.strftime("%Y.%m.%d %H:%M:%S", time.localtime(now))
        _second = now
    return _stamp


_current: Logs | None = None


def current() -> Logs:
    """The logs of this process: those of :func:`use`, before that the console."""
    global _current
    if _current is None:
        _current = Logs.to_console()
    return _current


def use(logs: Logs) -> None:
    """Make ``logs`` the logs of this process."""
    global _current
    _current = logs
