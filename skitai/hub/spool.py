"""Request bodies of unknown length that wait in a temporary file until they are complete.

Apps that follow CGI read as many bytes as CONTENT_LENGTH says (PEP 3333), so they can be called only when the length is
known. Up to ``Limits.buffered_body`` a body is held in memory; a larger one is kept here. The file has no name, so that
no way to end the process leaves it behind, and native threads write it, so that the loop never waits for the disk.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from gevent import get_hub
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from skitai.errors import RemoteProtocolError
from skitai.hub.body import HIGH_WATER, add_part
from skitai.net import faults

if TYPE_CHECKING:
    from skitai.hub.complaints import Complaints

#: Native threads of a worker that write bodies.
_THREADS: Final = 4
#: Seconds after which a thread without work ends.
_IDLE: Final = 60
#: What is no room on a disk: the disk, a quota, the largest size of a file.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Job = Callable[[], None]
Done = Callable[[OSError | None], None]


class Disk:
    """What all bodies in files of one worker share: the threads that write them, and the sum of their bytes.

    Args:
        most: bytes of all of them at one time. complain: says in the server log why a body cannot be kept.

    Attributes:
        used: bytes that are in files, or on their way there.
    """

    def __init__(self, most: int, complain: Complaints) -> None:
        self.most = most
        self._complain = complain
        self.used = 0
        self._threads: ThreadPool | None = None
        self._busy = 0
        self._waiting: deque[tuple[Job, Done]] = deque()

    def submit(self, job: Job, done: Done) -> None:
        """Run ``job`` in a native thread, then call ``done`` in the hub with its OSError or ``None``."""
        if self._busy >= _THREADS:
            self._waiting.append((job, done))
        else:
            self._start(job, done)

    def refuse(self, error: OSError | None) -> RemoteProtocolError:
        """Say in the server log that a body cannot be kept; return what its client is told.

        Args:
            error: of the disk; ``None``: there are too many bytes already.
        """
        if error is None:
            text, status = f"the bodies in files have {self.most} bytes already (limit spooled_bytes)", 503
        else:
            text, status = f"{_place()}: {error.strerror or error}", 507 if error.errno in _NO_ROOM else 500
        self._complain("request bodies that could not be kept", f"a request body cannot be kept: {text}", "error")
        return RemoteProtocolError("the server cannot keep the request body", status)

    def _start(self, job: Job, done: Done) -> None:
        if self._threads is None:
            self._threads = ThreadPool(_THREADS, get_hub(), idle_task_timeout=_IDLE)
        self._busy += 1
        self._threads.spawn(_catch, job).rawlink(partial(self._finish, done))

    def _finish(self, done: Done, result: AsyncResult[OSError | None]) -> None:
        self._busy -= 1
        try:
            if self._waiting:
                self._start(*self._waiting.popleft())
        finally:
            faults.guarded(done, result.value)


def _catch(job: Job) -> OSError | None:
    try:
        job()
    except OSError as error:  # gevent prints what leaves a function in a thread
        return error
    except Exception as error:  # what was to be written is not: that must not pass for success
        return OSError(errno.EIO, repr(error))
    return None


class Spool:
    """The file of one body. All of its methods are called in the hub.

    Args:
        disk: of the worker. on_progress: called in the hub when something was written, or could not be.

    Attributes:
        error: why it cannot be kept, ``None`` while it can: status 507 when there is no room, 500 otherwise, 503 when
            all bodies of the worker together are too large.
        size: bytes of the body so far.
    """

    def __init__(self, disk: Disk, on_progress: Callable[[], None]) -> None:
        self._disk = disk
        self._on_progress = on_progress
        self._parts: list[bytes] = []
        self._held = 0
        self._file: int | None = None
        self._is_writing = False
        self._is_over = False  # dropped, or given to the app
        self.error: RemoteProtocolError | None = None
        self.size = 0

    def put(self, data: bytes) -> None:
        """Take a part of the body."""
        if self.error is not None or self._is_over:
            return
        self.size += len(data)
        self._disk.used += len(data)
        if self._disk.used > self._disk.most:
            self.error = self._disk.refuse(None)
            return
        add_part(self._parts, data)
        self._held += len(data)
        self._write()

    @property
    def is_full(self) -> bool:
        """Whether more than enough waits for the disk: the client should be read no more."""
        return self._held >= HIGH_WATER

    @property
    def is_written(self) -> bool:
        """Whether all that came is in the file."""
        return not self._is_writing and not self._parts

    def take(self) -> io.BufferedReader:
        """Return the body, to be read from its begin. It frees its file when it is closed or forgotten.

        Raises:
            OSError: the file cannot be read.
        """
        assert self._file is not None and self.is_written
        os.lseek(self._file, 0, os.SEEK_SET)
        self._is_over = True
        return io.BufferedReader(SpooledBody(self._file, self._disk, self.size))

    def drop(self) -> None:
        """Nobody wants the body any more. Its file is closed, and so gone, as soon as no thread writes it."""
        if self._is_over:
            return
        self._is_over = True
        self._parts.clear()
        self._held = 0
        self._disk.used -= self.size
        if not self._is_writing:
            self._close()

    def _write(self) -> None:
        if self._parts and not self._is_writing:
            parts, self._parts = self._parts, []
            self._is_writing = True
            self._disk.submit(partial(self._append, parts), partial(self._written, sum(map(len, parts))))

    def _append(self, parts: list[bytes]) -> None:
        """Write parts; runs in a native thread, one at a time."""
        if self._file is None:
            self._file = open_unlinked()
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(self._file, view) :]

    def _written(self, size: int, error: OSError | None) -> None:
        self._is_writing = False
        if self._is_over:
            self._close()
            return
        self._held -= size
        if error is not None and self.error is None:
            self.error = self._disk.refuse(error)
        if self.error is None:
            self._write()
        faults.guarded(self._on_progress)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            # To free a large file takes the disk some time as well.
            self._disk.submit(partial(os.close, file), _ignore)


class SpooledBody(io.FileIO):
    """A body that came as a whole, in a file without a name.

    Args:
        file: descriptor, which is closed with this object. disk: that its ``size`` bytes are counted on.
    """

    def __init__(self, file: int, disk: Disk, size: int) -> None:
        self._disk = disk
        self._size = size
        super().__init__(file, "r")

    def close(self) -> None:
        """See :class:`io.FileIO`."""
        size, self._size = self._size, 0
        self._disk.used -= size
        super().close()

    def __del__(self) -> None:
        self.close()


def open_unlinked() -> int:
    """Return the descriptor of a new file in the directory for temporary files that no name leads to.

    It is gone with its last descriptor, also when the process is killed. Where the file system has O_TMPFILE it never
    had a name.

    Raises:
        OSError: there is no such directory, or no file can be made there.
    """
    with tempfile.TemporaryFile(prefix="skitai-body-", buffering=0) as file:
        return os.dup(file.fileno())


def _place() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "the directory for temporary files"


def _ignore(error: OSError | None) -> None:
    """A file that is given up has nothing to say."""
