"""The documents of a search, read in pieces on one connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from skitai.was import _db_take, _modes
from skitai.was._db_connection import Command
from skitai.was._db_work import perform

if TYPE_CHECKING:
    from skitai.lib.documents import Document
    from skitai.was._context import Context
    from skitai.was._db_target import Target


def iterate(
    context: Context, target: Target, timeout: float | None, opening: Command, batch: int
) -> Iterator[Document]:
    """See :meth:`skitai.was._mongodb_stub.MongoStub.iterate`.

    Args:
        timeout: seconds that each batch may take. opening: makes the cursor.
    """
    _modes.check_waiting(context)
    if batch < 1:
        raise ValueError(f"batch is 1 or more, not {batch}")
    if target.is_map:
        raise RuntimeError("documents are read from one database: use was.mongodb.lb, not .map")
    if target.error is not None:
        raise target.error
    return _documents(target, timeout, opening, batch)


def _documents(target: Target, timeout: float | None, opening: Command, batch: int) -> Iterator[Document]:
    with ExitStack() as held:
        connection = _db_take.take(target, timeout, held)
        cursor = perform(connection, opening, timeout).data
        try:
            while found := perform(connection, Command("_fetch", (cursor, batch)), timeout).data:
                yield from found
                if len(found) < batch:
                    break
        except GeneratorExit:  # the caller has enough. pymongo closes the cursor, now that nobody has it
            return
