"""WebSocket clients for tests: the one of the ``websockets`` library, and one that sends the frames it is told to."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from skitai.wire.websocket import WebSocket
from skitai.wire.ws_messages import Close, Event

PATIENCE = 10.0


@contextmanager
def talk(port: int, path: str, **options: Any) -> Iterator[ClientConnection]:
    """A client of the ``websockets`` library; its waits are bounded by :func:`get`."""
    options.setdefault("proxy", None)
    with connect(f"ws://127.0.0.1:{port}{path}", open_timeout=PATIENCE, close_timeout=PATIENCE, **options) as client:
        yield client


def get(client: ClientConnection) -> str | bytes:
    """The next message."""
    return client.recv(timeout=PATIENCE)


HANDSHAKE = {
    "Host": "test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


class RawClient:
    """A client over a plain socket, whose bytes the test chooses.

    Args:
        sock: connected.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)
        self.engine = WebSocket(False, 1 << 26)
        self.events: list[Event] = []
        self.head = b""

    @classmethod
    def open(cls, port: int, path: str, receive_buffer: int = 0, **fields: str | None) -> RawClient:
        """Connect and shake hands; the response must be 101."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", port))
        client = cls(sock)
        client.shake_hands(path, **fields)
        assert client.status == 101, client.head
        return client

    def shake_hands(self, path: str, method: str = "GET", rest: bytes = b"", **fields: str | None) -> None:
        """Send a request with ``Name_Of_Field="value"``, ``None`` leaves one out, and read the head of the answer."""
        given = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in fields.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + rest)
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            assert more, f"the connection ended inside of {data!r}"
            data += more
        self.head, _, rest = data.partition(b"\r\n\r\n")
        if self.status == 101:
            self.events += self.engine.receive(rest)

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1])

    def send(self, data: bytes) -> RawClient:
        self.sock.sendall(data)
        return self

    def say(self, content: str | bytes) -> RawClient:
        return self.send(self.engine.message(content))

    def next(self) -> Event | None:
        """The next event, ``None`` when the server closed the connection."""
        while not self.events:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.events += self.engine.receive(data)
        return self.events.pop(0)

    def expect_close(self, code: int) -> None:
        """The server closes with this code, and then the connection."""
        event = self.next()
        assert isinstance(event, Close) and event.code == code, event
        self.send(self.engine.reply(event))
        assert self.next() is None

    def close(self) -> None:
        self.sock.close()
