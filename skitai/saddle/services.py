"""Protocols that come as the body of a POST and are told by its content type: XML-RPC, gRPC.

To add one: write a file with a function that takes ``was`` and returns a reply, or ``None`` to have the request routed
as any other, and name it in :data:`BY_CONTENT_TYPE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skitai.saddle import xmlrpc_service

if TYPE_CHECKING:
    from skitai.saddle.replies import Reply
    from skitai.saddle.service import Was

#: By content type in lower case, without parameters.
BY_CONTENT_TYPE: dict[str, Callable[[Was], Reply | None]] = dict.fromkeys(
    xmlrpc_service.CONTENT_TYPES, xmlrpc_service.serve
)


def serve(was: Was) -> Reply | None:
    """Return the reply of such a protocol, ``None`` when the request is none of them."""
    if was.exchange.method != "POST":
        return None
    service = BY_CONTENT_TYPE.get(was.request.get_content_type() or "")
    return None if service is None else service(was)
