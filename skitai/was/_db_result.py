"""What a database answered."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, Self

from skitai.errors import ConnectFailed, PeerClosed, ReadTimeout, SkitaiError
from skitai.was._db_connection import Answer
from skitai.was._result import Node, Result
from skitai.wire import outcomes

if TYPE_CHECKING:
    from skitai.was._call import Call

#: The code of a command that the database, or its driver, refused.
REFUSED = 500
#: Characters of a driver's text that become the reason.
_LONGEST_REASON = 200

#: What we make of errors of a driver.
_OF_THE_DRIVER = (ConnectFailed, ReadTimeout, PeerClosed)

_NO_ANSWER = Answer(None)


class DbResult(Result):
    """The outcome of a command of a database: code 200, or 500 when the database refused it.

    The reason of a refusal is the first line of the driver's text, and ``reraise()`` raises the driver's exception.
    """

    __slots__ = ("_answer",)

    def __init__(
        self, call: Call, node: Node, status: int, code: int, reason: str, error: BaseException | None = None
    ) -> None:
        super().__init__(call, node, status, code, reason, error)
        self._answer = _NO_ANSWER

    @classmethod
    def answered(cls, call: Call, node: Node, answer: Answer) -> Self:
        """Return the result of a command that was done."""
        result = cls(call, node, outcomes.NORMAL, 200, "OK")
        result._answer = answer
        return result

    @classmethod
    def failed(cls, call: Call, node: Node, error: BaseException, code: int = 0) -> Self:
        """See :meth:`Result.failed`. What the driver said is kept, rather than what we made of it."""
        if isinstance(error, SkitaiError) or code:
            result = super().failed(call, node, error, code)
            if isinstance(error, _OF_THE_DRIVER) and error.__cause__ is not None:
                result.error = error.__cause__
            return result
        text = str(error) or type(error).__name__
        return cls(call, node, outcomes.FAILED, REFUSED, text.splitlines()[0][:_LONGEST_REASON], error)

    def reraise(self) -> None:
        """Do nothing when there is an answer.

        Raises:
            OperationTimeout: the wait timed out.
            Exception: the call failed: the driver's, such as ``psycopg2.errors.SyntaxError``; ours when the driver had
                no part in it.
        """
        if self.status == outcomes.FAILED and self.error is not None:
            raise self.error
        super().reraise()

    def to_keep(self) -> Self:
        """See :meth:`Result.to_keep`."""
        kept = copy(self)
        kept._answer = deepcopy(self._answer)
        return kept

    def as_cached(self, call: Call) -> Self:
        """See :meth:`Result.as_cached`. What one caller does to the data, another does not see."""
        again = super().as_cached(call)
        again._answer = deepcopy(self._answer)
        return again

    @property
    def data(self) -> Any:
        """A list of rows, ``[]`` for a statement without any; the value of a command of Redis; ``None`` on failure."""
        return self._answer.data

    @property
    def content(self) -> Any:
        """The same as :attr:`data`."""
        return self._answer.data

    @property
    def rowcount(self) -> int:
        """Rows that were found or changed; -1 when the database does not say."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> Any:
        """The id of the row inserted last, where the database says it; else ``None``."""
        return self._answer.lastrowid
