"""The monitors of pymongo sleep without keeping a program from its end, and end with a fork.

Why: each client of pymongo watches its server from a background thread, which gevent makes a greenlet. While it sleeps
between two looks, ``Hub.join()`` waits for it, and so never ends while a client lives. And where a fork leaves threads
behind, greenlets go on in the child: they would watch for a client that is the parent's, and end with a KeyError,
because ``threading`` knows them no longer.
Versions: pymongo 4. It can go when pymongo sleeps so itself. pymongo is changed when a program imports it, because
importing it for those who do not use it would cost time.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from . import _gevent, _imports

_MODULE = "pymongo.periodic_executor"
#: In the child of a fork: what belongs to its parent. One that nobody held would end.
_left_behind: list[object] = []


class _Time:
    """What the module uses of ``time``, with another ``sleep``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Sleep in the gevent loop, as something that the loop does not wait for."""
        import gevent

        monitor = gevent.getcurrent()
        born_in = monitor.__dict__.setdefault("_skitai_pid", os.getpid())
        gevent.sleep(seconds, ref=False)
        if born_in != os.getpid():
            _left_behind.append(monitor)
            gevent.get_hub().switch()  # for good


def apply() -> None:
    """Change the module now, or when it is imported."""
    if _MODULE in sys.modules:
        _install()
    else:
        _imports.after(_MODULE, _install)


def _install() -> None:
    if _gevent.is_applied():  # else its threads are threads
        sys.modules[_MODULE].time = _Time()  # type: ignore[attr-defined]
