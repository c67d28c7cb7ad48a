"""What reading requests and reading responses have in common (RFC 9112): a buffer, a header section, a body."""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.bodies import Body
from skitai.wire.events import END, Data, End, RequestHead, ResponseHead
from skitai.wire.lines import LineChecker

Head = TypeVar("Head", RequestHead, ResponseHead)


class Reader(Generic[Head]):
    """One direction of a connection.

    A message is read in three states: its head while there is no ``_body``, then its body, then ``_wants_end`` for the
    one call of :meth:`next` that gives the END for which the last bytes of the body left no room.

    What was given out stays in the buffer, in front of ``_start``, until bytes are fed again: taking one message out of
    many must not cost a copy of all that wait behind it.
    """

    #: Header sections are read as a user agent reads those of servers.
    _is_lenient = False

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""
        self._start = 0
        self._checker: LineChecker | None = None  # of a header section that came in more than one piece
        self._body: Body | None = None
        self._is_over = False
        self._wants_end = False

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; call :meth:`next` until it returns ``None``."""
        rest = self.leftover
        self._buffer = rest + data if rest else data
        self._start = 0

    def feed_eof(self) -> None:
        """The peer sends no more."""
        self._is_over = True

    def next(self) -> Head | Data | End | None:
        """Return the next event, or ``None`` when more bytes are needed.

        Raises:
            RemoteProtocolError: the bytes are no HTTP/1.1; nothing more can be read from this connection.
        """
        if self._body is not None:
            return self._next_of_body(self._body)
        if self._wants_end:
            self._wants_end = False
            return END
        return self._next_head()

    def take_rest(self) -> bytes:
        """Return the bytes that are left, and forget them: they belong to another protocol."""
        rest, self._buffer, self._start = self.leftover, b"", 0
        return rest

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet given out."""
        return len(self._buffer) - self._start

    @property
    def leftover(self) -> bytes:
        """Bytes fed and not yet given out; behind a switch of protocols they belong to the next one."""
        return self._buffer[self._start :] if self._start else self._buffer

    @property
    def announced(self) -> int:
        """Bytes that the peer has said will follow: the rest of the body by its length, or of the current chunk."""
        return 0 if self._body is None else self._body.announced

    @property
    def is_between(self) -> bool:
        """Whether no message has begun: the only state in which a connection may end in peace."""
        return self._body is None and len(self._buffer) == self._start and not self._wants_end

    def _next_of_body(self, body: Body) -> Data | End | None:
        if len(self._buffer) > self._start:
            content, self._start, ended = body.decode(self._buffer, self._start)
            if ended:
                self._body = None
                self._wants_end = bool(content)
                return Data(content) if content else END
            if content:
                return Data(content)
        if self._is_over:
            body.end_of_input()
            self._body = None
            return END
        return None

    def _next_head(self) -> Head | None:
        buffer, start = self._buffer, self._start
        checked = max(self._checker.seen - 3, 0) if self._checker is not None else 0
        end = buffer.find(b"\r\n\r\n", start + checked) + 4
        if end < 4 or buffer.startswith(b"\r\n", start):
            return self._incomplete(self.leftover)
        data = buffer[start:end]
        head = self._parse(data) if len(data) <= self._limits.header_bytes else None
        if head is None:
            self._refuse(data)
        self._start = end
        self._checker = None
        return head

    def _incomplete(self, buffer: bytes) -> Head | None:
        if buffer[:2] == b"\r\n":
            return self._skip_empty_lines(buffer)
        if buffer:
            if self._checker is None:
                self._checker = LineChecker(self._limits, self._check_first_line, self._is_lenient)
            self._checker.check(buffer)
            if self._is_over:
                raise RemoteProtocolError("the connection ended inside a header section")
        return None

    def _refuse(self, data: bytes) -> NoReturn:
        """Refuse a whole header section, for the reason that would have been found in pieces of it."""
        LineChecker(self._limits, self._check_first_line, self._is_lenient).check(data)
        raise RemoteProtocolError("the header section is not valid")

    # What the roles differ in

    def _skip_empty_lines(self, buffer: bytes) -> Head | None:
        raise RemoteProtocolError("an empty line before the status line")

    def _check_first_line(self, line: str) -> None:
        raise NotImplementedError

    def _parse(self, data: bytes) -> Head | None:
        """Parse a header section with its first and its blank line; ``None`` when some line is not valid."""
        raise NotImplementedError
