"""A server on a port of the system's choosing, and clients that say exactly the bytes that a test wants said."""

from __future__ import annotations

import io
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest

from skitai.hub.binding import bind
from skitai.hub.server import Server
from skitai.hub.site import Site
from skitai.net.logs import LogFile, Logs
from skitai.settings import Limits, ServerSettings

#: No wait of a test takes longer; reaching it is a failure.
PATIENCE = 10.0


@dataclass
class Response:
    """What a client read."""

    version: str
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        values = [value for each, value in self.fields if each.lower() == name.lower()]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None


class Client:
    """A connection to a server, byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)
        self._buffer = b""

    def send(self, data: bytes | str) -> Client:
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def request(self, method: str = "GET", target: str = "/", body: bytes = b"", **fields: str) -> Response:
        """One request with a Host, a Content-Length when there is a body, and ``Name_Of_Field="value"``."""
        fields.setdefault("Host", "test")
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.read(method)

    def half_close(self) -> Client:
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Close with a TCP reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # Reading

    def read(self, method: str = "GET") -> Response:
        """Read one response; interim ones count as responses."""
        response = self.read_head()
        length = response.get("Content-Length")
        coding = response.get("Transfer-Encoding")
        assert length is None or coding is None, "two framings"
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            pass
        elif coding is not None:
            assert coding == "chunked"
            self._read_chunks(response)
        elif length is not None:
            response.body = self.read_exactly(int(length))
        else:
            response.body = self.read_rest()
        return response

    def read_head(self) -> Response:
        text = self._read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = text.split("\r\n")
        assert "\n" not in first and all("\n" not in line and "\r" not in line for line in lines), text
        version, status, reason = first.split(" ", 2)
        return Response(version, int(status), reason, [tuple(line.split(": ", 1)) for line in lines])  # type: ignore[misc]

    def _read_chunks(self, response: Response) -> None:
        while True:
            size = int(self._read_until(b"\r\n"), 16)
            data = self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
            if not size:
                return
            response.chunks.append(data)
            response.body += data

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._more(f"before {end!r}")
        found, _, self._buffer = self._buffer.partition(end)
        return found

    def read_exactly(self, count: int) -> bytes:
        parts = [self._buffer]
        have = len(self._buffer)
        while have < count:
            data = self.sock.recv(65536)
            assert data, f"the connection ended {count - have} bytes too early"
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[count:]
        return whole[:count]

    def read_rest(self) -> bytes:
        """Everything until the server ends the connection in peace; a reset raises ConnectionResetError."""
        parts, self._buffer = [self._buffer], b""
        while data := self.sock.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def expect_end(self) -> None:
        """The server says nothing more and closes in peace."""
        assert self.read_rest() == b""

    def _more(self, what: str) -> None:
        data = self.sock.recv(65536)
        assert data, f"the connection ended {what}: {self._buffer!r}"
        self._buffer += data


class Fixed:
    """An app that is mounted."""

    def __init__(self, app: Any, name: str = "app") -> None:
        self.app = app
        self.name = name


class Running:
    """A server that runs, and its logs."""

    def __init__(self, site: Site, settings: ServerSettings, tls: ssl.SSLContext | None, host: str) -> None:
        self.requests = io.BytesIO()
        self.messages = io.BytesIO()
        self.apps = io.BytesIO()

        def to(stream: io.BytesIO) -> LogFile:
            return LogFile(sink=lambda data: void(stream.write(data)))

        self.logs = Logs(to(self.messages), to(self.requests), to(self.apps))
        self.server = Server(site, settings, self.logs)
        sock = bind(host, 0)[0]
        self.host = host
        self.port: int = sock.getsockname()[1]
        self.server.add_listener(sock, tls)
        self.server.start()
        self._clients: list[Client] = []

    def connect(self, **options: Any) -> Client:
        """A plain TCP client; ``receive_buffer`` bytes of its socket."""
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        sock.settimeout(PATIENCE)
        if "receive_buffer" in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive_buffer"])
        try:
            sock.connect((self.host, self.port))
        except OSError:
            sock.close()
            raise
        client = Client(sock)
        self._clients.append(client)
        return client

    def connect_tls(self, context: ssl.SSLContext, name: str = "localhost") -> Client:
        sock = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        client = Client(context.wrap_socket(sock, server_hostname=name))
        self._clients.append(client)
        return client

    def get(self, target: str = "/", **fields: str) -> Response:
        """One request on a connection of its own."""
        client = self.connect()
        try:
            return client.request("GET", target, **fields)
        finally:
            client.close()

    def request_lines(self) -> list[str]:
        self.logs.flush()
        return self.requests.getvalue().decode().splitlines()

    def messages_text(self) -> str:
        self.logs.flush()
        return self.messages.getvalue().decode()

    def app_text(self) -> str:
        self.logs.flush()
        return self.apps.getvalue().decode()

    def end(self) -> None:
        for client in self._clients:
            client.close()
        self.server.stop(PATIENCE / 2)
        assert self.server.connections == 0
        until(lambda: self.server.slots.busy == 0, "all slots are free")
        assert self.server.slots.waiting == 0
        self.logs.close()


def void(result: object) -> None:
    """For callbacks that must return nothing."""


def until(condition: Callable[[], object], what: str = "") -> None:
    """Let the other greenlets run until something that has no event is true."""
    with gevent.Timeout(PATIENCE, AssertionError(f"never came true: {what or condition}")):
        while not condition():
            gevent.sleep(0.002)


def make_site(app: Any = None) -> Site:
    site = Site()
    if app is not None:
        site.mount_app("/", Fixed(app))
    return site


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """``serve(app, threads=..., limits={...})`` starts a server; it must end with nothing left over."""
    running: list[Running] = []

    def start(
        app: Any = None,
        *,
        site: Site | None = None,
        limits: dict[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        **settings: Any,
    ) -> Running:
        chosen = ServerSettings(limits=Limits(**(limits or {})), **settings)
        running.append(Running(site or make_site(app), chosen, tls, host))
        return running[-1]

    yield start
    for each in running:
        each.end()


@pytest.fixture(name="until")
def until_() -> Callable[..., None]:
    return until


@pytest.fixture
def mounted() -> type[Fixed]:
    """Makes what :meth:`Site.mount_app` takes of a WSGI callable."""
    return Fixed


@pytest.fixture
def open_files() -> Callable[[], int]:
    """Count the file descriptors of this process."""
    return lambda: len(os.listdir("/proc/self/fd"))
