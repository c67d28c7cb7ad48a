"""A native thread that notices when the loop does not turn, and says what holds it.

A greenlet that computes, or a library that waits in C, stops every other request of its process. Who has many apps
wants to know which one it was: the log gets the request and the stack, once for each time that the loop stands still.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gevent import get_hub
from gevent.monkey import get_original

#: Frames of a stack that are logged: the innermost ones.
MOST_FRAMES: Final = 12
#: Seconds between two reports; those in between are counted.
REPORT_EVERY: Final = 10.0

_sleep: Callable[[float], None] = get_original("time", "sleep")
_start_thread: Callable[..., int] = get_original("_thread", "start_new_thread")
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")


class Watchdog:
    """Watches the loop of the thread that makes it.

    Args:
        seconds: that the loop may stand still before it is reported.
        report: called in the native thread with a text of several lines.
        describe: returns the request that a frame of the stack belongs to, ``""`` when there is none to be found.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        seconds: float,
        report: Callable[[str], object],
        describe: Callable[[FrameType], str] = lambda frame: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._report = report
        self._describe = describe
        self._clock = clock
        self._beat = clock()
        self._ident = _get_ident()
        self._is_over = False
        self._reported: float | None = None  # the beat that was followed by silence which is reported already
        self._last_report = float("-inf")
        self._left_out = 0
        self._interval = min(seconds / 4, 0.5)
        self._timer: Any = None

    def start(self) -> None:
        """Begin to watch; in the thread of the loop."""
        self._beat = self._clock()
        self._timer = get_hub().loop.timer(self._interval, self._interval, ref=False)
        self._timer.start(self._turned)
        _start_thread(self._watch, ())

    def stop(self) -> None:
        """Watch no more; in the thread of the loop. The native thread ends a moment later."""
        self._is_over = True
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _turned(self) -> None:
        self._beat = self._clock()

    def _watch(self) -> None:
        while not self._is_over:
            _sleep(self._interval)
            self.look()

    def look(self) -> None:
        """Report when the loop has stood still for too long, and when it goes on after that."""
        beat, now = self._beat, self._clock()
        if self._reported is not None and beat != self._reported:
            self._report(f"the loop goes on after {beat - self._reported:.1f} s")
            self._reported = None
        if now - beat < self.seconds + self._interval or self._reported == beat or self._is_over:
            return
        if now - self._last_report < REPORT_EVERY:
            self._left_out += 1
            return
        self._reported, self._last_report = beat, now
        frame = sys._current_frames().get(self._ident)
        if frame is not None:
            self._report(self._text(frame, now - beat))

    def _text(self, frame: FrameType, seconds: float) -> str:
        where = self._describe(frame)
        left_out, self._left_out = self._left_out, 0
        more = f" ({left_out} times more since the last report)" if left_out else ""
        stack = "".join(traceback.format_stack(frame)[-MOST_FRAMES:]).rstrip()
        of = f" by {where}" if where else ""
        return f"the loop is held{of} for {seconds:.1f} s now, and all other requests wait{more}:\n{stack}"

    def __repr__(self) -> str:
        return f"<Watchdog of {self.seconds:g} s>"
