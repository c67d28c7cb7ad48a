"""Responses that are said in one word: redirect, JSON, XML-RPC, protobuf, a file."""

from __future__ import annotations

import mimetypes
import os
import re
import traceback
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from skitai.net.files import open_regular
from skitai.saddle.errors import BadRequest
from skitai.saddle.response import ExcInfo

if TYPE_CHECKING:
    from skitai.saddle.service import Was

#: What a URL reference may have besides letters and digits (RFC 3986); "%" because it comes quoted already.
_SAFE = "%/:?#[]@!$&'()*+,;=-._~"
#: What must not get into a URL even quoted.
_has_no_place = re.compile("[\x00-\x1f\x7f\ud800-\udfff]").search


def redirect(
    was: Was,
    url: str,
    status: str = "302 Object Moved",
    body: Any = None,
    headers: Iterable[tuple[str, str]] | None = None,
) -> Any:
    """Return a redirection; cookies and messages that were set before go with it.

    Args:
        url: a URL reference; blanks and non-ASCII characters get quoted.
        body: in place of the small page with a link.

    Raises:
        BadRequest: the URL has a line break or another control character, or half a surrogate pair.
        TypeError: it is no text, as ``None``, which ``was.ab()`` gives for a function that is not routed.
    """
    if not isinstance(url, str):
        raise TypeError(f"was.redirect() takes a URL, not {url!r}; was.ab() gives None for what is not routed")
    response = was.response
    location = url if _has_no_place(url) else quote(url, safe=_SAFE)
    response.set_header("Location", location)  # refuses those characters
    response.set_header("Cache-Control", "max-age=0")
    response.set_header("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
    if body is None:
        link = f'<a href="{escape(location)}">{escape(location)}</a>'
        body = f"<html><head><title>{escape(status[4:])}</title></head><body>{link}</body></html>"
    return response(status, body, headers)


def jstream(was: Was, obj: Any, key: str | None = None) -> Any:
    """Return ``obj`` as JSON; with ``key`` as the only member of an object."""
    document = was.tojson(obj if key is None else {key: obj})
    return was.response("200 OK", document, [("Content-Type", "application/json")])


def xstream(was: Was, obj: Any, usedatetime: bool | int = 0) -> Any:
    """Return ``obj`` as an XML-RPC document; anything but a tuple is its only parameter."""
    return was.response("200 OK", was.toxml(obj, usedatetime), [("Content-Type", "text/xml")])


def gstream(was: Was, obj: Any) -> Any:
    """Return a protobuf message."""
    return was.response("200 OK", was.togrpc(obj), [("Content-Type", "application/grpc")])


def fstream(was: Was, abspath: str, mimetype: str | None = "application/octet-stream") -> Any:
    """Return a file on disk, streamed.

    Args:
        abspath: its path; whatever part of it came from the request, the app has to check. One with ``..`` in it is
            refused, as a variable of a URL may be ``..%2Fsecrets``: ``os.path.abspath()`` resolves those of your own.
        mimetype: its content type; ``None`` guesses by the name.

    Raises:
        BadRequest: the path has ``..`` or a NUL in it.
        OSError: there is no such file, it cannot be read, or it is no regular file: a FIFO would be waited for.
    """
    if ".." in os.fspath(abspath).replace("\\", "/").split("/"):
        raise BadRequest("the path of a file has '..' in it")
    if "\0" in os.fspath(abspath):
        raise BadRequest("the path of a file has a NUL in it")
    if mimetype is None:
        mimetype = mimetypes.guess_type(abspath)[0] or "application/octet-stream"
    return was.response("200 OK", open_regular(abspath), [("Content-Type", mimetype)])


def render_ei(was: Was, exc_info: ExcInfo, format: int = 0) -> str | list[str]:
    """Return a traceback as text (format 0), as HTML (1) or as a list of lines (2)."""
    lines = "".join(traceback.format_exception(*exc_info)).splitlines()
    if format == 2:
        return lines
    text = "\n".join(lines)
    return f"<pre>{escape(text)}</pre>" if format == 1 else text
