"""What a database that speaks SQL answered."""

from __future__ import annotations

from typing import Any

from skitai.lib.rows import Records, Row
from skitai.was._db_connection import Answer
from skitai.was._db_result import DbResult
from skitai.was._result import NOT_REPLACED


class SqlResult(DbResult):
    """See :class:`DbResult`. Rows are made when they are first read."""

    __slots__ = ()

    def _read_data(self) -> Any:
        """Return a list of rows, ``[]`` for a statement without any; ``None`` on failure."""
        answer = self._answer
        if type(answer.data) is Records:
            # In the place of the tuples, so that what a filter makes of the rows is what the cache keeps.
            self._answer = answer = answer._replace(data=answer.data.rows())
        return answer.data

    @property
    def tuples(self) -> Any:
        """The rows as a list of plain tuples, which is what the driver makes: with many of them it saves time.

        ``[]`` for a statement without rows, ``None`` on failure.
        """
        data = self._answer.data
        if type(data) is Records:
            return data.tuples
        return None if data is None else [tuple(row.values()) for row in data]

    def __len__(self) -> int:
        # Of as many tuples as there will be rows.
        return len(self._answer.data if self._replaced is NOT_REPLACED else self._replaced)


def rows_of(answer: Answer) -> list[Row]:
    """Return the rows of an answer."""
    data: Records | list[Row] = answer.data
    return data.rows() if isinstance(data, Records) else data
