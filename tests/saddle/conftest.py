"""Every way to an app: in memory, natively over a socket, and as a WSGI app (checked by wsgiref) over a socket."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import gevent
import pytest

from skitai.hub.binding import bind
from skitai.hub.server import Server
from skitai.hub.site import Site
from skitai.net import logs
from skitai.net.logs import LogFile, Logs
from skitai.saddle import Saddle
from skitai.saddle.fake_exchange import FakeExchange
from skitai.saddle.testing import Answer, Client
from skitai.settings import Limits, ServerSettings
from skitai.wire.fields import Fields

PATIENCE = 10.0


class Written:
    """What was written to the app log, and to the others."""

    def __init__(self) -> None:
        self._app = io.BytesIO()
        self._others = io.BytesIO()
        self.logs = Logs(self._file(self._others), self._file(self._others), self._file(self._app))

    def _file(self, stream: io.BytesIO) -> LogFile:
        def write(data: bytes) -> None:
            stream.write(data)

        return LogFile(sink=write)

    @property
    def app(self) -> str:
        self.logs.flush()
        return self._app.getvalue().decode()


@pytest.fixture
def written() -> Iterator[Written]:
    """The logs of this test."""
    before = logs.current()
    written = Written()
    logs.use(written.logs)
    yield written
    logs.use(before)


class Fixed:
    """An app that is mounted."""

    def __init__(self, app: Any, name: str = "app") -> None:
        self.app = app
        self.name = name


class Running:
    """A server for apps given as {point: app}, or {(host, point): app}."""

    def __init__(self, mounts: dict[Any, Any], written: Written, **settings: Any) -> None:
        site = Site()
        for where, app in mounts.items():
            host, point = where if isinstance(where, tuple) else ("default", where)
            site.mount_app(point or "/", Fixed(app), host)
        limits = Limits(**settings.pop("limits", {}))
        self.server = Server(site, ServerSettings(workers=0, limits=limits, **settings), written.logs)
        (sock,) = bind("127.0.0.1", 0)
        self.port: int = sock.getsockname()[1]
        self.server.add_listener(sock)
        self.server.start()

    def request(self, method: str, target: str, fields: Fields, body: bytes | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in fields:
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            response.content = response.read()  # type: ignore[attr-defined]
            return response
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def stop(self) -> None:
        self.server.stop(PATIENCE / 2)


class SocketClient(Client):
    """The test client, over a real connection."""

    def __init__(self, app: Saddle, point: str, running: Running) -> None:
        super().__init__(app, point)
        self.running = running

    def _send(self, method: str, path: str, fields: Fields, body: bytes, is_tls: bool, patience: int | None) -> Answer:
        host = [] if any(name.lower() == "host" for name, _ in fields) else [("Host", "localhost")]
        cookies = self.cookies.header(path.partition("?")[0], is_tls)
        kept = [("Cookie", cookies)] if cookies else []
        if method in ("POST", "PUT", "PATCH") and not body:
            fields = [*fields, ("Content-Length", "0")]
        response = self.running.request(method, path, [*host, *kept, *fields], body or None)
        exchange = FakeExchange(method, path)
        exchange.status, exchange.reason = response.status, response.reason
        exchange.response_fields = list(response.getheaders())
        exchange.content = response.content  # type: ignore[attr-defined]
        for name, value in exchange.response_fields:
            if name.lower() == "set-cookie":
                self.cookies.take(value, exchange.raw_path)
        return Answer(exchange)


@pytest.fixture
def run(written: Written) -> Iterator[Callable[..., Running]]:
    """``run({point: app})`` starts a server."""
    running: list[Running] = []

    def start(mounts: dict[Any, Any], **settings: Any) -> Running:
        running.append(Running(mounts, written, **settings))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture(params=["memory", "native", "wsgi"])
def visit(request: pytest.FixtureRequest, run: Callable[..., Running]) -> Callable[..., Client]:
    """``visit(app, point)`` returns a client of an app; the test runs once for each way to get there."""

    def make(app: Saddle, point: str = "", **settings: Any) -> Client:
        if request.param == "memory":
            return app.test_client(point)
        if request.param == "native":
            return SocketClient(app, point, run({point: app}, **settings))
        return SocketClient(app, point, run({point: validator(app)}, **settings))

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Let other greenlets run until something that has no event is true."""

    def wait(condition: Callable[[], object]) -> None:
        with gevent.Timeout(PATIENCE, AssertionError("never came true")):
            while not condition():
                gevent.sleep(0.002)

    return wait


@pytest.fixture
def app() -> Saddle:
    """An empty app."""
    return Saddle(__name__)
