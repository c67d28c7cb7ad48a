"""The pages that Saddle itself answers with.

Every page of an error comes from :func:`render`. What is put into it is escaped here, whoever made it.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skitai.saddle.service import Was

CONTENT_TYPE = "text/html; charset=utf-8"

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {reason}</title>
<style>body{{font-family:system-ui,sans-serif;margin:4em auto;max-width:60em;padding:0 1em;color:#222}}
h1{{font-weight:600}}p{{color:#555}}pre{{background:#f4f4f4;padding:1em;overflow:auto}}</style></head>
<body><h1>{status} {reason}</h1>{info}{trace}
<p>URL: {url}<br>Time: {time}<br>Request: {request}</p></body></html>
"""


_BOX = '<div style="border:1px solid #c33;padding:1em;color:#222;background:#fff"><strong>{text}</strong>{trace}</div>'


def render(was: Was, status: int, reason: str, info: str = "", trace: str = "") -> str:
    """Return the page of an error.

    Args:
        reason: the text of the status. info: one sentence for the client.
        trace: a traceback. Only given in debug mode, or when the app asked for it.
    """
    return _PAGE.format(
        status=status,
        reason=escape(reason),
        info=f"<p>{escape(info)}</p>" if info else "",
        trace=f"<pre>{escape(trace)}</pre>" if trace else "",
        url=escape(was.exchange.target),
        time=formatdate(time.time(), usegmt=True),
        request=escape(was.txnid()),
    )


def render_box(was: Was, is_html: bool, trace: str = "") -> str:
    """Return what is put at the end of a response that breaks off after it has begun.

    Args:
        is_html: of what kind the response is; to any other a text is added. trace: a traceback, in debug mode only.
    """
    text = f"The response is not complete. The error was logged under {was.txnid()}."
    if not is_html:
        return f"\n{text}\n{trace}"
    return _BOX.format(text=escape(text), trace=f"<pre>{escape(trace)}</pre>" if trace else "")
