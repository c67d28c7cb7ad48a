"""The status line and header section of an HTTP/1.1 response, made from what an app gave (RFC 9112 sections 4, 6)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from skitai.errors import LocalProtocolError
from skitai.wire.fields import Fields, check_field, field_line, is_field_value, is_token, tokens

#: What a field of an app means for the message as a whole.
ORDINARY, LENGTH, CONNECTION, DATE, SERVER, HOP = range(1, 7)
# Names are remembered in any case they come in; apps have few.
_KINDS_BY_NAME: Final = {
    "content-length": LENGTH,
    "connection": CONNECTION,
    "date": DATE,
    "server": SERVER,
    "transfer-encoding": HOP,  # the server frames the message, an app cannot (PEP 3333, "Other HTTP Features")
    "keep-alive": HOP,
    "upgrade": HOP,
    "proxy-connection": HOP,
    "trailer": HOP,
}
_MOST_NAMES = 1024
_kinds: dict[str, int] = {}

#: Framings of a body.
NO_BODY, BY_LENGTH, CHUNKED, UNTIL_CLOSE = range(4)


def reason_phrase(status: int) -> str:
    """Return the registered reason phrase of a status, ``""`` when there is none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class ResponseHead:
    """The head of one response with what follows from it.

    Args:
        status: 200 to 999 (RFC 9110 section 15).
        reason: the text after it; ``None`` for the registered one.
        fields: of the app. Hop-by-hop fields are dropped, the framing is chosen here.
        length: bytes of the body when they are known already, else ``None``.
        method: of the request. version: 10 or 11. keep_alive: what the client allows.
        common: lines that every response has (Server and Date), dropped per field when the app has its own.

    Attributes:
        data: the bytes to send. framing: one of the four above. length: Content-Length, ``None`` when unknown.
        is_common: whether it may be sent to others as well; one that sets a cookie may not.
        keep_alive: whether the connection stays open after it.

    Raises:
        LocalProtocolError: a field has CR, LF, NUL, a name that is no token, or something that is not ``str``; the
            status is not that of a final response; Content-Length is no number, or two.
    """

    __slots__ = ("data", "framing", "is_common", "keep_alive", "length")

    def __init__(
        self,
        status: int,
        reason: str | None,
        fields: Fields,
        length: int | None,
        method: str,
        version: int,
        keep_alive: bool,
        common: CommonFields,
    ) -> None:
        try:
            lines = _remembered[(status, reason, *fields)]
        except (KeyError, TypeError):  # TypeError: a field that is no tuple of str; _new_lines says what is wrong
            lines = _new_lines(status, reason, fields)
        if lines.length is not None:
            length = lines.length
        if lines.is_last:
            keep_alive = False
        if method == "HEAD" or status in WITHOUT_BODY:
            framing = NO_BODY
            if status == 205:  # its length is said and is 0 (RFC 9110 section 15.3.6)
                length = 0
            if status == 304:
                # RFC 9110 section 8.6: it would be that of the 200, which only the app knows.
                length = lines.length
        elif length is not None:
            framing = BY_LENGTH
        elif version == 11:
            framing = CHUNKED
        else:
            framing = UNTIL_CLOSE
            keep_alive = False
        self.length = length
        self.keep_alive = keep_alive
        self.framing = framing
        self.is_common = lines.is_common
        common_lines = common.both if lines.takes_common else common.without(lines)
        ending = _endings[framing, keep_alive, version]
        if length is not None and status != 204:
            self.data = b"%b%bContent-Length: %d\r\n%b" % (lines.data, common_lines, length, ending)
        else:
            self.data = lines.data + common_lines + ending


def serialize_interim(status: int, fields: Fields, common: bytes = b"") -> bytes:
    """Return the whole head of an interim response, or of 101 (RFC 9110 section 15.2), with all of ``fields``.

    Args:
        common: further lines, as :attr:`CommonFields.both`.

    Raises:
        LocalProtocolError: a field is not valid.
    """
    lines = "".join([field_line(name, value) for name, value in fields])
    return f"HTTP/1.1 {status} {reason_phrase(status)}\r\n{lines}".encode("latin-1") + common + b"\r\n"


class _Lines:
    """The status line and the fields of an app, checked and encoded, and what its fields say about the message."""

    __slots__ = ("data", "has_date", "has_server", "is_common", "is_last", "length", "takes_common")

    def __init__(self, data: bytes, length: int | None, is_last: bool, has_date: bool, has_server: bool) -> None:
        self.data = data
        self.length = length
        self.is_last = is_last
        self.has_date = has_date
        self.has_server = has_server
        self.takes_common = not (has_date or has_server)
        self.is_common = b"et-cookie" not in data.lower()


# Most responses of an app have the same fields as others before: looking them up takes 0.1 microseconds where checking
# and encoding two of them takes 1. The key is all that goes into the lines: status, reason and every field as it was
# given; texts that are equal are the same bytes. Cookies are nobody else's, so a response that sets one is not
# remembered, nor is a large one: a client may have chosen what is in its fields.
_MOST_REMEMBERED = 512
MOST_BYTES_REMEMBERED = 1024
_remembered: dict[tuple[object, ...], _Lines] = {}


def _new_lines(status: int, reason: str | None, fields: Fields) -> _Lines:
    fields = [(name, value) for name, value in fields]
    lines = _make_lines(status, reason, fields)
    if lines.is_common and len(lines.data) <= MOST_BYTES_REMEMBERED:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[(status, reason, *fields)] = lines
    return lines


def _make_lines(status: int, reason: str | None, fields: Fields) -> _Lines:
    texts = [_status_line(status, reason)]
    length: int | None = None
    is_last = has_date = has_server = False
    for name, value in fields:
        kind = _kinds.get(name) or kind_of(name)
        if kind != ORDINARY:
            check_field(name, value)
        if kind == LENGTH:
            if length not in (None, content_length(value)):
                raise LocalProtocolError("Content-Length is given twice, with two values")
            length = content_length(value)
            continue
        if kind == CONNECTION:
            is_last = is_last or "close" in tokens(value)
            continue
        if kind == HOP:
            if status == 426 and name.lower() == "upgrade":
                texts.append(field_line("Upgrade", value) + "Connection: upgrade\r\n")  # RFC 9110 section 15.5.22
            continue
        has_date = has_date or kind == DATE
        has_server = has_server or kind == SERVER
        texts.append(field_line(name, value))
    return _Lines("".join(texts).encode("latin-1"), length, is_last, has_date, has_server)


#: Statuses whose responses have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
WITHOUT_BODY = frozenset({204, 205, 304})


def _ending(framing: int, keep_alive: bool, version: int) -> bytes:
    text = b"Transfer-Encoding: chunked\r\n" if framing == CHUNKED else b""
    if not keep_alive:
        text += b"Connection: close\r\n"
    elif version == 10:
        text += b"Connection: keep-alive\r\n"
    return text + b"\r\n"


_endings = {
    (framing, keep_alive, version): _ending(framing, keep_alive, version)
    for framing in range(4)
    for keep_alive in (False, True)
    for version in (10, 11)
}


class ReadyHead:
    """The bytes of a head, the length of the body that must follow, and whether the connection stays open after it."""

    __slots__ = ("data", "keep_alive", "length")

    def __init__(self, data: bytes, length: int, keep_alive: bool) -> None:
        self.data = data
        self.length = length
        self.keep_alive = keep_alive


class CommonFields:
    """The Server and Date lines that every response has; :meth:`refresh` once a second.

    Args:
        server: value of the Server field. more: further fields of every response, behind those of the app.

    Attributes:
        more: as given. both: the two lines, and those of ``more``.
        ready: heads that were made in this second, by all that went into them.
        raw_server, raw_date, raw_more: the same as HTTP/2 takes them.
    """

    __slots__ = ("_date", "_more", "_server", "both", "more", "raw_date", "raw_more", "raw_server", "ready")

    def __init__(self, server: str, more: Fields | None = None) -> None:
        self._server = field_line("Server", server).encode("latin-1")
        self._date = b""
        self.more: Fields = more or []
        self._more = "".join([field_line(name, value) for name, value in self.more]).encode("latin-1")
        self.both = self._server + self._more
        self.raw_server = (b"server", server.encode("latin-1"))
        self.raw_date = (b"date", b"")
        self.raw_more = [
            (name.lower().encode("latin-1"), check_field(name, value).encode("latin-1")) for name, value in self.more
        ]
        self.ready: dict[tuple[object, ...], ReadyHead] = {}

    def refresh(self, http_date: str) -> None:
        """Take the current IMF-fixdate (RFC 9110 section 5.6.7)."""
        self._date = field_line("Date", http_date).encode("latin-1")
        self.both = self._server + self._date + self._more
        self.raw_date = (b"date", http_date.encode("latin-1"))
        self.ready.clear()

    def keep(self, response: ResponseHead, key: tuple[object, ...], fields: Fields) -> None:
        """Keep a head that has a Content-Length for the rest of the second, unless it sets a cookie or is large.

        Args:
            key: all that was given to :class:`ResponseHead` beside the fields; with them it is all that the head is
                made of, since Server and Date are those of this second.
        """
        is_small = response.length is not None and len(response.data) <= MOST_BYTES_REMEMBERED
        if is_small and response.is_common and response.length is not None and len(self.ready) < _MOST_REMEMBERED:
            self.ready[(*key, *map(tuple, fields))] = ReadyHead(response.data, response.length, response.keep_alive)

    def without(self, lines: _Lines) -> bytes:
        """Return those of the two that an app did not send itself, and the others."""
        return (b"" if lines.has_server else self._server) + (b"" if lines.has_date else self._date) + self._more


def check_status(status: int) -> None:
    """Raise LocalProtocolError when ``status`` is not that of a final response."""
    if not 200 <= status <= 999:
        raise LocalProtocolError(f"the status of a final response is 200 to 999, not {status}")


def _status_line(status: int, reason: str | None) -> str:
    check_status(status)
    if reason is None:
        reason = reason_phrase(status)
    if not is_field_value(reason):
        raise LocalProtocolError("the reason phrase has a character that is not allowed")
    return f"HTTP/1.1 {status} {reason}\r\n"


def kind_of(name: str) -> int:
    """Return what a field means for the message. Raises LocalProtocolError when its name is no token."""
    if not isinstance(name, str) or not is_token(name):
        raise LocalProtocolError(f"header field name is not a token: {name!r}")
    kind = _KINDS_BY_NAME.get(name.lower(), ORDINARY)
    if len(_kinds) < _MOST_NAMES and len(name) <= 64:
        _kinds[name] = kind
    return kind


def content_length(value: str) -> int:
    """Return the number that Content-Length says. Raises LocalProtocolError when it is none."""
    if not (value.isascii() and value.isdigit()):
        raise LocalProtocolError(f"Content-Length is not a number: {value!r}")
    return int(value)
