"""WSGI (PEP 3333): calls an app for an exchange."""

from __future__ import annotations

import io
import os
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from greenlet import GreenletExit

from skitai.constants import NAME, __version__
from skitai.errors import ClientDisconnected, LocalProtocolError
from skitai.hub.exchange import Exchange
from skitai.hub.pages import HTML, error_page
from skitai.hub.slots import Slots
from skitai.was._context import Context, activate
from skitai.wire.fields import Fields, tokens
from skitai.wire.response import reason_phrase

if TYPE_CHECKING:
    from skitai.hub.connection import Connection
    from skitai.hub.listener import Listener
    from skitai.hub.server import Server
    from skitai.hub.websocket_designs import Conversation

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Methods whose request must say how long its body is (RFC 9110 section 15.5.12).
_NEED_LENGTH = frozenset({"POST", "PUT", "PATCH"})
_ALLOW = [("Allow", ", ".join(sorted(METHODS)))]


class AppRef(Protocol):
    """An app that is mounted. :attr:`app` may change when the app is reloaded."""

    name: str

    @property
    def app(self) -> Any:
        """The current WSGI callable."""


class FileWrapper:
    """``wsgi.file_wrapper``: an iterable over a file that the server may send by sendfile(2) instead.

    Args:
        filelike: with ``read(size)``; its ``close()`` is called in the end if it has one.
        block_size: bytes read at a time when it is iterated.
    """

    def __init__(self, filelike: BinaryIO, block_size: int = 64 * 1024) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        data = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        return data

    def rest(self) -> tuple[int, int] | None:
        """Return (offset, bytes left) when this is a regular file on disk, else ``None``."""
        file = _plain_file(self.filelike)
        if file is None:
            return None
        try:
            number = file.fileno()
            offset = file.tell()
        except (OSError, ValueError):
            return None
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            return None
        return offset, max(0, status.st_size - offset)


def _plain_file(file: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """Return the file whose bytes on disk are those that reading gives, else ``None``.

    A ``fileno()`` alone says nothing: those of gzip, bz2 and lzma files lead to the compressed bytes.
    """
    if isinstance(file, tempfile._TemporaryFileWrapper):
        file = file.file
    if type(file) is io.FileIO:
        return file
    if type(file) in (io.BufferedReader, io.BufferedRandom) and type(file.raw) is io.FileIO:
        return file  # type: ignore[no-any-return]
    return None


#: Characters of a line that ``wsgi.errors`` holds back until it ends: an app may never end one.
_LONGEST_LINE = 8192


class ErrorStream(io.TextIOBase):
    """``wsgi.errors``: lines go to the app log."""

    def __init__(self, log: Callable[[str, str], object]) -> None:
        super().__init__()
        self._log = log
        self._line = ""

    def writable(self) -> bool:
        """See :class:`io.TextIOBase`."""
        return True

    def write(self, text: str, /) -> int:
        """Log every complete line of ``text``."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log(line, "error")
        if len(self._line) > _LONGEST_LINE:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Log a line that has not ended."""
        if self._line:
            line, self._line = self._line, ""
            self._log(line, "error")


class WsgiHandler:
    """Serves the exchanges of one mounted app.

    Args:
        server: whose slots run the app. point: mount point, ``""`` for the root. app_ref: the app.

    Attributes:
        number: of this handler in the server, the same in every worker.
    """

    def __init__(self, server: Server, point: str, app_ref: AppRef) -> None:
        self._server = self.server = server
        self._slots: Slots = server.slots
        self._ref = app_ref
        server.handlers = self.number = server.handlers + 1
        self.point = point
        self._errors = ErrorStream(server.logs.app.log)
        self._templates: dict[Listener, dict[str, Any]] = {}
        settings = server.settings
        self._template: dict[str, Any] = {
            "SCRIPT_NAME": point,
            "CONTENT_TYPE": "",
            "CONTENT_LENGTH": "",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_SOFTWARE": NAME,
            "wsgi.version": (1, 0),
            "wsgi.errors": self._errors,
            "wsgi.multithread": settings.threads > 0,
            "wsgi.multiprocess": settings.workers > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "skitai.version": __version__,
            "skitai.process": server.worker_index,
            "skitai.thread": settings.threads,
        }

    @property
    def most_body_bytes(self) -> tuple[int, int]:
        """(bytes of a body, bytes of a multipart body) that the app takes, from its ``config`` when it says so."""
        config = getattr(self._ref.app, "config", None)
        limits = self._server.limits
        if config is None:
            return limits.body_bytes, limits.multipart_bytes
        own = _setting(config, "MAX_CONTENT_LENGTH")  # Flask's name for one bound of both
        return (
            _bound(_setting(config, "max_post_body_size"), own, limits.body_bytes),
            _bound(_setting(config, "max_multipart_body_size"), own, limits.multipart_bytes),
        )

    def end(self) -> None:
        """No further request will come; a plain WSGI app has no way to be told."""

    def accept(self, exchange: Exchange) -> None:
        """Take an exchange; called in the hub."""
        if exchange.method != "GET" and not self._is_acceptable(exchange):
            return
        slots = self._slots
        if slots.free:  # what submit() does, without its call: these steps are for every request
            slots.free -= 1
            slots.run(self.serve, exchange)
        elif not slots.submit(self.serve, exchange):
            self._server.answer_soon(exchange, 503, "All workers are busy.", [("Retry-After", "1")])

    def _is_acceptable(self, exchange: Exchange) -> bool:
        """Tell whether an app may get a request; else it has its answer."""
        method = exchange.method
        head = exchange.head
        if method not in METHODS:
            self._server.answer_soon(exchange, 405, extra=_ALLOW)
            return False
        if method in _NEED_LENGTH and head.length is None and not head.chunked and head.version == 11:
            self._server.answer_soon(exchange, 411, "Send Content-Length, or the body in chunks.")
            return False
        return True

    # WebSockets

    #: Whether the app itself looks at Origin.
    checks_origin = False

    @property
    def app(self) -> Any:
        """The current app."""
        return self._ref.app

    def accept_upgrade(self, exchange: Exchange) -> bool:
        """Take an exchange that asks for a WebSocket; False when it asks for something else. Called in the hub."""
        if "websocket" not in tokens(exchange.head.upgrade or ""):
            return False
        if not self._slots.submit(self.open_websocket, exchange):
            self._server.answer_soon(exchange, 503, "All workers are busy.", [("Retry-After", "1")])
        return True

    def open_websocket(self, exchange: Exchange) -> None:
        """Ask the app, and answer; runs on a worker greenlet, in a slot."""
        from skitai.hub.websocket_opening import open_websocket

        open_websocket(self, exchange)

    def converse(self, exchange: Exchange, environ: dict[str, Any]) -> Conversation:
        """Return the app's side of a WebSocket."""
        from skitai.hub.websocket_wsgi import WsgiConversation

        return WsgiConversation(self._ref.app, exchange, environ)

    def environ_of(self, exchange: Exchange) -> dict[str, Any]:
        """Return the environ of an exchange, without what concerns this hop alone.

        Werkzeug routes a request that asks for a WebSocket to none of the rules that all others have.
        """
        environ = self._environ(exchange)
        environ.pop("HTTP_UPGRADE", None)
        environ.pop("HTTP_CONNECTION", None)
        return environ

    # Calls

    def serve(self, exchange: Exchange) -> None:
        """Call the app and send what it returns; runs on a worker greenlet, in a slot."""
        response = _Response(exchange)
        app = None
        result: Any = None
        try:
            try:
                app = self._ref.app
                result = app(self._environ(exchange), response.start)
            finally:
                self._slots.release()
            response.send(result)
        except ClientDisconnected:
            exchange.abort()
        except BaseException as error:  # sys.exit() in a view must not leave its client waiting
            self._broke_off(exchange, app, error)
        finally:
            if result.__class__ is not list:
                self._close(exchange, result)

    def _broke_off(self, exchange: Exchange, app: Any, error: BaseException) -> None:
        """A call of the app ended with an exception: answer, and pass on only what ends the greenlet itself."""
        if error is exchange.refusal:
            self._refuse(exchange, error)
        else:
            self._failed(exchange, app)
        if isinstance(error, GreenletExit):
            raise error

    def _environ(self, exchange: Exchange) -> dict[str, Any]:
        head = exchange.head
        connection = exchange.connection
        template = self._templates.get(connection.listener) or self._template_for(connection)
        path = exchange.path
        was = Context(exchange)
        activate(was)
        # Copying a template in which every key is there already and setting the values is nearly twice as fast as
        # merging dicts: the table never grows.
        environ = template.copy()
        environ.update(head.environ)
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = path[len(self.point) :] if self.point else path
        environ["QUERY_STRING"] = exchange.query
        environ["RAW_URI"] = head.target
        environ["REMOTE_ADDR"] = environ["REMOTE_SERVER"] = connection.peer[0]
        environ["REMOTE_PORT"] = str(connection.peer[1])
        environ["CHANNEL_CREATED"] = connection.created
        environ["wsgi.input"] = exchange.body or io.BytesIO()
        environ["skitai.was"] = was
        if head.version != 11:
            environ["SERVER_PROTOCOL"] = f"HTTP/{exchange.version}"
        if "HTTP_CONNECTION" in environ:
            environ["CONNECTION_TYPE"] = environ["HTTP_CONNECTION"]
        return environ

    def _template_for(self, connection: Connection) -> dict[str, Any]:
        """Make the environ of all requests that come in by one listener, once.

        Where clients are asked for certificates it is one connection's, and never kept: it says who the client is. No
        field of a request can say so, because all of their names begin with ``HTTP_``.
        """
        listener = connection.listener
        template = self._listener_template(listener)
        if listener.asks_clients:
            template.update(connection.transport.client_certificate)
        else:
            self._templates[listener] = template
        return template

    def _listener_template(self, listener: Listener) -> dict[str, Any]:
        return {
            **self._template,
            "REQUEST_METHOD": "",
            "PATH_INFO": "",
            "QUERY_STRING": "",
            "RAW_URI": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": listener.address[0],
            "SERVER_PORT": str(listener.address[1]),
            "REMOTE_ADDR": "",
            "REMOTE_PORT": "",
            "REMOTE_SERVER": "",
            "CONNECTION_TYPE": "",
            "CHANNEL_CREATED": "",
            "wsgi.url_scheme": listener.scheme,
            "wsgi.input": None,
            "skitai.was": None,
        }

    def _failed(self, exchange: Exchange, app: Any) -> None:
        """An app raised: log it, and answer 500 when that is still possible."""
        self._server.logs.app.traceback(tag=str(exchange.transaction))
        if exchange.is_started:
            exchange.abort()
            return
        trace = traceback.format_exc() if getattr(app, "debug", False) else ""
        detail = f"The error was logged under {exchange.transaction}."
        try:
            exchange.respond(500, HTML, error_page(500, detail, trace))
        except ClientDisconnected:
            exchange.abort()

    def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        """The client broke the rules while the app read the body: that is no fault of the app."""
        if exchange.is_started:
            exchange.abort()
            return
        self._server.note_refusal(exchange.peer, error)
        try:
            exchange.respond(500, HTML, error_page(exchange.refusal.status if exchange.refusal else 400, str(error)))
        except ClientDisconnected:
            exchange.abort()

    def _close(self, exchange: Exchange, result: Any) -> None:
        close = getattr(result, "close", None)
        if close is None:
            return
        try:
            close()
        except GreenletExit:
            raise
        except BaseException:  # sys.exit() here must not end the server either
            self._server.logs.app.traceback(tag=str(exchange.transaction))


def _setting(config: Any, name: str) -> Any:
    """Return a setting of an app, given as ``config.name`` or ``config["name"]``: Flask's config takes both."""
    value = getattr(config, name, None)
    if value is None and isinstance(config, Mapping):
        value = config.get(name)
    return value


def _bound(first: Any, second: Any, default: int) -> int:
    for each in (first, second):
        if isinstance(each, int) and each > 0:
            return each
    return default


_statuses: dict[str, tuple[int, str | None]] = {}
_MOST_STATUSES = 256


def _split_status(status: str) -> tuple[int, str | None]:
    try:
        return _statuses[status]
    except (KeyError, TypeError):
        pass
    if not isinstance(status, str):
        raise LocalProtocolError(f"a WSGI status is a str like '200 OK', not {status!r}")
    number, _, reason = status.partition(" ")
    # An interim status would make the client take the next response on the connection for the rest of this one.
    if len(number) != 3 or not (number.isascii() and number.isdigit()) or number[0] in "01":
        raise LocalProtocolError(f"a WSGI status is a str like '200 OK', not {status!r}")
    parsed = int(number), None if reason == reason_phrase(int(number)) else reason
    if len(_statuses) < _MOST_STATUSES:
        _statuses[status] = parsed
    return parsed


class _Response:
    """``start_response()`` and what follows from it for one call of an app."""

    __slots__ = ("_exchange", "_fields", "_has_begun", "_reason", "_status")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._status = 0
        self._reason: str | None = None
        self._fields: Fields = []
        self._has_begun = False

    def start(self, status: str, headers: Fields, exc_info: ExcInfo | None = None) -> Callable[[bytes], None]:
        """``start_response``; returns ``write``. See PEP 3333."""
        if exc_info is not None:
            try:
                if self._has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise LocalProtocolError("start_response() was called twice without exc_info")
        self._status, self._reason = _split_status(status)
        self._fields = headers
        return self.write

    def write(self, data: bytes) -> None:
        """The ``write`` callable of PEP 3333."""
        self._begin(None)
        self._exchange.write(_bytes(data))

    def send(self, result: Any) -> None:
        """Send what the app returned."""
        if result.__class__ is list or result.__class__ is tuple:
            if len(result) == 1 and not self._has_begun and self._status:
                self._exchange.respond(self._status, self._fields, _bytes(result[0]), self._reason)
                return
        elif result is None:
            raise LocalProtocolError("an app returned None: a body is an iterable of bytes")
        elif isinstance(result, (bytes, str)):
            result = (result,)
        elif isinstance(result, FileWrapper) and (rest := result.rest()) is not None:
            self._send_file(result, *rest)
            return
        self._send_parts(result)

    def _send_parts(self, result: Iterable[Any]) -> None:
        length = None
        if isinstance(result, (list, tuple)):
            result = [_bytes(each) for each in result]
            length = sum(map(len, result))
        parts = iter(result)
        if not self._has_begun and self._status:
            first = next(parts, None)
            if first and self._is_whole(_bytes(first), length):
                for _ in parts:  # nothing is sent any more; what an app does after its last yield is still done
                    pass
                return
        for part in parts:
            if part:
                self._begin(length)
                self._exchange.write(_bytes(part))
        # Nothing was written: a response to HEAD need not say how long that of GET would be.
        self._begin(None if self._exchange.method == "HEAD" else 0)
        self._exchange.finish()

    def _is_whole(self, first: bytes, length: int | None) -> bool:
        """Begin with the first part; most bodies that are no list have only that, and its length in Content-Length."""
        self._has_begun = True
        return self._exchange.start_with(self._status, self._fields, first, self._reason, length)

    def _send_file(self, wrapper: FileWrapper, offset: int, count: int) -> None:
        self._begin(count)
        self._exchange.send_file(wrapper.filelike, offset, count)
        self._exchange.finish()

    def _begin(self, length: int | None) -> None:
        if self._has_begun:
            return
        if not self._status:
            raise LocalProtocolError("an app returned a body before it called start_response()")
        self._exchange.start(self._status, self._fields, self._reason, length)
        self._has_begun = True


def _bytes(data: Any) -> bytes:
    """The documents return ``['Hello World']``, so a str is taken as UTF-8 although PEP 3333 wants bytes."""
    if data.__class__ is bytes:
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise LocalProtocolError(f"a part of a body is bytes, not {type(data).__name__}")
