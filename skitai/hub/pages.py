"""The pages and messages that the server itself answers with."""

from __future__ import annotations

from html import escape

from skitai.wire.fields import Fields
from skitai.wire.response import CommonFields, ResponseHead, reason_phrase

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {reason}</title>
<style>body{{font-family:system-ui,sans-serif;margin:4em auto;max-width:44em;padding:0 1em;color:#222}}
h1{{font-weight:600}}p{{color:#555}}pre{{background:#f4f4f4;padding:1em;overflow:auto}}</style></head>
<body><h1>{status} {reason}</h1>{detail}</body></html>
"""

HTML: Fields = [("Content-Type", "text/html; charset=utf-8")]


def error_page(status: int, detail: str = "", trace: str = "") -> bytes:
    """Return an HTML page for a status.

    Args:
        detail: one sentence for the client.
        trace: a traceback, only ever given when the app is in debug mode.
    """
    text = f"<p>{escape(detail)}</p>" if detail else ""
    if trace:
        text += f"<pre>{escape(trace)}</pre>"
    return _PAGE.format(status=status, reason=escape(reason_phrase(status)), detail=text).encode()


def error_response(
    status: int, detail: str, common: CommonFields, keep_alive: bool, extra: Fields | None = None
) -> bytes:
    """Return a whole HTTP/1.1 response for a request that no handler sees."""
    body = error_page(status, detail)
    head = ResponseHead(status, None, HTML + (extra or []), len(body), "GET", 11, keep_alive, common)
    return head.data + body
