"""The header section of a response over HTTP/2, made from what an app gave (RFC 9113 sections 8.2 and 8.3.2)."""

from __future__ import annotations

from skitai.errors import LocalProtocolError
from skitai.wire.fields import Fields, check_field
from skitai.wire.http2.coders import Raw, raw_field
from skitai.wire.response import (
    CONNECTION,
    DATE,
    HOP,
    LENGTH,
    MOST_BYTES_REMEMBERED,
    SERVER,
    WITHOUT_BODY,
    CommonFields,
    check_status,
    content_length,
    kind_of,
)

# The key is the status and every field as it was given, and nothing else goes into a section, which is copied for each
# response. Cookies are nobody else's, so a response that sets one is not remembered, nor is a large one.
_MOST_REMEMBERED = 512
_remembered: dict[tuple[object, ...], _Section] = {}


class _Section:
    """The checked and encoded fields of an app, and what they say about the message."""

    __slots__ = ("has_date", "has_server", "length", "raw")

    def __init__(self, status: int, fields: Fields) -> None:
        check_status(status)
        self.raw: list[Raw] = [(b":status", b"%d" % status)]
        self.length: int | None = None
        self.has_date = self.has_server = False
        for name, value in fields:
            self._add(name, value)

    def _add(self, name: str, value: str) -> None:
        kind = kind_of(name)
        data = check_field(name, value).encode("latin-1")
        if kind == LENGTH:
            length = content_length(value)
            if self.length not in (None, length):
                raise LocalProtocolError("Content-Length is given twice, with two values")
            self.length = length
        elif kind not in (CONNECTION, HOP):
            self.has_date = self.has_date or kind == DATE
            self.has_server = self.has_server or kind == SERVER
            self.raw.append(raw_field(name.lower().encode("latin-1"), data))


class ResponseSection:
    """The header section of one response.

    Args:
        status: 200 to 999. fields: of the app; those of an HTTP/1.1 connection are dropped.
        length: bytes of the body when they are known already. method: of the request. common: Server and Date.

    Attributes:
        raw: the fields to send. length: Content-Length, ``None`` when unknown. has_body: whether a body may follow.

    Raises:
        LocalProtocolError: as :class:`skitai.wire.response.ResponseHead`.
    """

    __slots__ = ("has_body", "length", "raw")

    def __init__(self, status: int, fields: Fields, length: int | None, method: str, common: CommonFields) -> None:
        section = _section(status, fields)
        if section.length is not None:
            length = section.length
        self.has_body = method != "HEAD" and status not in WITHOUT_BODY
        if status == 205:
            length = 0
        if status == 304:
            length = section.length  # RFC 9110 section 8.6: that of the 200, which only the app knows
        self.length = length
        self.raw = raw = section.raw.copy()
        if not section.has_server:
            raw.append(common.raw_server)
        if not section.has_date:
            raw.append(common.raw_date)
        raw += common.raw_more
        if length is not None and status != 204:
            raw.append(raw_field(b"content-length", b"%d" % length))


def _section(status: int, fields: Fields) -> _Section:
    try:
        return _remembered[(status, *fields)]
    except (KeyError, TypeError):  # TypeError: a field that is no tuple; what follows says what is wrong
        pass
    fields = [(name, value) for name, value in fields]
    section = _Section(status, fields)
    size = sum([len(name) + len(value) for name, value in section.raw])
    if size <= MOST_BYTES_REMEMBERED and not any(name == b"set-cookie" for name, _ in section.raw):
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[(status, *fields)] = section
    return section
