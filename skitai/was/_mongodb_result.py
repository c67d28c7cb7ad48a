"""What a database of MongoDB answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from skitai.was._db_result import REFUSED, DbResult

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._result import Node

#: Between what went wrong and the whole answer, or a value that cannot be encoded, in the texts of pymongo.
_MARKS = (", full error:", " object: ")


class MongoResult(DbResult):
    """See :class:`DbResult`.

    The reason of a refusal says what was wrong without the documents that pymongo puts into its texts: it goes to logs,
    and passwords of users are among them.
    """

    __slots__ = ()

    @classmethod
    def failed(cls, call: Call, node: Node, error: BaseException, code: int = 0) -> Self:
        """See :meth:`Result.failed`."""
        result = super().failed(call, node, error, code)
        if result.code == REFUSED:
            result.reason = _reason(error)
        return result


def _reason(error: BaseException) -> str:
    details: Any = getattr(error, "details", None)
    if isinstance(details, dict) and details.get("writeErrors"):  # of BulkWriteError
        text = str(details["writeErrors"][0].get("errmsg", ""))
    else:
        text = str(error)
    for mark in _MARKS:
        text = text.partition(mark)[0]
    return (text.splitlines() or [type(error).__name__])[0][:200]
