"""Which client runs a call, by protocol. A client is a function that starts a task and returns at once.

It must call ``task.succeed()`` or ``task.fail()`` exactly once. One that blocks, as a driver of a database does, runs
itself on ``skitai.net.pool.spawn``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skitai.was._task import Running, Task

#: Filled by the module of each client.
table: dict[str, Callable[[Task], Running | None]] = {}
