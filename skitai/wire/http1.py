"""HTTP/1.1 as bytes in, events out (RFC 9112). One engine reads both roles: requests for a server, responses for a client.

There is one grammar and no lenient mode: what it refuses is what two parsers could read in two ways. It is written as
regular expressions over a whole header section, which on the requests of a browser costs about what the callbacks of
a C parser cost (2.7 against 1.3 microseconds for eight fields, environ names included), and needs no second check
behind it. `tests/wire/test_http1_oracle.py` compares it with llhttp.

    reader.feed(data)
    event = reader.next()      # a head, Data, END, or None: feed more
"""

from __future__ import annotations

import re
from typing import Final, Generic, NamedTuple, TypeVar

from skitai.errors import LocalProtocolError, RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.bodies import Body, ChunkedBody, LengthBody, UntilCloseBody, refuse_bare_line_end
from skitai.wire.fields import FIELD_LINE, TOKEN, Fields, cgi_name, cgi_names, check_field, find, is_token, parse_fields, tokens
from skitai.wire.target import check_target, is_valid_host, valid_hosts

_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!\"$-~]++) HTTP/([0-9])\.([0-9])\r\n")
_HTTP1_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!\"$-~]++) HTTP/1\.([0-9])\r\n")
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*+))?+\r\n")
_LENGTH = re.compile(r"[0-9]{1,19}")

# Empty lines before a request line are skipped (RFC 9112 section 2.2), as many as fit in these bytes.
_MOST_LEADING = 8


class Data(NamedTuple):
    """Some bytes of a body, its transfer coding undone."""

    content: bytes


class End:
    """The body has ended."""

    def __repr__(self) -> str:
        return "END"


END: Final = End()


class RequestHead:
    """The request line and the header section of a request.

    Attributes:
        method, target: as sent.
        version: 10 or 11; a higher minor version counts as 1.1.
        fields: (name, value) as sent, in order.
        environ: the same under their CGI names, repeated ones joined.
        host: the authority that the request is for; ``""`` when an HTTP/1.0 client named none.
        length: Content-Length, else ``None``. chunked: the body comes in chunks.
        keep_alive: the client wants the connection kept.
        expects_continue: the client waits for ``100 Continue`` before it sends the body.
    """

    # Few requests change these, so they stay on the class.
    host = ""
    length: int | None = None
    chunked = False
    expects_continue = False

    def __init__(self, method: str, target: str, version: int, fields: Fields, environ: dict[str, str]) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.environ = environ
        self.keep_alive = version == 11

    @property
    def has_body(self) -> bool:
        """Whether bytes of a body follow."""
        return self.chunked or bool(self.length)

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.target}>"


class ResponseHead(NamedTuple):
    """The status line and the header section of a response; ``version`` is 10 or 11."""

    status: int
    reason: str
    version: int
    fields: Fields
    keep_alive: bool


Head = TypeVar("Head", RequestHead, ResponseHead)


class _Reader(Generic[Head]):
    """What both roles share: the buffer, the end of a header section, the body."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""
        self._scanned = 0  # bytes of an incomplete header section that were checked
        self._body: Body | None = None
        self._is_over = False
        self._wants_end = False

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; call :meth:`next` until it returns ``None``."""
        self._buffer = self._buffer + data if self._buffer else data

    def feed_eof(self) -> None:
        """The peer sends no more."""
        self._is_over = True

    def next(self) -> Head | Data | End | None:
        """Return the next event, or ``None`` when more bytes are needed.

        Raises:
            RemoteProtocolError: the bytes are no HTTP/1.1; nothing more can be read from this connection.
        """
        if self._body is not None:
            return self._next_of_body(self._body)
        if self._wants_end:
            self._wants_end = False
            return END
        return self._next_head()

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet given out."""
        return len(self._buffer)

    @property
    def is_between(self) -> bool:
        """Whether no message has begun: the only state in which a connection may end in peace."""
        return self._body is None and not self._buffer and not self._wants_end

    def _next_of_body(self, body: Body) -> Data | End | None:
        if self._buffer:
            content, self._buffer, ended = body.decode(self._buffer)
            if ended:
                self._body = None
                self._wants_end = bool(content)
                return Data(content) if content else END
            if content:
                return Data(content)
        if self._is_over:
            body.end_of_input()
            self._body = None
            return END
        return None

    def _next_head(self) -> Head | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", self._scanned - 3 if self._scanned > 3 else 0)
        if end < 0 or buffer.startswith(b"\r\n"):
            return self._incomplete(buffer)
        if end > self._limits.header_bytes:
            self._refuse_size(buffer)
        self._scanned = 0
        self._buffer = buffer[end + 4 :]
        return self._parse(buffer[: end + 2].decode("latin-1"))

    def _incomplete(self, buffer: bytes) -> Head | None:
        """Find what is wrong in a header section that has not ended, so that nobody waits for an end that cannot help."""
        if not buffer:
            if self._is_over:
                self._end_before_head()
            return None
        if buffer.startswith(b"\r\n"):
            return self._skip_empty_lines(buffer)
        refuse_bare_line_end(buffer, self._scanned - 1 if self._scanned else 0)
        checked = buffer.rfind(b"\r\n", 0, self._scanned) + 2 if self._scanned else 0
        self._scanned = len(buffer)
        self._refuse_size(buffer)
        complete = buffer.rfind(b"\r\n") + 2
        if complete > max(checked, 1):
            self._check_lines(buffer[checked if checked > 1 else 0 : complete].decode("latin-1"), checked < 2)
        if self._is_over:
            self._end_before_head()
        return None

    def _check_lines(self, text: str, with_first: bool) -> None:
        start = 0
        if with_first:
            start = text.index("\n") + 1
            self._check_first_line(text[:start])
        if len(FIELD_LINE.findall(text, start)) != text.count("\n", start):
            raise RemoteProtocolError("a header field line is not valid")

    def _refuse_size(self, buffer: bytes) -> None:
        limits = self._limits
        line = buffer.find(b"\r\n")
        if line + 2 > limits.request_line or (line < 0 and len(buffer) >= limits.request_line):
            raise RemoteProtocolError(f"the request line is longer than {limits.request_line} bytes", 414)
        if len(buffer) > limits.header_bytes:
            raise RemoteProtocolError(f"the header section is larger than {limits.header_bytes} bytes", 431)
        if buffer.count(b"\n") > limits.header_count + 1:
            raise RemoteProtocolError(f"more than {limits.header_count} header fields", 431)

    def _skip_empty_lines(self, buffer: bytes) -> Head | None:
        raise RemoteProtocolError("an empty line before the status line")

    def _end_before_head(self) -> None:
        if self._buffer:
            raise RemoteProtocolError("the connection ended inside a header section")

    def _check_first_line(self, line: str) -> None:
        raise NotImplementedError

    def _parse(self, text: str) -> Head:
        raise NotImplementedError


class RequestReader(_Reader[RequestHead]):
    """Server role: reads one request after another from the bytes of a connection.

    A request without a body gives its head and no END; one with a body gives Data events and END.
    """

    def read_whole(self, data: bytes) -> RequestHead | None:
        """Return the head of a request when ``data`` begins with it and holds nothing else, as most reads do.

        Returns:
            ``None`` when it is not as simple as that, also when something is wrong: call :meth:`feed` and :meth:`next`.
            Nothing was taken then. This way in takes half the time of that one.

        Raises:
            RemoteProtocolError: as :meth:`next`.
        """
        limits = self._limits
        if self._buffer or not data.endswith(b"\r\n\r\n") or len(data) > limits.header_bytes:
            return None
        text = data.decode("latin-1")
        match = _HTTP1_REQUEST_LINE.match(text)
        if match is None:
            return None
        start = match.end()
        fields = FIELD_LINE.findall(text, start)
        # The only line that is no field must be the empty one at the end: a second request would be more such lines.
        if len(fields) != text.count("\n", start) - 1 or len(fields) > limits.header_count or start > limits.request_line:
            return None
        method, target, minor = match.groups()
        return self._make_head(method, target, minor, fields)

    def _parse(self, text: str) -> RequestHead:
        match = _HTTP1_REQUEST_LINE.match(text)
        if match is None or match.end() > self._limits.request_line:
            self._check_first_line(text[: text.index("\n") + 1])
            raise AssertionError("unreachable: the line above refuses this")
        start = match.end()
        if text.count("\n", start) > self._limits.header_count:
            raise RemoteProtocolError(f"more than {self._limits.header_count} header fields", 431)
        fields = FIELD_LINE.findall(text, start)
        if len(fields) != text.count("\n", start):
            raise RemoteProtocolError("a header field line is not valid")
        method, target, minor = match.groups()
        return self._make_head(method, target, minor, fields)

    def _make_head(self, method: str, target: str, minor: str, fields: Fields) -> RequestHead:
        environ: dict[str, str] = {}
        for name, value in fields:
            key = cgi_names.get(name) or cgi_name(name)
            if key in environ:
                _join(environ, key, value)
            else:
                environ[key] = value.rstrip(" \t")
        if "" in environ:
            del environ[""]
        head = RequestHead(method, target, 10 if minor == "0" else 11, fields, environ)
        self._check_head(head)
        return head

    def _check_head(self, head: RequestHead) -> None:
        environ = head.environ
        host = environ.get("HTTP_HOST")
        if host is None:
            if head.version == 11:
                raise RemoteProtocolError("a request needs a Host field")
            host = ""
        elif host not in valid_hosts and not is_valid_host(host):
            raise RemoteProtocolError("the value of the Host field is not valid")
        if head.target[0] != "/" or head.method == "CONNECT":
            authority = check_target(head.method, head.target)
            if authority is not None:
                # RFC 9112 section 3.2.2: the authority of an absolute-form target stands over Host.
                host = environ["HTTP_HOST"] = authority
        head.host = host
        if "HTTP_CONNECTION" in environ:
            options = tokens(environ["HTTP_CONNECTION"])
            head.keep_alive = "close" not in options and (head.version == 11 or "keep-alive" in options)
        if "HTTP_TRANSFER_ENCODING" in environ:
            _check_codings(head)
            self._body = ChunkedBody(self._limits.header_bytes, self._limits.header_count)
        elif "CONTENT_LENGTH" in environ:
            length = environ["CONTENT_LENGTH"]
            if not _LENGTH.fullmatch(length):
                raise RemoteProtocolError("the value of Content-Length is not valid")
            head.length = int(length)
            self._body = LengthBody(head.length) if head.length else None
        if "HTTP_EXPECT" in environ:
            if environ["HTTP_EXPECT"].lower() != "100-continue":
                raise RemoteProtocolError("the only expectation is 100-continue", 417)
            # RFC 9110 section 10.1.1: one from an HTTP/1.0 client is ignored.
            head.expects_continue = head.version == 11 and head.has_body

    def _check_first_line(self, line: str) -> None:
        if len(line) > self._limits.request_line:
            raise RemoteProtocolError(f"the request line is longer than {self._limits.request_line} bytes", 414)
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("the request line is not valid")
        if match[3] != "1":
            raise RemoteProtocolError("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)

    def _skip_empty_lines(self, buffer: bytes) -> RequestHead | None:
        end = 2
        while buffer.startswith(b"\r\n", end):
            end += 2
        if end > _MOST_LEADING:
            raise RemoteProtocolError("too many empty lines before the request line")
        rest = buffer[end:]
        self._buffer = rest
        self._scanned = 0
        return self._next_head()


def _join(environ: dict[str, str], key: str, value: str) -> None:
    """Add a repeated field to the environ, or refuse it where two values would mean two framings or two sites."""
    if key in ("HTTP_HOST", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"):
        raise RemoteProtocolError(f"more than one {key.removeprefix('HTTP_').replace('_', '-').title()} field")
    glue = "; " if key == "HTTP_COOKIE" else ", "
    environ[key] += glue + value.rstrip(" \t")


def _check_codings(head: RequestHead) -> None:
    """Accept ``Transfer-Encoding: chunked`` alone (RFC 9112 sections 6.1 and 6.3)."""
    if "CONTENT_LENGTH" in head.environ:
        raise RemoteProtocolError("Content-Length together with Transfer-Encoding")
    if head.version == 10:
        raise RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 request")
    value = head.environ["HTTP_TRANSFER_ENCODING"]
    if value.lower() != "chunked":
        codings = tokens(value)
        is_known_form = codings[-1:] == ["chunked"] and codings.count("chunked") == 1 and all(map(is_token, codings))
        raise RemoteProtocolError("the only transfer coding is chunked", 501 if is_known_form else 400)
    head.chunked = True


class ResponseReader(_Reader[ResponseHead]):
    """Client role: reads the response to one request.

    Args:
        method: of the request; a response to HEAD has no body whatever its fields say.
        limits: bounds of the header section.

    After END, :attr:`keep_alive` tells whether the connection may carry another request.
    """

    def __init__(self, method: str, limits: Limits) -> None:
        super().__init__(limits)
        self._method = method
        self._keep_alive = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again, now that the response has ended."""
        return self._keep_alive and self.is_between and not self._is_over

    @property
    def leftover(self) -> bytes:
        """Bytes after the end of the response; after ``101 Switching Protocols`` they belong to the next protocol."""
        return self._buffer

    def _parse(self, text: str) -> ResponseHead:
        match = _STATUS_LINE.match(text)
        if match is None:
            raise RemoteProtocolError("the status line is not valid")
        fields = parse_fields(text, match.end(), self._limits.header_count)
        if fields is None:
            raise RemoteProtocolError("a header field line is not valid, or there are too many")
        status = int(match[2])
        if status < 200 and status != 101:
            following = self._next_head()
            if following is None:
                raise _Interim
            return following
        fields = [(name, value.rstrip(" \t")) for name, value in fields]
        version = 11 if match[1] == "1" else 10
        options = tokens(",".join(value for name, value in fields if name.lower() == "connection"))
        self._keep_alive = "close" not in options and (version == 11 or "keep-alive" in options)
        self._choose_body(status, fields)
        return ResponseHead(status, match[3] or "", version, fields, self._keep_alive)

    def _next_head(self) -> ResponseHead | None:
        try:
            return super()._next_head()
        except _Interim:
            return None

    def _choose_body(self, status: int, fields: Fields) -> None:
        """RFC 9112 section 6.3, in its order."""
        if self._method == "HEAD" or status in (101, 204, 304) or (self._method == "CONNECT" and status < 300):
            self._wants_end = True
            return
        codings = [value.lower() for name, value in fields if name.lower() == "transfer-encoding"]
        lengths = {value for name, value in fields if name.lower() == "content-length"}
        if codings:
            if codings != ["chunked"] or lengths:
                raise RemoteProtocolError("the framing of the response is not valid")
            self._body = ChunkedBody(self._limits.header_bytes, self._limits.header_count)
        elif lengths:
            length = lengths.pop()
            if lengths or not _LENGTH.fullmatch(length):
                raise RemoteProtocolError("the Content-Length of the response is not valid")
            self._body = LengthBody(int(length)) if int(length) else None
            self._wants_end = self._body is None
        else:
            self._keep_alive = False
            self._body = UntilCloseBody()

    def _check_first_line(self, line: str) -> None:
        if not _STATUS_LINE.fullmatch(line):
            raise RemoteProtocolError("the status line is not valid")


class _Interim(Exception):
    """A 1xx response was read and the final one has not come."""


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
    for name, value in fields:
        check_field(name, value)
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


_is_target = re.compile(r"[!\"$-~]+").fullmatch

LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk (RFC 9112 section 7.1); empty data would end the body and gives nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def header_value(head: ResponseHead, name: str, default: str | None = None) -> str | None:
    """Return the first value of the field ``name`` (lower case) of a response head."""
    return find(head.fields, name, default)
