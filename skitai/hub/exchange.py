"""One request with its response, whatever the protocol below it. Handlers see nothing else of a connection."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from skitai.errors import ClientDisconnected, LocalProtocolError, RemoteProtocolError
from skitai.hub.connection import MOST_AT_ONCE
from skitai.hub.websocket_carrier import ConnectionCarrier
from skitai.net import faults
from skitai.net.turns import Stint
from skitai.wire.fields import Fields
from skitai.wire.http1 import RequestHead, chunk, last_chunk
from skitai.wire.masking import mask
from skitai.wire.response import BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead, serialize_interim
from skitai.wire.target import decode_path, split_target
from skitai.wire.txn import Transaction

if TYPE_CHECKING:
    from skitai.hub.connection import Connection
    from skitai.hub.http1 import Http1Session
    from skitai.hub.websocket_carrier import Carried, Carrier

#: Bytes of a response that go out with its head in one send; above it the head goes first, to spare a large copy.
MOST_JOINED = 64 * 1024


_VERSIONS = {10: "1.0", 11: "1.1", 20: "2.0"}


class Exchange:
    """A request, and what every protocol makes of its response.

    Args:
        session: to tell when the response is sent. connection: that it came by. head: of the request.

    Attributes:
        number: of the request in this process. body: the request body, a binary file object.
        path: decoded, as bytes in ISO 8859-1; raw_path: as sent; query: as sent.
        status: of the response, 0 before it began. bytes_in, bytes_out: of both bodies.
        user: for the request log, set by whoever authenticated the request.
        is_whole: all of the request body was there before the app was called, so that its length is ``bytes_in``.
        spooled: the request body, when it is in a file that is to be closed behind the response.
        trailers: fields behind the request body, when all of it was read. is_pushed: the client did not ask for it.
    """

    # Attributes that most requests leave alone stay on the class: setting 20 of them costs more than parsing a header
    # field.
    status = 0
    bytes_in = 0
    bytes_out = 0
    most_body_bytes = 0
    is_started = False
    is_finished = False
    is_whole = False
    spooled: BinaryIO | None = None
    refusal: RemoteProtocolError | None = None
    body: BinaryIO | None = None
    route: Any = None
    user: str | None = None
    token: str | None = None
    began = 0.0
    started_at = 0.0
    finished_at = 0.0
    trailers: Fields | None = None
    is_pushed = False
    _stint: Stint | None = None
    _transaction: Transaction | None = None

    def __init__(self, session: Any, connection: Connection, head: RequestHead) -> None:
        self.session = session
        self.connection = connection
        self.head = head
        self.method = head.method
        self.target = target = head.target
        if target[0] == "/":
            raw_path, _, self.query = target.partition("?")
        else:
            raw_path, self.query = split_target(target)
        self.raw_path = raw_path
        self.path = decode_path(raw_path) if "%" in raw_path else raw_path
        server = connection.server
        server.requests = self.number = server.requests + 1
        if server.access_log is not None:
            self.began = time.perf_counter()

    # The request

    @property
    def version(self) -> str:
        """``"2.0"``, ``"1.1"`` or ``"1.0"``."""
        return _VERSIONS[self.head.version]

    @property
    def scheme(self) -> str:
        """``"http"`` or ``"https"``."""
        return self.connection.listener.scheme

    @property
    def peer(self) -> tuple[str, int]:
        """(address, port) of the client."""
        return self.connection.peer

    @property
    def server_address(self) -> tuple[str, int]:
        """(address, port) that the client connected to."""
        return self.connection.listener.address

    @property
    def client_certificate(self) -> Mapping[str, str]:
        """``SSL_CLIENT_VERIFY`` and more about the client's certificate; empty when none is asked for."""
        return self.connection.transport.client_certificate

    @property
    def connection_number(self) -> int:
        """Number of the connection."""
        return self.connection.number

    @property
    def fields(self) -> Fields:
        """The header fields as sent, in order."""
        return self.head.fields

    @property
    def input(self) -> BinaryIO:
        """The request body as a binary file object; an empty one when there is none."""
        if self.body is None:
            self.body = io.BytesIO()
        return self.body

    @property
    def transaction(self) -> Transaction:
        """The transaction ids of the request, made on first use."""
        if self._transaction is None:
            environ = self.head.environ
            self._transaction = Transaction.receive(
                environ.get("HTTP_X_GTXN_ID"), environ.get("HTTP_X_LTXN_ID"), self.connection.number, self.number
            )
        return self._transaction

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return the value of a header field, repeated ones joined; ``name`` in any case."""
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        return self.head.environ.get(key, default)

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be sent any more: the client has given the request up, or its connection is lost.

        A client that has only ended its own side, as one does that still waits for the answer, is not gone.
        """
        raise NotImplementedError

    def client_disconnected(self) -> bool:
        """``environ["skitai.client_disconnected"]``: see :attr:`is_gone`. True as well when the response has ended."""
        return self.is_finished or self.is_gone

    # The response. Either respond(), or start() or start_with() and then write(), send_file() and finish().

    def respond(self, status: int, fields: Fields, body: bytes, reason: str | None = None) -> None:
        """Send a whole response.

        Raises:
            LocalProtocolError: a header field is not valid; nothing was sent.
            ClientDisconnected: the client is gone.
        """
        raise NotImplementedError

    def start(self, status: int, fields: Fields, reason: str | None = None, length: int | None = None) -> None:
        """Begin a response; its head goes out with the first :meth:`write` or with :meth:`finish`.

        Args:
            length: bytes of the body when known; without it HTTP/1.1 gets chunks, HTTP/1.0 the end of the connection.
        """
        raise NotImplementedError

    def start_with(
        self, status: int, fields: Fields, data: bytes, reason: str | None = None, length: int | None = None
    ) -> bool:
        """Begin a response with the first part of its body.

        Returns:
            True when that was the whole of it, as its Content-Length says; the response has ended then.
        """
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send a part of the body; the calling greenlet waits for a slow client, and lets all others have their turn.

        Bytes past the Content-Length are dropped; for HEAD all are.
        """
        raise NotImplementedError

    @property
    def is_full(self) -> bool:
        """Whether the response has begun, and nothing of a further part would be sent: all of its length was, or it is
        one without a body."""
        raise NotImplementedError

    def give_way(self) -> None:
        """Between two parts of the body: let all others have their turn, if this response had its own.

        Raises:
            ClientDisconnected: the client is gone.
        """
        if self.is_gone:
            raise ClientDisconnected("the client closed the connection")
        stint = self._stint
        if stint is None:
            self._stint = stint = Stint()  # the time of the first part is that of the call, as in all others
            # Whoever handed this request on may have many more, and it is in their turn that this runs: with a slice
            # for each, the last of fifty streams began after three seconds.
            stint.give_way()
            return
        stint.share()
        if self.is_gone:
            raise ClientDisconnected("the client closed the connection")

    def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send ``count`` bytes of a regular file from ``offset`` as a part of the body."""
        raise NotImplementedError

    def finish(self, trailers: Fields | None = None) -> None:
        """End the response; a second call does nothing.

        Args:
            trailers: fields behind the body (RFC 9110 section 6.5). They are left out where the length of the body was
                given, and over HTTP/1.0.
        """
        raise NotImplementedError

    def abort(self) -> None:
        """Break the response off: the only way to say that one that began cannot be completed."""
        raise NotImplementedError

    def interrupt(self, error: Exception) -> None:
        """Let nobody read the request body any more: a read that waits raises ``error``. HTTP/2 only."""

    def interim(self, status: int, fields: Fields) -> None:
        """Send an interim response, such as 103, before the response begins; HTTP/1 clients get none."""

    def hint_promise(self, uri: str) -> None:
        """Tell the client that it will need ``uri`` of this server; HTTP/1 clients are told nothing."""

    def websocket_carrier(self) -> Carrier:
        """Return what carries the bytes of a WebSocket that this exchange opens."""
        raise NotImplementedError

    def switch_protocols(self, fields: Fields, session: Carried) -> None:
        """Tell the client that its WebSocket is open, and let ``session`` have what follows; the exchange is over then.

        Args:
            fields: of the response.

        Raises:
            ClientDisconnected: the client is gone.
        """
        raise NotImplementedError

    def _log(self) -> None:
        self.finished_at = time.perf_counter()
        log = self.connection.server.access_log
        assert log is not None
        log.record(self)

    @property
    def seconds_processing(self) -> float:
        """From the request to the begin of its response."""
        return max(0.0, (self.started_at or self.finished_at) - self.began)

    @property
    def seconds_sending(self) -> float:
        """From the begin of the response to its end."""
        return self.finished_at - self.started_at if self.started_at else 0.0

    def __repr__(self) -> str:
        return f"<Exchange {self.number} {self.method} {mask(self.target)} {self.status or 'open'}>"


class Http1Exchange(Exchange):
    """A request and its response over HTTP/1.1 or 1.0."""

    session: Http1Session
    _response: ResponseHead | None = None
    _left: int | None = None

    def respond(self, status: int, fields: Fields, body: bytes, reason: str | None = None) -> None:
        """See :class:`Exchange`."""
        size = len(body)
        if self._send_again(status, reason, fields, size, body):
            return
        response = self._begin(status, reason, fields, size if size or self.method != "HEAD" else None)
        if response.framing == NO_BODY:
            self.connection.send(response.data)
        elif response.length == size <= MOST_JOINED:
            self.bytes_out = size
            self.connection.send(response.data + body)
        else:
            self.write(body)
            self.finish()
            return
        self._ended(response.keep_alive)

    def start(self, status: int, fields: Fields, reason: str | None = None, length: int | None = None) -> None:
        """See :class:`Exchange`."""
        self._response = self._begin(status, reason, fields, length)

    def start_with(
        self, status: int, fields: Fields, data: bytes, reason: str | None = None, length: int | None = None
    ) -> bool:
        """See :class:`Exchange`."""
        if self._send_again(status, reason, fields, length, data):
            return True
        self._response = response = self._begin(status, reason, fields, length)
        if response.framing == BY_LENGTH and response.length == len(data) <= MOST_JOINED:
            self._left = 0
            self.bytes_out = len(data)
            self.connection.send(response.data + data)
            self._ended(response.keep_alive)
            return True
        self.write(data)
        return False

    def write(self, data: bytes) -> None:
        """See :class:`Exchange`."""
        response = self._begun()
        head = self._take_head()
        if response.framing == NO_BODY:
            data = b""
        elif self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        before = self.bytes_out
        self.bytes_out += len(data)
        if response.framing == CHUNKED:
            data = chunk(data)
        if head or data:
            self.connection.send(head + data if len(data) <= MOST_JOINED or not head else head)
            if head and len(data) > MOST_JOINED:
                self.connection.send(data)
        if before // MOST_AT_ONCE != self.bytes_out // MOST_AT_ONCE:
            self.connection.give_way()
        self.give_way()

    @property
    def is_gone(self) -> bool:
        """See :class:`Exchange`."""
        return self.connection.is_closed

    @property
    def is_full(self) -> bool:
        """See :class:`Exchange`."""
        response = self._response
        return response is not None and (response.framing == NO_BODY or self._left == 0)

    def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """See :class:`Exchange`; by sendfile(2) if possible."""
        response = self._begun()
        if response.framing == NO_BODY:
            return
        if self._left is not None:
            count = min(count, self._left)
            head = self._take_head()
            if head:
                self.connection.send(head)
            if self.connection.send_file(file.fileno(), offset, count):
                self._left -= count
                self.bytes_out += count
                return
        file.seek(offset)
        while count and (part := file.read(min(count, MOST_JOINED))):
            self.write(part)
            count -= len(part)

    def finish(self, trailers: Fields | None = None) -> None:
        """See :class:`Exchange`; lets the connection go on. A body shorter than its Content-Length closes it."""
        if self.is_finished:
            return
        response = self._begun()
        head = self._take_head()
        ending = last_chunk(trailers) if response.framing == CHUNKED else b""
        if head or ending:
            self.connection.send(head + ending)
        is_whole = response.framing != BY_LENGTH or not self._left
        self._ended(response.keep_alive and is_whole)

    def websocket_carrier(self) -> Carrier:
        """See :class:`Exchange`: the whole connection."""
        return ConnectionCarrier(self.connection)

    def switch_protocols(self, fields: Fields, session: Carried) -> None:
        """See :class:`Exchange`: answers 101 (RFC 9110 section 7.8)."""
        common = self.connection.server.common_fields.both
        self.status = 101
        self.is_started = True
        self.connection.send(serialize_interim(101, fields, common))
        self.is_finished = True
        if self.began:
            self.started_at = time.perf_counter()
            self._log()
        self.session.hand_over(session)
        del self.session  # the exchange may live as long as the client stays

    def abort(self) -> None:
        """See :class:`Exchange`; breaks the connection."""
        # Where the end of the connection is the end of the body, only a reset says that something is missing.
        if self.is_finished:
            return  # the connection may carry another request by now
        is_abrupt = self._response is not None and self._response.framing == UNTIL_CLOSE
        self.is_finished = True
        if self.began:
            self._log()
        self.connection.abort(is_abrupt=is_abrupt)

    def _begin(self, status: int, reason: str | None, fields: Fields, length: int | None) -> ResponseHead:
        if self.is_started:
            raise LocalProtocolError("the response has begun already")
        server = self.connection.server
        head = self.head
        keep_alive = head.keep_alive and not server.is_stopping
        if self.most_body_bytes and self.session.has_large_rest(self):
            # The connection closes after this response, unless the app reads the rest of the body while it responds,
            # and the client must know before it sends its next request (RFC 9112 section 9.6).
            keep_alive = False
        if self.refusal is not None:
            # The body broke the rules while the app read it, so what the app makes of it does not count.
            status, reason, keep_alive = self.refusal.status, None, False
            server.note_refusal(self.peer, self.refusal)
        if status == 304:
            length = None  # it would have to be that of the 200 (RFC 9110 section 8.6), which only the app can know
        response = ResponseHead(
            status, reason, fields, length, head.method, head.version, keep_alive, server.common_fields
        )
        self._response = response
        self._left = None
        if response.framing == BY_LENGTH:
            self._left = response.length
            is_small = self._left is not None and self._left <= MOST_JOINED
            if is_small and not self.most_body_bytes and not server.is_stopping:
                key = (status, reason, length, head.method, head.version, head.keep_alive)
                server.common_fields.keep(response, key, fields)
        self.status = status
        self.is_started = True
        if self.began:
            self.started_at = time.perf_counter()
        return response

    def _send_again(self, status: int, reason: str | None, fields: Fields, length: int | None, data: bytes) -> bool:
        """Send ``data`` as the whole body behind a head that was sent in this second before; False when there is none.

        Most responses are such: hello world gains 5 %. A request with a body is left to the long way, which looks
        whether all of it was read.
        """
        connection = self.connection
        server = connection.server
        head = self.head
        if self.is_started or self.most_body_bytes or server.is_stopping:
            return False
        try:
            ready = server.common_fields.ready[
                (status, reason, length, head.method, head.version, head.keep_alive, *fields)
            ]
        except (KeyError, TypeError):
            return False
        if ready.length != len(data):
            return False
        self.status = status
        self.is_started = True
        self.bytes_out = ready.length
        if self.began:
            self.started_at = time.perf_counter()
        connection.send(ready.data + data)
        self._ended(ready.keep_alive)
        return True

    def _ended(self, keep_alive: bool) -> None:
        self.is_finished = True
        try:
            if self.began:
                self._log()
            self.session.finished(self, keep_alive)
        except Exception as error:  # else the connection would wait for the end of this response
            faults.escaped(self.connection.break_off, error)

    def _begun(self) -> ResponseHead:
        if self._response is None:
            raise LocalProtocolError("the response has not begun: call start() first")
        if self.is_finished:
            raise LocalProtocolError("the response has ended: what is written now would be taken for the next one")
        return self._response

    def _take_head(self) -> bytes:
        response = self._begun()
        data, response.data = response.data, b""
        return data
