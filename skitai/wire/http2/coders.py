"""The compression of header sections (RFC 7541): what the coders of the library hpack need besides.

Most messages of a connection have the same fields as one before, and a section that leaves the table as it is means the
same again until the table changes. Such sections are looked up: a request and its response cost the engine 12
microseconds instead of 35.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hpack import Decoder, Encoder, HeaderTuple, HPACKError, NeverIndexedHeaderTuple, OversizedHeaderListError

from skitai.wire.http2.errors import BrokenConnection, Code

#: Bytes of the dynamic table of an encoder, whatever more a peer offers: it is our memory.
MOST_TABLE_BYTES: Final = 4096
#: Sections remembered for one connection, and bytes of one.
_MOST_KEPT: Final = 16
_MOST_BYTES_KEPT: Final = 512
#: How a section begins that changes the size of the table (section 6.3); it can be said nowhere else.
_RESIZE: Final = 0x20

Raw = tuple[bytes, bytes]

# Values that seldom come twice would push out of the table what does; and cookies are nobody else's (section 7.1.3).
_NOT_INDEXED: Final = frozenset(
    {
        b"authorization", b"content-length", b"content-range", b"cookie", b"etag", b"expires", b"if-modified-since",
        b"if-none-match", b"last-modified", b"location", b"set-cookie", b"x-gtxn-id", b"x-ltxn-id",
    }
)  # fmt: skip


def raw_field(name: bytes, value: bytes) -> Raw:
    """Return a field as an encoder takes it; some are sent so that nobody on the way puts them into a table."""
    return NeverIndexedHeaderTuple(name, value) if name in _NOT_INDEXED else HeaderTuple(name, value)


class SectionDecoder(Decoder):
    """Decodes sections of one peer.

    Raises:
        BrokenConnection: COMPRESSION_ERROR where h2 would say PROTOCOL_ERROR (RFC 9113 section 4.3), or
            ENHANCE_YOUR_CALM for a section that gets much too large.
    """

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._kept: dict[bytes, list[HeaderTuple]] = {}

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """See :class:`hpack.Decoder`."""
        # The key is the encoded section, and what it means depends on nothing else than the dynamic table: all is
        # forgotten when that changes. What is given out is a list of the caller's own.
        kept = self._kept.get(data)
        if kept is not None:
            return kept.copy()
        newest = self._newest()
        try:
            fields = list(super().decode(data, raw=True))
        except OversizedHeaderListError as error:
            raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "a header section is much too large") from error
        except (HPACKError, IndexError, ValueError, TypeError) as error:
            raise BrokenConnection(Code.COMPRESSION_ERROR, "a header section cannot be decoded") from error
        if self._newest() is not newest or (data and data[0] & 0xE0 == _RESIZE):
            # It has changed the table, and with it the meaning of every index.
            self._kept.clear()
        elif len(data) <= _MOST_BYTES_KEPT:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[data] = fields.copy()
        return fields

    def _newest(self) -> object:
        """The entry that is there until another one comes; those that go make room for one, or for a smaller table."""
        entries = self.header_table.dynamic_entries
        return entries[0] if entries else None


class SectionEncoder(Encoder):
    """Encodes sections for one peer."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[Raw, ...], bytes] = {}

    @property
    def header_table_size(self) -> int:
        """See :class:`hpack.Encoder`; what the peer offers is taken up to a bound."""
        return int(self.header_table.maxsize)

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        value = min(value, MOST_TABLE_BYTES)
        if value == self.header_table.maxsize:
            return  # setting it would make hpack forget that a change is still to be said
        self.header_table.maxsize = value
        # Of many changes the smallest and the last are said (RFC 7541 section 4.2).
        smallest = min([value, *self.table_size_changes])
        self.table_size_changes = [value] if smallest == value else [smallest, value]
        self.header_table.resized = True
        self._kept.clear()

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        """See :class:`hpack.Encoder`."""
        # The key is every field in its order, and how they are encoded depends on nothing else than the dynamic table:
        # all is forgotten when that changes. Whether a field may be indexed follows from its name (raw_field).
        key = tuple(headers)
        kept = self._kept.get(key) if huffman else None
        if kept is not None:
            return kept
        newest, was_resized = self._newest(), self.header_table.resized
        data = bytes(super().encode(key, huffman))
        if self._newest() is not newest:
            self._kept.clear()
        elif huffman and not was_resized and len(data) <= _MOST_BYTES_KEPT:
            # One that was resized begins with the new size, which is said once.
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = data
        return data

    def _newest(self) -> object:
        entries = self.header_table.dynamic_entries
        return entries[0] if entries else None
