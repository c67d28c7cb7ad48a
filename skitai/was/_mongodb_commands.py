"""What the commands of MongoDB do: their names are those of version 0.26, pymongo does them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import bson
from pymongo.errors import CursorNotFound

from skitai.lib.documents import Document, Envelope, FoundDocument
from skitai.was import _settings
from skitai.was._db_connection import Answer
from skitai.was._mongodb_client import CODECS
from skitai.wire.outcomes import BodyTooLarge

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.cursor import Cursor, RawBatchCursor
    from pymongo.results import UpdateResult

    from skitai.was._mongodb_connection import MongoConnection

#: Documents of an answer whose caller does not say how many; as a server does.
_BATCH = 101

Spec = Mapping[str, Any]


class OpenCursor:
    """A cursor that its caller may ask for more.

    Args:
        cursor: whose batches come as bytes, so that their size is known.

    Attributes:
        position: documents that were read. name: of the collection, with its database.
    """

    def __init__(self, cursor: RawBatchCursor[Document], name: str) -> None:
        self._cursor = cursor
        self._number = 0
        self._rest: list[Document] = []  # of the last batch
        self.name = name
        self.position = 0

    def read(self, most: int) -> list[Document]:
        """Return the next documents, at most ``most``.

        Raises:
            BodyTooLarge: see :func:`_read_all`.
        """
        found = self._rest
        size = 0
        while len(found) < most and self._cursor.alive:
            batch: Any = next(self._cursor, b"")
            size = _add_up(size, batch)
            found += bson.decode_all(batch, CODECS)
        found, self._rest = found[:most], found[most:]
        self.position += len(found)
        self._number = self._number or int(self._cursor.cursor_id or 0)
        return found

    @property
    def number(self) -> int:
        """What the server called it; 0 when there are no more documents.

        The server may have closed it, while documents of its last batch are here.
        """
        return self._number if self._rest or self._cursor.alive else 0


# Reading


def _findone(connection: MongoConnection, col: str, spec: Spec | None, options: dict[str, Any]) -> Answer:
    found = _collection(connection, col).find_one(spec, **options)
    return Answer(None, 0) if found is None else Answer(FoundDocument(found), 1)


def _find(
    connection: MongoConnection, col: str, spec: Spec | None, offset: int, limit: int, options: dict[str, Any]
) -> Answer:
    """Leaves a cursor open when there may be more than ``limit`` documents, unless it is 1 or negative."""
    collection = _collection(connection, col)
    if limit < 0 or limit == 1:
        batches = collection.find_raw_batches(spec, skip=offset, limit=abs(limit), **options)
        return _envelope(_read_all(batches), starting_from=offset)
    batches = collection.find_raw_batches(spec, skip=offset, batch_size=limit or _BATCH, **options)
    opened = OpenCursor(batches, collection.full_name)
    opened.position = offset
    return _read_more(connection, opened, limit or _BATCH)


def _findkc(
    connection: MongoConnection, col: str, spec: Spec | None, offset: int, limit: int, options: dict[str, Any]
) -> Answer:
    return _find(connection, col, spec, offset, -(abs(limit) or _BATCH), options)


def _findall(connection: MongoConnection, col: str, spec: Spec | None, options: dict[str, Any]) -> Answer:
    return _envelope(_read_all(_collection(connection, col).find_raw_batches(spec, **options)))


def _aggregate(connection: MongoConnection, col: str, pipeline: list[Any], options: dict[str, Any]) -> Answer:
    return _envelope(_read_all(_collection(connection, col).aggregate_raw_batches(pipeline, **options)))


def _count(connection: MongoConnection, col: str, spec: Spec) -> Answer:
    return Answer(_collection(connection, col).count_documents(spec))


def _distinct(connection: MongoConnection, col: str, key: str, spec: Spec | None) -> Answer:
    found = _collection(connection, col).distinct(key, spec)
    return Answer(found, len(found))


def _read_all(batches: Iterator[Any]) -> list[Document]:
    """Return the documents of all batches, each of which is bytes.

    Raises:
        BodyTooLarge: they are larger together than an answer may be.
    """
    found: list[Document] = []
    size = 0
    for batch in batches:
        size = _add_up(size, batch)
        found += bson.decode_all(batch, CODECS)
    return found


def _add_up(size: int, batch: bytes) -> int:
    size += len(batch)
    most = _settings.current.body_bytes
    if size > most:
        raise BodyTooLarge(
            f"more than {most} bytes of documents: ask for fewer, read them by iterate(), or allow more by "
            "wasc.configure(body_bytes=...)"
        )
    return size


def _envelope(found: list[Document], cursor_id: int = 0, starting_from: int = 0) -> Answer:
    return Answer(Envelope.of(found, cursor_id, starting_from), len(found))


# Cursors


def _get_more(connection: MongoConnection, col: str, cursor_id: int, limit: int) -> Answer:
    opened = connection.shared.cursors.get(cursor_id)
    if opened is None or opened.name != _collection(connection, col).full_name:
        raise CursorNotFound(f"cursor id {cursor_id} is not open in this process", 43)
    del connection.shared.cursors[cursor_id]  # nobody else reads it meanwhile
    return _read_more(connection, opened, limit or _BATCH)


def _read_more(connection: MongoConnection, opened: OpenCursor, limit: int) -> Answer:
    start = opened.position
    found = opened.read(limit)
    if opened.number:
        connection.shared.keep_cursor(opened.number, opened)
    return _envelope(found, opened.number, start)


def _kill_cursors(connection: MongoConnection, ids: Sequence[int]) -> Answer:
    known = [number for number in ids if connection.shared.cursors.pop(number, None)]
    return Answer(known, len(known))


def _open_cursor(connection: MongoConnection, col: str, spec: Spec | None, batch: int, options: Any) -> Answer:
    return Answer(_collection(connection, col).find(spec, batch_size=batch, **options))


def _fetch(connection: MongoConnection, cursor: Cursor[Document], batch: int) -> Answer:
    return Answer(list(islice(cursor, batch)))


# Writing


def _insert(connection: MongoConnection, col: str, docs: list[Any], continue_on_error: bool) -> Answer:
    collection = _collection(connection, col)
    if len(docs) == 1:  # whose refusal has an exception of its own, such as DuplicateKeyError
        ids = [collection.insert_one(docs[0]).inserted_id]
    else:
        ids = collection.insert_many(docs, ordered=not continue_on_error).inserted_ids
    return Answer(Document(inserted_ids=ids), len(ids), ids[-1])


def _update(connection: MongoConnection, col: str, spec: Spec, doc: Any, upsert: bool) -> Answer:
    return _updated(_collection(connection, col).update_many(spec, doc, upsert=upsert))


def _updateone(connection: MongoConnection, col: str, spec: Spec, doc: Any, upsert: bool) -> Answer:
    collection = _collection(connection, col)
    if isinstance(doc, Mapping) and not any(str(name).startswith("$") for name in doc):
        return _updated(collection.replace_one(spec, doc, upsert=upsert))
    return _updated(collection.update_one(spec, doc, upsert=upsert))


def _updated(result: UpdateResult) -> Answer:
    data = Document(matched=result.matched_count, modified=result.modified_count, upserted_id=result.upserted_id)
    changed = result.matched_count + (result.upserted_id is not None)
    return Answer(data, changed, result.upserted_id)


def _delete(connection: MongoConnection, col: str, spec: Spec, flag: int) -> Answer:
    collection = _collection(connection, col)
    result = collection.delete_one(spec) if flag else collection.delete_many(spec)
    return Answer(Document(deleted=result.deleted_count), result.deleted_count)


# All else


def _create_index(connection: MongoConnection, col: str, keys: Any, options: dict[str, Any]) -> Answer:
    return Answer(_collection(connection, col).create_index(keys, **options))


def _command(connection: MongoConnection, command: Any, value: Any = 1, **options: Any) -> Answer:
    return Answer(connection.database.command(command, value, codec_options=CODECS, **options))


def _collection(connection: MongoConnection, name: str) -> Collection[Document]:
    return connection.database[name]


#: Commands by name; those with an underscore are for :mod:`skitai.was._mongodb_iterate`.
table: dict[str, Callable[..., Answer]] = {
    "findone": _findone,
    "find": _find,
    "findkc": _findkc,
    "findall": _findall,
    "aggregate": _aggregate,
    "count": _count,
    "distinct": _distinct,
    "get_more": _get_more,
    "kill_cursors": _kill_cursors,
    "insert": _insert,
    "update": _update,
    "updateone": _updateone,
    "delete": _delete,
    "create_index": _create_index,
    "command": _command,
    "_open": _open_cursor,
    "_fetch": _fetch,
}
