"""The status line and header section of an HTTP/1.1 response, made from what an app gave (RFC 9112 sections 4 and 6)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from skitai.errors import LocalProtocolError
from skitai.wire.fields import Fields, is_field_value, is_token, tokens

# What a field of an app means for the message as a whole. Names are remembered in any case they come in; apps have few.
_ORDINARY, _LENGTH, _CONNECTION, _DATE, _SERVER, _HOP = range(6)
_KINDS_BY_NAME: Final = {
    "content-length": _LENGTH,
    "connection": _CONNECTION,
    "date": _DATE,
    "server": _SERVER,
    "transfer-encoding": _HOP,  # the server frames the message, an app cannot (PEP 3333, "Other HTTP Features")
    "keep-alive": _HOP,
    "upgrade": _HOP,
    "proxy-connection": _HOP,
    "trailer": _HOP,
}
_MOST_NAMES = 1024
_kinds: dict[str, int] = {}

_STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}

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
        keep_alive: whether the connection stays open after it.

    Raises:
        LocalProtocolError: a field has CR, LF, NUL, a name that is no token, or something that is not ``str``.
    """

    __slots__ = ("data", "framing", "keep_alive", "length")

    def __init__(
        self, status: int, reason: str | None, fields: Fields, length: int | None, method: str, version: int, keep_alive: bool,
        common: CommonFields,
    ) -> None:  # fmt: skip
        lines = [_STATUS_LINES.get(status) or _status_line(status, None) if reason is None else _status_line(status, reason)]
        date, server = common.date, common.server
        count = 1
        for name, value in fields:
            kind = _kinds.get(name)
            if kind is None:
                kind = _kind(name)
            if kind:
                if kind == _LENGTH:
                    length = _length(value)
                    continue
                if kind == _CONNECTION:
                    keep_alive = keep_alive and "close" not in tokens(value)
                    continue
                if kind == _HOP:
                    continue
                if kind == _DATE:
                    date = ""
                else:
                    server = ""
            try:
                lines.append(name + ": " + value + "\r\n")
            except TypeError:
                raise LocalProtocolError(f"the value of header field {name} is not a str") from None
            count += 1
        text = "".join(lines)
        if text.count("\n") != count or text.count("\r") != count or "\0" in text:
            _name_the_culprit(fields)
        self._frame(status, length, method, version, keep_alive)
        ending = _endings[self.framing, self.keep_alive, version]
        if length is not None and status >= 200 and status != 204:
            ending = f"Content-Length: {length}\r\n{ending}"
        try:
            self.data = f"{text}{server}{date}{ending}".encode("latin-1")
        except UnicodeEncodeError:
            raise LocalProtocolError("a header field has characters outside ISO 8859-1") from None

    def _frame(self, status: int, length: int | None, method: str, version: int, keep_alive: bool) -> None:
        self.length = length
        self.keep_alive = keep_alive
        if method == "HEAD" or status in (204, 304) or status < 200:
            self.framing = NO_BODY
        elif length is not None:
            self.framing = BY_LENGTH
        elif version == 11:
            self.framing = CHUNKED
        else:
            self.framing = UNTIL_CLOSE
            self.keep_alive = False


def _ending(framing: int, keep_alive: bool, version: int) -> str:
    text = "Transfer-Encoding: chunked\r\n" if framing == CHUNKED else ""
    if not keep_alive:
        text += "Connection: close\r\n"
    elif version == 10:
        text += "Connection: keep-alive\r\n"
    return text + "\r\n"


_endings = {
    (framing, keep_alive, version): _ending(framing, keep_alive, version)
    for framing in range(4)
    for keep_alive in (False, True)
    for version in (10, 11)
}


class CommonFields:
    """The Server and Date lines; :meth:`refresh` once a second."""

    __slots__ = ("date", "server")

    def __init__(self, server: str) -> None:
        self.server = f"Server: {server}\r\n"
        self.date = ""

    def refresh(self, http_date: str) -> None:
        """Take the current IMF-fixdate (RFC 9110 section 5.6.7)."""
        self.date = f"Date: {http_date}\r\n"


def _status_line(status: int, reason: str | None) -> str:
    if not 100 <= status <= 999:
        raise LocalProtocolError(f"a status has three digits, not {status}")
    if reason is None:
        reason = reason_phrase(status)
    if not is_field_value(reason):
        raise LocalProtocolError("the reason phrase has a character that is not allowed")
    return f"HTTP/1.1 {status} {reason}\r\n"


def _kind(name: str) -> int:
    if not isinstance(name, str) or not is_token(name):
        raise LocalProtocolError(f"header field name is not a token: {name!r}")
    kind = _KINDS_BY_NAME.get(name.lower(), _ORDINARY)
    if len(_kinds) < _MOST_NAMES:
        _kinds[name] = kind
    return kind


def _length(value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise LocalProtocolError(f"Content-Length is not a number: {value!r}")
    return int(value)


def _name_the_culprit(fields: Fields) -> None:
    for name, value in fields:
        if not is_field_value(value):
            raise LocalProtocolError(f"the value of header field {name} has CR, LF or NUL: it would split the response")
