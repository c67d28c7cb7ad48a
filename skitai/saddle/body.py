"""The request body as bytes, up to what the app takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skitai.saddle import multipart_forms
from skitai.saddle.errors import ContentTooLarge

if TYPE_CHECKING:
    from skitai.saddle.request import Request

_PIECE = 64 * 1024


def most_bytes(request: Request) -> int:
    """Return how many bytes of this content type the app takes: ``app.config`` says so."""
    config = request.app.config
    is_multipart = request.get_main_type() == "multipart"
    return int(config.max_multipart_body_size if is_multipart else config.max_post_body_size)


def read(request: Request) -> bytes | None:
    """Return the body of a request, ``None`` when it has none.

    A form with files is read as one even then, and its bytes are kept up to ``app.config.max_cache_size``.

    Raises:
        ContentTooLarge: it is larger than ``app.config.max_post_body_size``, or ``max_multipart_body_size``.
        ProtocolError: it broke off, or its framing is wrong.
    """
    stream = request._exchange.body
    if stream is None:
        return None
    if request.get_content_type() == multipart_forms.CONTENT_TYPE:
        return request.multipart.body
    most = most_bytes(request)
    pieces = []
    size = 0
    while piece := stream.read(_PIECE):
        size += len(piece)
        if size > most:
            raise ContentTooLarge(f"the request body is larger than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces) if pieces else None
