"""``app.test_client()``: requests to an app without sockets, with the cookies that it sets.

with app.test_client() as client:
    answer = client.post("/login", data={"user": "hans"})
    assert answer.status == 302
    assert client.get("/").text == "Hello, hans"
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from skitai.errors import ClientDisconnected
from skitai.saddle.cookie_jar import CookieJar
from skitai.saddle.fake_exchange import FakeExchange
from skitai.saddle.headers import Headers
from skitai.was._context import preserved
from skitai.wire import formdata
from skitai.wire.fields import Fields, check_field
from skitai.wire.response import reason_phrase

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle

_MOST_REDIRECTS = 10

Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]


class Answer:
    """A response.

    Args:
        exchange: that has ended.

    Attributes:
        status: the number. content: the body. fields: of the header, in order. exchange: with the request.
        history: the answers that redirected here.
    """

    def __init__(self, exchange: FakeExchange, history: tuple[Answer, ...] = ()) -> None:
        self.exchange = exchange
        self.status = exchange.status
        self.reason = reason_phrase(self.status) if exchange.reason is None else exchange.reason
        self.fields = exchange.response_fields
        self.content = exchange.content
        self.history = history

    @property
    def headers(self) -> Headers:
        """The header fields by name."""
        return Headers(self.fields)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.content.decode("utf-8")

    def json(self) -> Any:
        """Return the body, a JSON document. Raises ValueError when it is none."""
        return json.loads(self.content)

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.reason} {len(self.content)} bytes>"


class Client:
    """A client of one app.

    Args:
        app: it begins with the first request. point: where it is to think it is mounted.

    Attributes:
        cookies: that it keeps.
    """

    def __init__(self, app: Saddle, point: str = "") -> None:
        self.app = app
        self.point = point.rstrip("/")
        self.cookies = CookieJar()

    def request(
        self,
        method: str,
        path: str,
        data: Pairs | bytes | str | None = None,
        *,
        json: Any = None,
        files: Pairs | None = None,
        headers: Mapping[str, str] | Fields | None = None,
        auth: tuple[str, str] | None = None,
        is_tls: bool = False,
        follow: bool = False,
        patience: int | None = None,
    ) -> Answer:
        """Make a request and return its answer.

        Args:
            path: with the mount point and the query, percent-encoded, as a browser would send it.
            data: a form as a mapping or pairs; bytes and str are sent as they are.
            json: an object to send as JSON. files: open files for an upload, together with ``data``.
            headers: further fields. auth: (user, password) for Basic. is_tls: whether it comes by TLS.
            follow: go where redirections lead. patience: bytes after which the client goes away.

        Raises:
            LocalProtocolError: the response has a header field that no server would send.
        """
        fields = list(headers.items() if isinstance(headers, Mapping) else headers or [])
        body, content_type = _encode(data, json, files)
        if content_type and not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("Content-Type", content_type))
        if body:
            fields.append(("Content-Length", str(len(body))))
        if auth is not None:
            fields.append(("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode()))
        answer = self._send(method, path, fields, body, is_tls, patience)
        return self._follow(answer, is_tls) if follow else answer

    def get(self, path: str, **options: Any) -> Answer:
        """Make a GET request: see :meth:`request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, data: Pairs | bytes | str | None = None, **options: Any) -> Answer:
        """Make a POST request: see :meth:`request`."""
        return self.request("POST", path, data, **options)

    def put(self, path: str, data: Pairs | bytes | str | None = None, **options: Any) -> Answer:
        """Make a PUT request: see :meth:`request`."""
        return self.request("PUT", path, data, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """Make a DELETE request: see :meth:`request`."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> Answer:
        """Make a HEAD request: see :meth:`request`."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> Answer:
        """Make an OPTIONS request: see :meth:`request`."""
        return self.request("OPTIONS", path, **options)

    # What a browser does besides

    def _send(self, method: str, path: str, fields: Fields, body: bytes, is_tls: bool, patience: int | None) -> Answer:
        self.app.begin(self.point)
        host = [] if any(name.lower() == "host" for name, _ in fields) else [("Host", "localhost")]
        cookies = self.cookies.header(urlsplit(path).path, is_tls)
        has_cookie = any(name.lower() == "cookie" for name, _ in fields)
        kept = [("Cookie", check_field("Cookie", cookies))] if cookies and not has_cookie else []
        exchange = FakeExchange(method, path, [*host, *kept, *fields], body, is_tls, patience)
        with preserved():
            serve(self.app, exchange, self.point)
        for name, value in exchange.response_fields:
            if name.lower() == "set-cookie":
                self.cookies.take(value, exchange.raw_path)
        return Answer(exchange)

    def _follow(self, answer: Answer, is_tls: bool) -> Answer:
        history: tuple[Answer, ...] = ()
        while answer.status in (301, 302, 303, 307, 308) and len(history) < _MOST_REDIRECTS:
            history += (answer,)
            request = answer.exchange
            target = urlsplit(urljoin(request.target, answer.headers["Location"]))
            path = target.path + ("?" + target.query if target.query else "")
            # All but 307 and 308 turn into a GET, as browsers do it (RFC 9110 section 15.4).
            keeps = answer.status in (307, 308) or request.method in ("GET", "HEAD")
            answer = self._send(request.method if keeps else "GET", path, [], b"", is_tls, None)
        answer.history = history
        return answer

    def __enter__(self) -> Client:
        self.app.begin(self.point)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.app.end()

    def __repr__(self) -> str:
        return f"<Client of {self.app!r}>"


def serve(app: Saddle, exchange: FakeExchange, point: str = "") -> None:
    """Let an app answer an exchange, as the server does."""
    try:
        status, reason, fields, body = app.handle(exchange, point)
        if isinstance(body, bytes):
            exchange.respond(status, fields, body, reason)
        else:
            body.send(exchange, status, fields, reason)
    except ClientDisconnected:
        exchange.abort()


def _encode(data: Pairs | bytes | str | None, document: Any, files: Pairs | None) -> tuple[bytes, str]:
    """Return the body of a request and its content type."""
    if document is not None:
        return json.dumps(document).encode(), "application/json"
    if files is not None:
        boundary = formdata.new_boundary()
        fields = [*_pairs(data), *_pairs(files)]
        parts = [part if isinstance(part, bytes) else part.read() for part in formdata.pieces(fields, boundary)]
        return b"".join(parts), f"multipart/form-data; boundary={boundary}"
    if isinstance(data, (bytes, str)):
        return (data.encode() if isinstance(data, str) else data), ""
    if data is None:
        return b"", ""
    return urlencode(_pairs(data), doseq=True).encode(), "application/x-www-form-urlencoded"


def _pairs(data: Pairs | bytes | str | None) -> list[tuple[str, Any]]:
    if data is None or isinstance(data, (bytes, str)):
        return []
    return list(data.items() if isinstance(data, Mapping) else data)
