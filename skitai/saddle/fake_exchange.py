"""An exchange without a connection: what the test client hands to an app."""

from __future__ import annotations

import io
import itertools
from typing import BinaryIO

from skitai.errors import ClientDisconnected, LocalProtocolError
from skitai.wire.fields import Fields, find
from skitai.wire.masking import mask
from skitai.wire.response import WITHOUT_BODY, CommonFields, ResponseHead
from skitai.wire.target import decode_path, split_target
from skitai.wire.txn import Transaction

_numbers = itertools.count(1)
_COMMON = CommonFields("test")


class FakeExchange:
    """A request, and what was answered.

    Args:
        method: of the request. target: path and query. fields: of the header. body: of the request.
        is_tls: whether it came by TLS. patience: bytes of a response after which the client is gone; ``None``: never.

    Attributes:
        status, reason, response_fields, content: of the response. is_finished: whether it is complete.
        is_aborted: whether it broke off. promises: what :meth:`hint_promise` was called with.
    """

    user: str | None = None
    token: str | None = None
    refusal: None = None
    version = "1.1"
    peer = ("127.0.0.1", 40000)
    connection_number = 1

    def __init__(
        self,
        method: str,
        target: str,
        fields: Fields | None = None,
        body: bytes = b"",
        is_tls: bool = False,
        patience: int | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.raw_path, self.query = split_target(target)
        self.path = decode_path(self.raw_path)
        self.fields: Fields = fields or []
        self.body: BinaryIO | None = io.BytesIO(body) if body else None
        self.scheme = "https" if is_tls else "http"
        self.server_address = ("127.0.0.1", 443 if is_tls else 80)
        self.number = next(_numbers)
        self.transaction = Transaction.receive(self.header("x-gtxn-id"), self.header("x-ltxn-id"), 1, self.number)
        self.status = 0
        self.reason: str | None = None
        self.response_fields: Fields = []
        self.content = b""
        self.is_finished = False
        self.is_aborted = False
        self.promises: list[str] = []
        self.trailers: Fields = []
        self._patience = patience

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return a field of the request; name in any case."""
        return find(self.fields, name.lower(), default)

    @property
    def is_started(self) -> bool:
        """Whether the response has begun."""
        return self.status != 0

    # The response

    def respond(self, status: int, fields: Fields, body: bytes, reason: str | None = None) -> None:
        """Take a whole response."""
        self.start(status, fields, reason, len(body))
        self.write(body)
        self.finish()

    def start(self, status: int, fields: Fields, reason: str | None = None, length: int | None = None) -> None:
        """Take the head of a response; what a server would refuse to send is refused here as well.

        Raises:
            LocalProtocolError: a field is not valid, or the response has begun already.
        """
        if self.status:
            raise LocalProtocolError("the response has begun already")
        ResponseHead(status, reason, fields, length, self.method, 11, True, _COMMON)
        self.status, self.reason, self.response_fields = status, reason, list(fields)

    def write(self, data: bytes) -> None:
        """Take a piece of the body.

        Raises:
            ClientDisconnected: the client of this test has gone.
        """
        if not self.is_full:
            self.content += data
        if self._patience is not None and len(self.content) > self._patience:
            raise ClientDisconnected("the client of this test has gone")

    @property
    def is_full(self) -> bool:
        """Whether nothing of a further piece would be taken."""
        return self.is_started and (self.method == "HEAD" or self.status in WITHOUT_BODY)

    def give_way(self) -> None:
        """There is nobody else in a test."""

    def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Take a piece of the body from a file."""
        file.seek(offset)
        self.write(file.read(count))

    def finish(self, trailers: Fields | None = None) -> None:
        """The response is complete."""
        self.trailers = trailers or []
        self.is_finished = True

    def hint_promise(self, uri: str) -> None:
        """Keep it: HTTP/1.1 has no promises."""
        self.promises.append(uri)

    def abort(self) -> None:
        """The response breaks off."""
        self.is_aborted = True

    def __repr__(self) -> str:
        return f"<FakeExchange {self.method} {mask(self.target)} {self.status or 'open'}>"
