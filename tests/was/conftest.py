"""Peers of the clients: servers on a socket of their own that do exactly what a test says, however wrong."""

from __future__ import annotations

import gc
import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from gevent.event import Event
from gevent.server import StreamServer

from skitai.net import logs
from skitai.was import _cache, _clusters, _engine, _modes, _settings
from skitai.was._context import Context, wasc
from skitai.wire import clusters
from skitai.wire.txn import Transaction


class Received:
    """A request as a peer read it."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.body = body

    def header(self, name: str) -> str | None:
        """The first field of this name."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


class Link:
    """One connection, seen from the peer."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock
        self._buffer = b""

    def read(self) -> Received | None:
        """The next request with its body, or ``None`` when the client has closed."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        received = Received(head[:-4], b"")
        if received.header("transfer-encoding") == "chunked":
            received.body = self._chunks()
        else:
            received.body = self._exactly(int(received.header("content-length") or 0))
        return received

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self, body: bytes = b"", status: str = "200 OK", *lines: str) -> None:
        """A complete answer."""
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
        self.send("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Break off: the client gets ECONNRESET."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait_for_close(self) -> bytes:
        """Everything more that the client says."""
        found = self._buffer
        while data := self._socket.recv(65536):
            found += data
        return found

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(mark)
        return head + mark

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count and self._more():
            pass
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def _chunks(self) -> bytes:
        body = b""
        while True:
            line = self._until(b"\r\n")
            size = int(line or b"0", 16)
            body += self._exactly(size)
            self._exactly(2)
            if not size:
                return body

    def _more(self) -> bool:
        data = self._socket.recv(65536)
        self._buffer += data
        return bool(data)


def until(condition: Callable[[], object]) -> None:
    """Let the hub run until something is so; the fixture ``nothing_hangs`` ends it if that never happens."""
    while not condition():
        gevent.sleep(0.001)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs the certificates of peers; ``ca_file`` is where a client finds its own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def garbage_of(fn: Callable[[], object], times: int) -> int:
    """Return how many objects that ``fn()`` leaves, so many times, only the garbage collector can find."""
    fn()
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            fn()
        return gc.collect()
    finally:
        gc.enable()


Behaviour = Callable[[Link], object]


class Peer:
    """A server that does ``behaviour(link)`` with each connection."""

    def __init__(self, behaviour: Behaviour, host: str = "127.0.0.1", port: int = 0, **tls: Any) -> None:
        self._behaviour = behaviour
        self._tls = tls
        self.links = 0
        self.open = 0
        self.all_closed = Event()
        self.received: list[Received] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
        self.port: int = listener.getsockname()[1]
        self.host = host
        self._server = StreamServer(listener, self._handle, **tls)
        self._server.start()

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}{path}"

    def stop(self) -> None:
        self._server.stop(timeout=0)

    def _handle(self, sock: Any, address: Any) -> None:
        self.links += 1
        self.open += 1
        self.all_closed.clear()
        try:
            self._behaviour(Link(sock))
        except OSError:
            pass  # the client broke off: the test knows why
        finally:
            sock.close()
            self.open -= 1
            if not self.open:
                self.all_closed.set()


class Peers:
    """Makes peers, and stops them at the end."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []

    def __call__(self, behaviour: Behaviour, **where: Any) -> Peer:
        """A peer with a behaviour for each connection."""
        peer = Peer(behaviour, **where)
        self._peers.append(peer)
        return peer

    def http(self, answer: Callable[[Received, Link], object], **where: Any) -> Peer:
        """A peer that keeps connections and does ``answer(received, link)`` for each request."""

        def behaviour(link: Link) -> None:
            while (received := link.read()) is not None:
                peer.received.append(received)
                if answer(received, link) is False:
                    return

        peer = self(behaviour, **where)
        return peer

    def saying(self, body: bytes = b"", status: str = "200 OK", *lines: str) -> Peer:
        """A peer that always says the same."""
        return self.http(lambda received, link: link.reply(body, status, *lines))

    def after(self, event: Event, body: bytes) -> Peer:
        """A peer that answers when an event has come."""

        def answer(received: Received, link: Link) -> None:
            event.wait()
            link.reply(body)

        return self.http(answer)

    def refusing(self) -> str:
        """An address where nobody listens."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{sock.getsockname()[1]}"

    def stop(self) -> None:
        for peer in self._peers:
            peer.stop()


@pytest.fixture
def peers() -> Iterator[Peers]:
    made = Peers()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings, clusters and caches of one test are not those of the next; no connection is left over."""
    monkeypatch.setattr(clusters, "definitions", {})
    monkeypatch.setattr(_clusters, "_live", {})
    monkeypatch.setattr(_settings, "current", _settings.ClientSettings())
    _settings.version += 1
    monkeypatch.setattr(_cache, "results", _cache.ResultCache())
    monkeypatch.setattr(_modes, "current", _modes.Mode())
    yield
    engine = _engine.current()
    engine.close()
    engine.pools.clear()
    engine.databases.clear()
    engine.authorizations.clear()
    engine.forget_http2()
    logs.current().flush()


class FakeExchange:
    """What a context needs of a request that is being served."""

    def __init__(self, gtxnid: str = "GTID-C1-R1", ltxnid: int = 1000) -> None:
        self.transaction = Transaction(gtxnid, ltxnid)
        self.method = "GET"
        self.path = "/"


@pytest.fixture
def in_request() -> Context:
    """The ``was`` of a request."""
    return Context(FakeExchange())


@pytest.fixture
def outside() -> Context:
    """The ``was`` of the process."""
    return wasc


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    with gevent.Timeout(20, AssertionError("the test waited for 20 seconds")):
        yield
