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
    from skitai.was._db_target import Target
    from skitai.wire.databases import Database

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

    __slots__ = ("_answer", "_kept")

    def __init__(
        self, call: Call, node: Node, status: int, code: int, reason: str, error: BaseException | None = None
    ) -> None:
        super().__init__(call, node, status, code, reason, error)
        self._answer = _NO_ANSWER
        self._kept: Answer | None = None  # what came, for the cache, when a filter may have changed it

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

    def before_filter(self) -> None:
        """See :meth:`Result.before_filter`."""
        if self._call.key is not None:
            self._kept = deepcopy(self._answer)

    def to_keep(self) -> Self:
        """See :meth:`Result.to_keep`."""
        kept = copy(self)
        kept._answer = deepcopy(self._answer if self._kept is None else self._kept)
        kept._kept = None
        return kept

    def as_cached(self, call: Call) -> Self:
        """See :meth:`Result.as_cached`. What one caller does to the data, another does not see."""
        again = super().as_cached(call)
        again._answer = deepcopy(self._answer)
        return again

    def _read_data(self) -> Any:
        """Return a list of rows, ``[]`` without any; the value of a command of Redis; ``None`` on failure."""
        return self._answer.data

    @property
    def content(self) -> Any:
        """What the database answered: the same as :attr:`data`, unless a filter put something in its place."""
        return self._read_data()

    @property
    def rowcount(self) -> int:
        """Rows that were found or changed; -1 when the database does not say."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> Any:
        """The id of the row inserted last, where the database says it; else ``None``."""
        return self._answer.lastrowid

    @property
    def description(self) -> Any:
        """The columns as the driver's cursor describes them (PEP 249): seven values for each, the name first.

        ``None`` where there are no columns: a statement without rows, a failure, Redis and MongoDB.
        """
        return self._answer.description

    # What was asked, and what was wrong with it

    @property
    def server(self) -> str:
        """``host:port`` of the server, or the path of the file; the alias when no member of it was chosen."""
        database = self._database
        return self._call.uri if database is None else database.server

    @property
    def dbname(self) -> str:
        """The name of the database as it was given; ``""`` for a file, and when none was given."""
        database = self._database
        return database.dbname if database is not None and database.host else ""

    @property
    def _database(self) -> Database | None:
        target: Target = self._call.target  # type: ignore[attr-defined]
        return target.database_at(self.node)

    @property
    def params(self) -> tuple[Any, ...]:
        """The arguments of the command: the statement and its values, or the words of a command of Redis."""
        args: tuple[Any, ...] = self._call.command.args  # type: ignore[attr-defined]
        return args

    @property
    def expt_class(self) -> type[BaseException] | None:
        """The class of the exception that made it fail, the driver's where it had one; else ``None``."""
        return None if self.error is None else type(self.error)

    @property
    def expt_str(self) -> str:
        """The text of that exception; ``""`` when there was none."""
        return "" if self.error is None else str(self.error)
