"""HTTP/1.1 as bytes in, events out (RFC 9112). One engine reads requests for a server and responses for a client.

There is one grammar. Of requests it refuses whatever two parsers could read in two ways. Of responses it also reads
what RFC 9112 asks of a user agent (folded lines, a blank before the colon, equal lengths in a list, padded chunk
sizes), and then mostly the connection is not used again. It is written as
regular expressions over a whole header section, which costs on the requests of a browser about what the callbacks of
a C parser cost, environ names included, and needs no second check behind it. `tests/wire/test_oracle.py` compares it
with llhttp.

    reader.feed(data)
    event = reader.next()      # a head, Data, END, or None: feed more
"""

from __future__ import annotations

import re
from typing import Final

from skitai.errors import LocalProtocolError, RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.bodies import ChunkedBody, LengthBody, UntilCloseBody
from skitai.wire.events import END, Data, End, RequestHead, ResponseHead
from skitai.wire.fields import (
    TOKEN,
    Fields,
    field_line,
    find,
    is_token,
    parse_fields,
    parse_folded_fields,
    tokens,
)
from skitai.wire.memory import SMALL, memory_of
from skitai.wire.reader import Reader
from skitai.wire.sections import RequestSection
from skitai.wire.target import check_target

__all__ = [
    "END", "LAST_CHUNK", "Data", "End", "NoRequest", "RequestHead", "RequestReader", "ResponseHead", "ResponseReader",
    "chunk", "header_value", "last_chunk", "serialize_request",
]  # fmt: skip

_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!\"$-~]++) HTTP/([0-9])\.([0-9])\r\n")
_HTTP1_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!\"$-~]++) HTTP/1\.([0-9])\r\n")
# Of what looks like a request line, the second word is a target and the third a version: both have more than letters.
_WORDS = re.compile(r"[A-Za-z]++(?: [A-Za-z]++){2,}+\r\n")
_STATUS_LINE = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*+))?+\r\n")
_LENGTH = re.compile(r"[0-9]{1,19}")

# Empty lines before a request line are skipped (RFC 9112 section 2.2), as many as fit in these bytes.
_MOST_LEADING = 8
# Interim responses before the final one. A server has use for two or three.
_MOST_INTERIM = 32


class NoRequest(RemoteProtocolError):
    """What came does not even look like a request: its sender may not understand an answer (RFC 9112 section 2.2)."""


class RequestReader(Reader[RequestHead]):
    """Server role: reads one request after another from the bytes of a connection.

    A request without a body gives its head and no END; one with a body gives Data events and END.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._skipped = 0  # bytes of empty lines before the request line
        self._memory = memory_of(limits)
        self._last_section = self._last_request = 0  # hashes of what came last and was not remembered

    def read_whole(self, data: bytes) -> RequestHead | None:
        """Return the head of a request when ``data`` is one and nothing else, as most reads are.

        Returns:
            ``None`` when it is not as simple as that, also when something is wrong: call :meth:`feed` and :meth:`next`.
            Nothing was taken then.

        Raises:
            RemoteProtocolError: as :meth:`next`.
        """
        if not self.is_between:
            return None
        if len(data) <= SMALL:
            head = self._memory.heads.get(data)
            if head is not None:
                self._skipped = 0
                return head
        if data.find(b"\r\n\r\n") != len(data) - 4 or len(data) > self._limits.header_bytes:
            return None
        head = self._parse(data)
        if head is not None and len(data) <= SMALL:
            number = hash(data)
            if number == self._last_request:
                self._memory.keep_head(data, head)
            self._last_request = number
        return head

    def _parse(self, data: bytes) -> RequestHead | None:
        start = data.find(b"\r\n") + 2
        match = _HTTP1_REQUEST_LINE.match(data[:start].decode("latin-1"))
        if match is None or start > self._limits.request_line:
            return None
        rest = data[start:]
        section = self._memory.sections.get(rest) or self._read_section(rest)
        if section is None:
            return None
        method, target, minor = match.groups()
        host = section.plain_host
        if host is not None and target[0] == "/" and minor != "0" and method != "CONNECT":
            self._skipped = 0
            return RequestHead(method, target, 11, host, section.keep_alive_11, section.fields, section.environ)
        return self._make_head(method, target, 10 if minor == "0" else 11, section)

    def _read_section(self, data: bytes) -> RequestSection | None:
        fields = parse_fields(data[:-2].decode("latin-1"), 0, self._limits.header_count)
        if fields is None:
            return None
        section = RequestSection(fields)
        number = hash(data)
        if number == self._last_section:
            self._memory.keep_section(data, section)
        self._last_section = number
        return section

    def _make_head(self, method: str, target: str, version: int, section: RequestSection) -> RequestHead:
        """Put a request line and a header section together: what neither says alone is checked here."""
        if section.host is None and version == 11:
            raise RemoteProtocolError("a request needs a Host field")
        if section.chunked and version == 10:
            raise RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 request")
        host, environ, fields = section.host or "", section.environ, section.fields
        authority = check_target(method, target)
        if authority is not None:
            # RFC 9112 section 3.2.2: the authority of an absolute-form target stands over Host.
            host, environ = authority, {**environ, "HTTP_HOST": authority}
            # Before an app sees it: whoever reads the fields must not see another host than the one that was routed by.
            fields = _with_host(fields, authority)
        keep_alive = section.keep_alive_11 if version == 11 else section.keep_alive_10
        # What follows a CONNECT may be the first bytes for a tunnel that we do not open, and not a request.
        head = RequestHead(method, target, version, host, keep_alive and method != "CONNECT", fields, environ)
        if section.chunked:
            head.chunked = True
            self._body = ChunkedBody(self._limits.header_count)
        elif section.length is not None:
            head.length = section.length
            self._body = LengthBody(section.length) if section.length else None
        # RFC 9110 section 7.8: that of an HTTP/1.0 client is ignored.
        head.upgrade = section.upgrade if version == 11 else None
        head.is_plain = not head.has_body and head.upgrade is None
        # RFC 9110 section 10.1.1: the expectation of an HTTP/1.0 client is ignored.
        head.expects_continue = section.expects_continue and version == 11 and head.has_body
        self._skipped = 0
        return head

    def _check_first_line(self, line: str) -> None:
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            if _WORDS.fullmatch(line):
                raise NoRequest("neither a target nor a version is in the first line")
            raise RemoteProtocolError("the request line is not valid")
        if match[3] != "1":
            raise RemoteProtocolError("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)

    def _skip_empty_lines(self, buffer: bytes) -> RequestHead | None:
        end = 2
        while end <= _MOST_LEADING and buffer.startswith(b"\r\n", end):
            end += 2
        self._skipped += end
        if self._skipped > _MOST_LEADING:
            raise RemoteProtocolError("too many empty lines before the request line")
        self._start += end
        return self._next_head()


class ResponseReader(Reader[ResponseHead]):
    """Client role: reads the response to one request. Interim responses (1xx) but 101 are skipped.

    Args:
        method: of the request; a response to HEAD has no body whatever its fields say.
        limits: bounds of the header section.

    After END, :attr:`keep_alive` tells whether the connection may carry another request. It may not when a response
    says that it has a body where there is none (1xx, 204, 304, 2xx to CONNECT): its server may send it nevertheless,
    and the next response would begin with it. Nor may it when its header section was read with leniency.

    Attributes:
        length: bytes of the body as Content-Length says; ``None`` when something else frames it, or nothing does.
    """

    _is_lenient = True

    def __init__(self, method: str, limits: Limits) -> None:
        super().__init__(limits)
        self.length: int | None = None
        self._method = method
        self._keep_alive = False
        self._is_suspect = False
        self._interim = 0

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again, now that the response has ended."""
        return self._keep_alive and not self._is_suspect and self.is_between and not self._is_over

    def _next_head(self) -> ResponseHead | None:
        while True:
            head = super()._next_head()
            if head is None or head.status >= 200 or head.status == 101:
                return head
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise RemoteProtocolError(f"more than {_MOST_INTERIM} interim responses")

    def _parse(self, data: bytes) -> ResponseHead | None:
        text = data[:-2].decode("latin-1")
        match = _STATUS_LINE.match(text)
        if match is None or match.end() > self._limits.request_line:
            return None
        fields = parse_fields(text, match.end(), self._limits.header_count)
        if fields is None:
            fields = parse_folded_fields(text, match.end(), self._limits.header_count)
            if fields is None:
                return None
            self._is_suspect = True
        status = int(match[2])
        version = 10 if match[1] == "0" else 11
        options = tokens(",".join(value for name, value in fields if name.lower() == "connection"))
        self._keep_alive = "close" not in options and (version == 11 or "keep-alive" in options)
        if status >= 200 or status == 101:
            self._choose_body(status, version, fields)
        elif _announces_body(fields):
            self._is_suspect = True
        return ResponseHead(status, match[3] or "", version, fields, self._keep_alive and not self._is_suspect)

    def _choose_body(self, status: int, version: int, fields: Fields) -> None:
        """RFC 9112 section 6.3, in its order."""
        if self._method == "HEAD" or status in (101, 204, 304) or (self._method == "CONNECT" and status < 300):
            self._wants_end = True
            # What a response to HEAD says is how long the one to GET would be.
            if (self._method != "HEAD" or status in (101, 204, 304)) and _announces_body(fields):
                self._is_suspect = True
            return
        codings = [value.lower() for name, value in fields if name.lower() == "transfer-encoding"]
        lengths = {value for name, value in fields if name.lower() == "content-length"}
        if any("," in value for value in lengths):  # RFC 9112 section 6.3: a list of equal numbers is one
            lengths = {each.strip(" \t") for value in lengths for each in value.split(",")}
            self._is_suspect = True
        if status == 205 and (codings or lengths - {"0"}):  # it has no content (RFC 9110 section 15.3.6)
            self._is_suspect = True
        if codings:
            if codings != ["chunked"] or lengths:
                raise RemoteProtocolError("the framing of the response is not valid")
            # RFC 9112 section 6.1: with an HTTP/1.0 peer the framing may be somebody else's, so nothing may follow it.
            self._keep_alive = self._keep_alive and version == 11
            self._body = ChunkedBody(self._limits.header_count, is_lenient=True)
        elif lengths:
            length = lengths.pop()
            if lengths or not _LENGTH.fullmatch(length):
                raise RemoteProtocolError("the Content-Length of the response is not valid")
            self.length = int(length)
            self._body = LengthBody(self.length) if self.length else None
            self._wants_end = self._body is None
        else:
            self._keep_alive = False
            self._body = UntilCloseBody()

    def _check_first_line(self, line: str) -> None:
        if not _STATUS_LINE.fullmatch(line):
            raise RemoteProtocolError("the status line is not valid")


def _announces_body(fields: Fields) -> bool:
    """Whether a response that can have no body says that it has one."""
    return any(
        name.lower() == "transfer-encoding" or (name.lower() == "content-length" and value.strip("0") != "")
        for name, value in fields
    )


def serialize_request(method: str, target: str, fields: Fields) -> bytes:
    """Return the request line and header section of a request, with its empty line.

    Raises:
        LocalProtocolError: the method is not a token, the target has a blank or control character, or a field is not
            valid.
    """
    if not is_token(method):
        raise LocalProtocolError(f"the method is not a token: {method!r}")
    if not _is_target(target):
        raise LocalProtocolError("the request target has a blank, a control or a non-ASCII character")
    lines = "".join([field_line(name, value) for name, value in fields])
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def _with_host(fields: tuple[tuple[str, str], ...], authority: str) -> tuple[tuple[str, str], ...]:
    """Put an authority in the place of the value of Host; in front where there was no Host (HTTP/1.0)."""
    if not any(name.lower() == "host" for name, _ in fields):
        return (("Host", authority), *fields)
    return tuple([(name, authority if name.lower() == "host" else value) for name, value in fields])


_is_target = re.compile(r"[!\"$-~]+").fullmatch

LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk (RFC 9112 section 7.1); empty data would end the body and gives nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Fields | None = None) -> bytes:
    """Return what ends a body in chunks, with its trailer fields (RFC 9112 section 7.1.2).

    Raises:
        LocalProtocolError: a field is not valid.
    """
    if not trailers:
        return LAST_CHUNK
    lines = "".join([field_line(name, value) for name, value in trailers])
    return f"0\r\n{lines}\r\n".encode("latin-1")


def header_value(head: ResponseHead, name: str, default: str | None = None) -> str | None:
    """Return the first value of the field ``name`` (lower case) of a response head."""
    return find(head.fields, name, default)
