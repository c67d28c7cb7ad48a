"""Signs of life of a worker: its loop tells the supervisor that it turns, a watchdog tells the log when it does not."""

from __future__ import annotations

import faulthandler
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gevent import get_hub

from skitai.hub.exchange import Exchange
from skitai.hub.stacks import STACK_SIGNAL
from skitai.net import forks
from skitai.net.logs import Logs
from skitai.net.watchdog import Watchdog
from skitai.settings import ServerSettings

#: How many beats fit into the time after which a worker counts as dead.
_BEATS: Final = 6
_LONGEST_PAUSE: Final = 5.0


class Heartbeat:
    """See the module.

    Args:
        settings: ``worker_timeout`` and ``blocked_loop``. logs: of the worker.
        beat: tells the supervisor; ``None`` when there is none.
        stack: file descriptor for the stack that the supervisor asks for; -1 when there is none.
    """

    def __init__(
        self, settings: ServerSettings, logs: Logs, beat: Callable[[], object] | None = None, stack: int = -1
    ) -> None:
        self._settings = settings
        self._logs = logs
        self._beat = beat
        self._stack = stack
        self._timer: Any = None
        self._watchdog: Watchdog | None = None

    def start(self) -> None:
        """Begin; in the thread of the loop."""
        seconds = self._settings.worker_timeout
        if seconds and self._beat is not None:
            pause = min(seconds / _BEATS, _LONGEST_PAUSE)
            self._timer = get_hub().loop.timer(pause, pause, ref=False)
            self._timer.start(self._beat)
            if self._stack != -1:
                faulthandler.register(STACK_SIGNAL, self._stack, all_threads=False, chain=False)
        if self._settings.blocked_loop:
            self._watchdog = Watchdog(self._settings.blocked_loop, self._report, request_of)
            self._watchdog.start()

    def stop(self) -> None:
        """End; in the thread of the loop."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        if self._watchdog is not None:
            self._watchdog.stop()

    def _report(self, text: str) -> None:
        if not forks.is_child:
            self._logs.app.log(text, "warn")
            self._logs.flush()


def request_of(frame: FrameType) -> str:
    """Return method and path of the request that a frame works for, ``""`` when it works for none.

    Not the query: what is in it may be secret.
    """
    each: FrameType | None = frame
    while each is not None:
        exchange = each.f_locals.get("exchange") if each.f_code.co_name in ("serve", "open_websocket") else None
        if isinstance(exchange, Exchange):
            return f"{exchange.method} {exchange.raw_path}"
        each = each.f_back
    return ""
