"""Saddle behind any WSGI server: an exchange made of an environ, and a reply given to ``start_response``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from skitai.errors import RemoteProtocolError, RequestBodyFailed
from skitai.saddle.replies import HTML, Reply
from skitai.saddle.response import WITHOUT_BODY
from skitai.saddle.streams import Stream
from skitai.wire.fields import Fields
from skitai.wire.mounts import covers
from skitai.wire.response import reason_phrase
from skitai.wire.txn import Transaction

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle

#: What stays as it is when a decoded path is encoded again; a "+" may have been either.
_SAFE = "/~!$&'()*+,;=:@"
_numbers = iter(range(1, 1 << 62))


def path_below(exchange: Any, point: str) -> str:
    """Return the path of a request below a mount point, still percent-encoded, with its leading slash."""
    raw: str = exchange.raw_path
    if covers(point, raw):
        return raw[len(point) :] or "/"
    # The point, or the slash behind it, came with percent-encoding: their length in the raw path is not known.
    return quote(exchange.path[len(point) :].encode("latin-1"), safe=_SAFE) or "/"


class WsgiExchange:
    """A request of a WSGI server, with the names that those of our own server have.

    Args:
        environ: see PEP 3333.
    """

    refusal: RemoteProtocolError | None = None

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.query: str = environ.get("QUERY_STRING", "")
        self.path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.raw_path = self._find_raw_path()
        self.body = self._find_body()

    def _find_raw_path(self) -> str:
        """Return the path with its percent-encoding; of a foreign server we know only what it decoded."""
        outer = getattr(self.environ.get("skitai.was"), "exchange", None)
        if outer is not None and outer.path == self.path:
            return str(outer.raw_path)
        path = self.path
        return path if path.isascii() and "%" not in path else quote(path.encode("latin-1"), safe=_SAFE)

    def _find_body(self) -> Any:
        environ = self.environ
        stream = environ.get("wsgi.input")
        length = environ.get("CONTENT_LENGTH") or ""
        if stream is None or length == "0":
            return None
        if length.isdigit():
            return _Limited(stream, int(length))
        # Without a length only a server that ends the stream itself may be read from.
        outer = getattr(environ.get("skitai.was"), "exchange", None)
        if outer is not None:
            return stream if outer.body is not None else None
        is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        return stream if is_chunked and environ.get("wsgi.input_terminated") else None

    @property
    def target(self) -> str:
        """Path and query as sent, as far as the server tells."""
        raw: str | None = self.environ.get("RAW_URI") or self.environ.get("REQUEST_URI")
        if raw is None:
            raw = quote(self.path.encode("latin-1"), safe=_SAFE)
            raw = f"{raw}?{self.query}" if self.query else raw
        return raw

    @property
    def version(self) -> str:
        """Of HTTP."""
        return str(self.environ.get("SERVER_PROTOCOL", "HTTP/1.1")).removeprefix("HTTP/")

    @property
    def scheme(self) -> str:
        """``"http"`` or ``"https"``."""
        return str(self.environ["wsgi.url_scheme"])

    def hint_promise(self, uri: str) -> None:
        """Promise by our own server; others have no way to say it."""
        outer = getattr(self.environ.get("skitai.was"), "exchange", None)
        if outer is not None:
            outer.hint_promise(uri)

    @property
    def peer(self) -> tuple[str, int]:
        """(address, port) of the client."""
        port = str(self.environ.get("REMOTE_PORT", ""))
        return self.environ.get("REMOTE_ADDR", ""), int(port) if port.isdigit() else 0

    @property
    def server_address(self) -> tuple[str, int]:
        """(address, port) of the server."""
        return self.environ["SERVER_NAME"], int(self.environ["SERVER_PORT"])

    @property
    def fields(self) -> Fields:
        """The header fields, as far as CGI names tell."""
        found = [
            (key[5:].replace("_", "-").title(), value)
            for key, value in self.environ.items()
            if key.startswith("HTTP_") and isinstance(value, str)
        ]
        for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if self.environ.get(key):
                found.append((key.replace("_", "-").title(), self.environ[key]))
        return found

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return the value of a field; name in any case."""
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            return self.environ.get(key) or default
        value: str | None = self.environ.get("HTTP_" + key, default)
        return value

    @property
    def transaction(self) -> Transaction:
        """The transaction ids: those of our own server when it is below, else new ones, made on first use."""
        found: Transaction | None = self.__dict__.get("_transaction")
        if found is None:
            outer = getattr(self.environ.get("skitai.was"), "exchange", None)
            if outer is not None:
                found = outer.transaction
            else:
                get = self.environ.get
                found = Transaction.receive(get("HTTP_X_GTXN_ID"), get("HTTP_X_LTXN_ID"), 0, next(_numbers))
            self._transaction = found
        return found


class _Limited(io.RawIOBase):
    """The body of a request whose server does not end ``wsgi.input`` itself."""

    def __init__(self, stream: Any, length: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes.

        Raises:
            RequestBodyFailed: the body ended before its Content-Length.
        """
        size = self._left if size is None or size < 0 else min(size, self._left)
        data: bytes = self._stream.read(size) if size else b""
        if size and not data:
            raise RequestBodyFailed("the request body ended early")
        self._left -= len(data)
        return data

    def readable(self) -> bool:
        """See :class:`io.RawIOBase`."""
        return True


def serve(app: Saddle, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request of a WSGI server."""
    point = environ.get("SCRIPT_NAME", "").rstrip("/")
    if not app.has_begun:
        app.begin(point)  # a foreign server does not tell its apps
    is_head = environ["REQUEST_METHOD"] == "HEAD"
    status, reason, fields, body = app.handle(WsgiExchange(environ), point)
    if isinstance(body, Stream) and not is_head:
        status, reason, fields, body = _begun(body) or (status, reason, fields, body)
    line = _status_line(status) if reason is None else f"{status} {reason}"
    # A server may change the list, and the one of a reply may be shared by many responses.
    if fields is HTML and isinstance(body, bytes):
        start_response(line, [*HTML, ("Content-Length", str(len(body)))])
    elif isinstance(body, bytes) and status not in WITHOUT_BODY:
        start_response(line, _with_length(fields, len(body)))
    else:
        start_response(line, list(fields))
    if isinstance(body, bytes):
        return [b"" if is_head else body]
    return body


def _begun(body: Stream) -> Reply | None:
    """Begin a stream; return the response in its place when that fails. Then it is closed."""
    failed: Reply | None = None
    has_begun = False
    try:
        failed = body.begin()
        has_begun = failed is None
    finally:
        if not has_begun:
            body.close()
    return failed


def _with_length(fields: Fields, length: int) -> Fields:
    names = {name.lower() for name, _ in fields}
    added = [] if "content-length" in names else [("Content-Length", str(length))]
    if "content-type" not in names:
        added.append(HTML[0])  # wsgiref.validate wants one, also for no bytes
    return fields + added


@cache
def _status_line(status: int) -> str:
    return f"{status} {reason_phrase(status)}"
