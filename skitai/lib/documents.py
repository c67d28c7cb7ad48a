"""Documents of a database that keeps documents: read by attribute or by name."""

from __future__ import annotations

from typing import Any

from skitai.lib.attributes import AttributeDict


class Document(AttributeDict):
    """A document, and each one inside it: ``doc.city`` and ``doc["city"]`` are the same entry.

    It is a dict, so it compares, prints, pickles and becomes JSON as one.
    """

    def __getattr__(self, name: str) -> Any:
        # What stands in a document must not be taken for a hook of copy or pickle.
        if name[:2] == "__":
            raise AttributeError(name)
        return super().__getattr__(name)


class FoundDocument(Document):
    """The document that a search for one found.

    It also answers to the names of an :class:`Envelope`, where the document has no entry of that name.
    """

    def __missing__(self, name: str) -> Any:
        if name == "data":
            return [self]
        try:
            return _ENVELOPE_OF_ONE[name]
        except KeyError:
            raise KeyError(name) from None


_ENVELOPE_OF_ONE = {"number_returned": 1, "cursor_id": 0, "starting_from": 0}


class Envelope(AttributeDict):
    """Documents that were found, with where they stand.

    Its entries are ``data``: the documents; ``number_returned``: how many these are; ``cursor_id``: by which more can
    be asked for, 0 when there are no more; ``starting_from``: how many of the cursor came before.
    """

    @classmethod
    def of(cls, data: list[Any], cursor_id: int = 0, starting_from: int = 0) -> Envelope:
        """Return the envelope of some documents."""
        return cls(data=data, number_returned=len(data), cursor_id=cursor_id, starting_from=starting_from)
