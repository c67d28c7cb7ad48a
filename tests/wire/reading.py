"""Feeds bytes to a reader in pieces and writes down what it makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.http1 import Data, RequestHead, RequestReader, ResponseHead, ResponseReader
from tests.wire.corpus import INCOMPLETE, Request

LIMITS = Limits()


def read_requests(pieces: Iterable[bytes], limits: Limits = LIMITS) -> tuple[list[Request], int | str | None]:
    """Return the requests that were complete, and how it ended: the status of a refusal, INCOMPLETE, or ``None``.

    A body is given out in parts; a request counts when its END has come.
    """
    reader = RequestReader(limits)
    requests: list[Request] = []
    head: RequestHead | None = None
    body = b""

    def take_events() -> None:
        nonlocal head, body
        while (event := reader.next()) is not None:
            if isinstance(event, RequestHead):
                assert head is None
                head, body = event, b""
                if head.has_body:
                    continue
            elif isinstance(event, Data):
                assert event.content
                body += event.content
                continue
            assert head is not None
            requests.append((head.method, head.target, head.host, body))
            head = None

    try:
        for piece in pieces:
            reader.feed(piece)
            take_events()
    except RemoteProtocolError as error:
        return requests, error.status
    if reader.is_between:
        return requests, None
    reader.feed_eof()
    try:
        take_events()
    except RemoteProtocolError as error:
        assert error.status == 400
        return requests, INCOMPLETE
    raise AssertionError("the reader took the end of the input inside a message for the end of the message")


def read_response(
    pieces: Iterable[bytes], method: str = "GET", is_over: bool = False, limits: Limits = LIMITS
) -> tuple[ResponseHead | None, bytes | None, ResponseReader]:
    """Return the head, the body (``None`` when it has not ended) and the reader of one response."""
    reader = ResponseReader(method, limits)
    head: ResponseHead | None = None
    parts: list[bytes] = []
    for piece in [*pieces, None] if is_over else pieces:
        if piece is None:
            reader.feed_eof()
        else:
            reader.feed(piece)
        while (event := reader.next()) is not None:
            if isinstance(event, ResponseHead):
                head = event
            elif isinstance(event, Data):
                parts.append(event.content)
            else:
                return head, b"".join(parts), reader
    return head, None, reader


def in_bytes(data: bytes) -> list[bytes]:
    """Cut into single bytes."""
    return [data[at : at + 1] for at in range(len(data))]


def in_two(data: bytes, most: int = 400) -> Iterator[list[bytes]]:
    """Cut once, at every position of short data and at ``most`` of long data."""
    for at in range(1, len(data), max(1, len(data) // most)):
        yield [data[:at], data[at:]]
