"""``app.config``: settings of an app, and whatever else it wants to keep there."""

from __future__ import annotations

from skitai.lib.attributes import AttributeDict
from skitai.saddle.urlencoded import MOST_FIELDS
from skitai.wire.grpc.messages import MOST_BYTES

MIB = 1024 * 1024


def default_config() -> AttributeDict:
    """Return the settings that every app begins with; all sizes are bytes."""
    return AttributeDict(
        # A body that is not multipart; larger: 413.
        max_post_body_size=5 * MIB,
        # Multipart bodies up to this size are kept as ``was.request.body`` as well.
        max_cache_size=5 * MIB,
        # A multipart body; larger: 413.
        max_multipart_body_size=20 * MIB,
        # One file of a multipart body; larger: 413.
        max_upload_file_size=20_000_000,
        # One message of a gRPC call, packed and unpacked; larger: RESOURCE_EXHAUSTED.
        max_grpc_message_size=MOST_BYTES,
        # Fields of one query or form; more: 400.
        max_form_fields=MOST_FIELDS,
        # Whether a field of a query or form that a function does not name is an error, 400; else it is ignored.
        strict_arguments=False,
        # Calls in one system.multicall of XML-RPC; more: 400. One after another, they hold a slot for as long.
        max_multicall=1000,
    )
