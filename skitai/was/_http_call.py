"""Making the call of an HTTP service: its body and its header lines, from what a caller gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from skitai.errors import LocalProtocolError
from skitai.was import _clusters, _settings
from skitai.was._bodies import StreamedBody
from skitai.was._http_result import HttpResult
from skitai.was._result import Result
from skitai.wire import clusters, encodings, formdata, urls
from skitai.wire.auth import Credentials, credentials, of_userinfo
from skitai.wire.codings import ACCEPTED
from skitai.wire.fields import field_line
from skitai.wire.masking import mask
from skitai.wire.target import is_valid_host

Body = bytes | StreamedBody
Headers = Iterable[tuple[str, Any]] | Mapping[str, Any] | None


class HttpService(NamedTuple):
    """What ``was.<name>`` sends.

    Attributes:
        content_type: of the body; ``None`` for a method whose data goes into the query.
    """

    name: str
    method: str
    content_type: str | None = None
    protocol: str = "http"
    result: type[Result] = HttpResult


#: Methods that may be sent again when it is not known whether the first one arrived (RFC 9110 section 9.2.2).
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class HttpCall(NamedTuple):
    """One call over HTTP; see :class:`skitai.was._call.Call`.

    Attributes:
        method: of HTTP.
        uri: a URL, or ``@alias/path``.
        body: of the request. lines: header lines of the request, without Host and those that differ per attempt.
        auth: credentials. verify: of TLS; ``None`` is as the alias or the process says.
        timeout: seconds the connection may be silent.
        http2: speak it without TLS as well (True), never (False), or as the alias or the process says.
    """

    protocol: str
    method: str
    uri: str
    is_map: bool
    body: Body
    lines: str
    auth: Credentials | None
    verify: bool | str | None
    timeout: float
    meta: dict[str, Any] | None
    use_cache: bool
    filter: Callable[[Any], object] | None
    callback: Any
    result: type[Result]
    name: str
    http2: bool | None = None

    @property
    def key(self) -> tuple[object, ...] | None:
        """See :class:`skitai.was._call.Call`: headers are part of it."""
        if not isinstance(self.body, bytes):
            return None
        return (
            self.result, self.is_map, self.protocol, self.method, self.uri, self.body, self.lines, self.auth,
            self.verify,
        )  # fmt: skip

    @property
    def can_repeat(self) -> bool:
        """Whether the request may be sent again after it went out without an answer."""
        return self.method in IDEMPOTENT and (isinstance(self.body, bytes) or self.body.can_repeat)

    def close(self) -> None:
        """Close the files of the body."""
        if not isinstance(self.body, bytes):
            self.body.close()

    def __repr__(self) -> str:
        # Not the fields: credentials may be among the headers too.
        return f"<HttpCall {self.name}{'.map' if self.is_map else ''} {mask(self.uri)}>"


class Options(NamedTuple):
    """What every service takes beside its own arguments; see ``docs/was.md``."""

    auth: Any = None
    headers: Headers = None
    meta: dict[str, Any] | None = None
    use_cache: bool = True
    filter: Any = None
    callback: Any = None
    timeout: float | None = None
    verify: bool | str | None = None
    http2: bool | None = None

    def __repr__(self) -> str:
        # Neither auth nor headers: this is what tracebacks with local variables show.
        return f"<Options timeout={self.timeout} verify={self.verify} http2={self.http2}>"


#: ``was.upload``; its content type has a boundary that is new for each call.
UPLOAD = "multipart/form-data"


def make_call(service: HttpService, uri: str, data: Any, options: Options, is_map: bool) -> HttpCall:
    """Return the call, complete but for what depends on the server that will get it.

    Raises:
        ValueError, TypeError, LocalProtocolError, ConfigurationError: it cannot be made.
    """
    if not isinstance(uri, str):
        raise TypeError(f"the URL is a str, not {type(uri).__name__}")
    if service.content_type is None:
        body: Body = b""
        content_type = ""
        if data is not None:
            uri = urls.add_query(uri, data)
    else:
        content_type = _given_content_type(options.headers) or service.content_type
        body, content_type = _encode(data, content_type)
        if is_map and not isinstance(body, bytes) and not body.can_repeat:
            body = body.read()
    auth = credentials(options.auth)
    if uri[:1] != "@":
        auth = auth or of_userinfo(urls.parse_url(uri).userinfo)
    else:
        _check_alias(uri)
    lines, has_authorization = _header_lines(options.headers, content_type, body, service.content_type is not None)
    timeout = options.timeout
    return HttpCall(
        service.protocol, service.method, uri, is_map, body, lines, None if has_authorization else auth, options.verify,
        _settings.current.idle_time if timeout is None else float(timeout), options.meta, options.use_cache,
        options.filter, options.callback, service.result, service.name, options.http2,
    )  # fmt: skip


def empty_call(service: HttpService, uri: object, options: Options, is_map: bool) -> HttpCall:
    """Return a call that says what was asked for, when it cannot be made."""
    return HttpCall(
        service.protocol, service.method, str(uri), is_map, b"", "", None, None, 0.0, options.meta, False,
        options.filter, options.callback, service.result, service.name,
    )  # fmt: skip


def _check_alias(uri: str) -> None:
    definition = _clusters.find(_clusters.split(uri)[0]).definition
    if definition.kind not in clusters.HTTP_KINDS:
        raise ValueError(f"@{definition.name} is of type {definition.kind}, which is not asked by HTTP")


# The body


def _encode(data: Any, content_type: str) -> tuple[Body, str]:
    """Return the body and its content type; no body has none."""
    if data is None:
        return b"", ""
    if content_type.startswith(UPLOAD):
        return _encode_upload(data, content_type)
    if isinstance(data, (bytes, str, bytearray, memoryview)):
        return encodings.encode(data, content_type), content_type
    if hasattr(data, "read"):
        return StreamedBody([data]), content_type
    if hasattr(data, "__next__"):
        return StreamedBody([data]), content_type
    return encodings.encode(data, content_type), content_type


def _encode_upload(data: Any, content_type: str) -> tuple[Body, str]:
    if isinstance(data, (bytes, bytearray)):
        given = content_type if "boundary" in content_type else formdata.content_type(formdata.boundary_of(bytes(data)))
        return bytes(data), given
    boundary = formdata.new_boundary()
    pieces = formdata.pieces(data, boundary)
    kind = formdata.content_type(boundary)
    return (pieces[0] if len(pieces) == 1 else StreamedBody(pieces)), kind


# The header section


def _given_content_type(headers: Headers) -> str | None:
    for name, value in _pairs(headers):
        if name.lower() == "content-type":
            return value
    return None


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    if not headers:
        return []
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, value.decode("latin-1") if isinstance(value, bytes) else str(value)) for name, value in items]


def _header_lines(headers: Headers, content_type: str, body: Body, has_body: bool) -> tuple[str, bool]:
    """Return the lines, and whether they hold an Authorization."""
    framing = _framing(content_type, body) if has_body else ""
    lines, has_authorization, given = _given_lines(headers)
    return lines + _default_lines(_settings.current.user_agent, given) + framing, has_authorization


def header_lines(headers: Headers) -> tuple[str, bool]:
    """Return the lines of the handshake of a WebSocket, and whether they hold an Authorization.

    Raises:
        LocalProtocolError: a field is not valid.
    """
    lines, has_authorization, given = _given_lines(headers)
    agent = "" if "user-agent" in given else field_line("User-Agent", _settings.current.user_agent)
    return lines + agent, has_authorization


_NONE: frozenset[str] = frozenset()


def _given_lines(headers: Headers) -> tuple[str, bool, frozenset[str]]:
    """Return the lines that a caller gave, whether they hold an Authorization, and which of our own they replace."""
    if not headers:
        return "", False, _NONE
    lines = ""
    given = set()
    for name, value in _pairs(headers):
        line = field_line(name, value)
        key = name.lower()
        if key == "transfer-encoding":
            raise LocalProtocolError("Transfer-Encoding is chosen by the client, not by a header")
        if key in ("content-length", "content-type"):
            continue  # of the body, whatever was said
        if key == "host":
            if key in given or not is_valid_host(value.strip(" \t")):
                raise LocalProtocolError("the value of the Host field is not a host, or it is given twice")
            lines = field_line("Host", value) + lines
        else:
            lines += line
        given.add(key)
    return lines, "authorization" in given, frozenset(given & {"accept", "accept-encoding", "user-agent"})


@lru_cache(maxsize=64)
def _default_lines(user_agent: str, given: frozenset[str]) -> str:
    fields = [("Accept", "*/*"), ("Accept-Encoding", ACCEPTED), ("User-Agent", user_agent)]
    return "".join([field_line(name, value) for name, value in fields if name.lower() not in given])


def _framing(content_type: str, body: Body) -> str:
    lines = ""
    if content_type:
        lines = field_line("Content-Type", content_type)
    length = len(body) if isinstance(body, bytes) else body.length
    if length is None:
        return lines + field_line("Transfer-Encoding", "chunked")
    return lines + field_line("Content-Length", str(length))
