"""Protocols that come as the body of a POST and are told by its content type: XML-RPC, gRPC.

To add one: write a file with a function that takes ``was`` and returns a reply, or ``None`` to have the request routed
as any other, and name it in :data:`BY_CONTENT_TYPE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skitai.saddle import grpc_service, xmlrpc_service

if TYPE_CHECKING:
    from skitai.saddle.replies import Reply
    from skitai.saddle.service import Was

#: By content type in lower case, without parameters.
BY_CONTENT_TYPE: dict[str, Callable[[Was], Reply | None]] = {
    **dict.fromkeys(xmlrpc_service.CONTENT_TYPES, xmlrpc_service.serve),
    **dict.fromkeys(grpc_service.CONTENT_TYPES, grpc_service.serve),
}


def serve(was: Was) -> Reply | None:
    """Return the reply of such a protocol, ``None`` when the request is none of them.

    Raises:
        UnsupportedMediaType: it is for a method of gRPC, and no call of it.
    """
    if was.exchange.method != "POST":
        return None
    content_type = was.request.get_content_type() or ""
    service = BY_CONTENT_TYPE.get(content_type)
    if service is None:
        grpc_service.check(was, content_type)
        return None
    return service(was)
