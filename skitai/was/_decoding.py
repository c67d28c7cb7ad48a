"""From the body of an answer, as it came, to that body with its content coding undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skitai.net import pool as workers
from skitai.net.turns import Stint
from skitai.was import _settings
from skitai.wire import codings
from skitai.wire.fields import find

if TYPE_CHECKING:
    from skitai.was._http_attempt import HttpAttempt
    from skitai.wire.http1 import ResponseHead

#: Bytes that are decoded at once. What is larger goes on in turns with others: 405 bytes can hold the loop for seconds.
MOST_AT_ONCE = 256 * 1024


def answer(attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
    """Give an attempt its answer. Its connection is free already.

    Args:
        content: the body as it came.
    """
    attempt.connection = None  # it may be another attempt's by now: a cancel must not end that one
    coding = find(head.fields, "content-encoding")
    if not coding or not content:
        attempt.answer(head, content)
        return
    settings = _settings.current
    pieces = codings.decode(content, coding, settings.body_bytes, settings.decode_ratio)
    found: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            found.append(piece)
            size += len(piece)
            if size > MOST_AT_ONCE:
                workers.spawn(_go_on, attempt, head, pieces, found)
                return
    except Exception as error:
        attempt.fail(error)
        return
    attempt.answer(head, b"".join(found))


def _go_on(attempt: HttpAttempt, head: ResponseHead, pieces: Iterator[bytes], found: list[bytes]) -> None:
    stint = Stint()
    try:
        for piece in pieces:
            found.append(piece)
            stint.share()
            if attempt.is_over:  # cancelled
                return
    except Exception as error:
        attempt.fail(error)
        return
    attempt.answer(head, b"".join(found))
