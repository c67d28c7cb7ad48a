"""``was.mongodb(...)``: finding and changing documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skitai.was import _db_drivers, _mongodb
from skitai.was._db_connection import Command
from skitai.was._db_drivers import Driver
from skitai.was._db_stub import OF_REQUEST, DbStub
from skitai.was._mongodb_iterate import iterate
from skitai.was._mongodb_result import MongoResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from skitai.lib.documents import Document
    from skitai.was._request import Request

Spec = Mapping[str, Any]


class MongoStub(DbStub):
    """See :class:`DbStub`.

    A ``spec`` says which documents are meant, as MongoDB writes it: ``{"age": {"$gt": 20}}``. A value that a client
    sent belongs under ``$eq``, ``{"token": {"$eq": token}}``, unless it is known to be text: as a dict it would be read
    as operators.
    """

    result = MongoResult

    # Reading

    def findone(self, col: str, spec: Spec | None = None, projection: Any = None, sort: Any = None) -> Request:
        """Start a search for one document.

        Args:
            col: the collection. spec: which documents are meant; ``None``: all.
            projection: the fields that are wanted, as pymongo takes it. sort: pairs of a field with 1 or -1.

        Returns:
            The request. The data of its result is a :class:`skitai.lib.documents.FoundDocument`, ``None`` when there is
            no such document.
        """
        return self._start(Command("findone", (col, spec, _options(projection, sort))))

    def find(
        self,
        col: str,
        spec: Spec | None = None,
        offset: int = 0,
        limit: int = 1,
        projection: Any = None,
        sort: Any = None,
    ) -> Request:
        """Start a search.

        Args:
            offset: documents to leave out at the beginning.
            limit: documents to return; 0 is 101. When there are more, the answer has a ``cursor_id`` for
                :meth:`get_more`, unless ``limit`` is 1 or negative.
            col, spec, projection, sort: see :meth:`findone`.

        Returns:
            The request. The data of its result is a :class:`skitai.lib.documents.Envelope`.
        """
        return self._start(Command("find", (col, spec, offset, limit, _options(projection, sort))))

    def findkc(
        self,
        col: str,
        spec: Spec | None = None,
        offset: int = 0,
        limit: int = 1,
        projection: Any = None,
        sort: Any = None,
    ) -> Request:
        """Start a search that leaves no cursor open: find, and kill the cursor. See :meth:`find`."""
        return self._start(Command("findkc", (col, spec, offset, limit, _options(projection, sort))))

    def findall(self, col: str, spec: Spec | None = None, projection: Any = None, sort: Any = None) -> Request:
        """Start a search for all documents that are meant; see :meth:`find`.

        The result fails with code 718 when they are larger together than ``body_bytes`` of ``wasc.configure()``.
        """
        return self._start(Command("findall", (col, spec, _options(projection, sort))))

    def aggregate(self, col: str, pipeline: Sequence[Spec], **options: Any) -> Request:
        """Start an aggregation; its answer is as that of :meth:`findall`.

        Args:
            pipeline: the stages. **options: of pymongo, such as ``allowDiskUse``.
        """
        return self._start(Command("aggregate", (col, list(pipeline), options)))

    def count(self, col: str, spec: Spec | None = None) -> Request:
        """Start counting documents; the data is a number."""
        return self._start(Command("count", (col, spec or {})))

    def distinct(self, col: str, key: str, spec: Spec | None = None) -> Request:
        """Start a search for the different values of a field; the data is a list of them."""
        return self._start(Command("distinct", (col, key, spec)))

    def iterate(
        self, col: str, spec: Spec | None = None, projection: Any = None, sort: Any = None, batch: int = 1_000
    ) -> Iterator[Document]:
        """Return documents one by one; at most ``batch`` of them are in memory.

        It waits for each batch, and has a connection to itself until it ends or is closed.

        Args:
            col, spec, projection, sort: see :meth:`findone`. batch: documents that are fetched at a time.

        Raises:
            ValueError: ``batch`` is not above 0. RuntimeError: for a map, and in a request of the single-thread mode.
            Exception: of the driver.
        """
        opening = Command("_open", (col, spec, batch, _options(projection, sort)))
        return iterate(self._context, self._target, self._options.timeout, opening, batch)

    # Cursors

    def get_more(self, col: str, cursor_id: int, n: int = 0) -> Request:
        """Start reading on where :meth:`find` has stopped, at the same server and in the same process.

        Args:
            cursor_id: of the answer of :meth:`find`. n: documents to return; 0 is 101.
        """
        return self._start(Command("get_more", (col, cursor_id, n)))

    def kill_cursors(self, ids: int | Sequence[int]) -> Request:
        """Start closing cursors that nobody will read to their end; the data is a list of those that were open."""
        return self._start(Command("kill_cursors", ([ids] if isinstance(ids, int) else list(ids),)))

    # Writing

    def insert(self, col: str, docs: Spec | Sequence[Spec], continue_on_error: int = 0) -> Request:
        """Start inserting documents; the data has ``inserted_ids``.

        Args:
            docs: one document, or several. Those without an ``_id`` get one; the dicts of the caller stay as they are.
            continue_on_error: true: when one is refused the others are inserted all the same.
        """
        documents = [docs] if isinstance(docs, Mapping) else docs
        return self._start(Command("insert", (col, list(map(_copied, documents)), bool(continue_on_error))))

    def update(self, col: str, spec: Spec, doc: Any) -> Request:
        """Start changing all documents that are meant; the data has ``matched``, ``modified`` and ``upserted_id``.

        Args:
            doc: operators such as ``{"$set": {"age": 20}}``, or the stages of a pipeline.
        """
        return self._start(Command("update", (col, spec, doc, False)))

    def updateone(self, col: str, spec: Spec, doc: Any) -> Request:
        """Start changing one document. A ``doc`` without operators takes its place. See :meth:`update`."""
        return self._start(Command("updateone", (col, spec, doc, False)))

    def upsert(self, col: str, spec: Spec, doc: Any) -> Request:
        """As :meth:`update`; when there is no such document it is inserted."""
        return self._start(Command("update", (col, spec, doc, True)))

    def upsertone(self, col: str, spec: Spec, doc: Any) -> Request:
        """As :meth:`updateone`; when there is no such document it is inserted."""
        return self._start(Command("updateone", (col, spec, doc, True)))

    def delete(self, col: str, spec: Spec, flag: int = 0) -> Request:
        """Start deleting documents; the data has ``deleted``.

        Args:
            flag: 0 for all that are meant, 1 for one of them.
        """
        return self._start(Command("delete", (col, spec, flag)))

    # All else

    def create_index(self, col: str, keys: Any, **options: Any) -> Request:
        """Start making an index; the data is its name.

        Args:
            keys: a field, or pairs of a field with 1 or -1. **options: of pymongo, such as ``unique=True``.
        """
        return self._start(Command("create_index", (col, keys, options)))

    def command(self, command: str | Mapping[str, Any], value: Any = 1, **options: Any) -> Request:
        """Start any command of the database, such as ``command("collStats", "users")``; the data is the answer."""
        return self._start(Command("command", (command, value), options))

    def __getattr__(self, name: str) -> Any:
        if name[:1] == "_" or name in OF_REQUEST:
            return super().__getattr__(name)
        return self._unsupported(name)

    def _unsupported(self, name: str) -> Callable[..., Request]:
        """Return what answers a command that there is not: as version 0.26, by a result that failed."""

        def start(*args: Any, **kwargs: Any) -> Request:
            return self._refuse(Command(name, args, kwargs), NotImplementedError(f"was.{self._name} has no {name}()"))

        return start


def _options(projection: Any, sort: Any) -> dict[str, Any]:
    given = {"projection": projection, "sort": sort}
    return {name: value for name, value in given.items() if value is not None}


def _copied(document: Any) -> Any:
    """pymongo writes the ``_id`` into what it inserts."""
    return dict(document) if isinstance(document, Mapping) else document


_db_drivers.table["mongodb"] = Driver(_mongodb.connect, _mongodb.can_repeat)
