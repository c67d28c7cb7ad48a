"""``multipart/form-data`` for uploads (RFC 7578): the pieces around the files; whoever sends them reads the files."""

from __future__ import annotations

import mimetypes
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from skitai.errors import LocalProtocolError

_BOUNDARY_LINE = re.compile(rb"--([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\r\n")

#: A piece of a body: bytes, or an open binary file to read to its end.
Piece = Any


def new_boundary() -> str:
    """Return a boundary that nobody who fills in a field can guess."""
    return "----skitai" + secrets.token_hex(12)


def is_file(value: object) -> bool:
    """Whether a form value is an open file."""
    return hasattr(value, "read")


def pieces(form: Mapping[str, Any] | Iterable[tuple[str, Any]], boundary: str) -> list[Piece]:
    """Return the body of an upload as bytes and open files in order.

    Args:
        form: fields by name: str (or anything ``str()`` converts), bytes, an open binary file, or a list of these.
        boundary: from :func:`new_boundary`.
    """
    found: list[Piece] = []
    text = b""
    for name, value in form.items() if isinstance(form, Mapping) else form:
        for each in value if isinstance(value, (list, tuple)) else (value,):
            text += f"--{boundary}\r\n{_disposition(name, each)}\r\n".encode()
            if is_file(each):
                found += [text, each]
                text = b"\r\n"
            else:
                text += (each if isinstance(each, bytes) else str(each).encode("utf-8")) + b"\r\n"
    return [*found, text + f"--{boundary}--\r\n".encode()]


def boundary_of(body: bytes) -> str:
    """Return the boundary of ready-made multipart bytes, from their first line.

    Raises:
        LocalProtocolError: they do not start with one.
    """
    match = _BOUNDARY_LINE.match(body)
    if match is None:
        raise LocalProtocolError("bytes given to upload must start with the line of a multipart boundary")
    return match[1].decode("ascii")


def content_type(boundary: str) -> str:
    """Return the value of Content-Type for a boundary."""
    plain = re.fullmatch(r"[0-9A-Za-z'+_.-]+", boundary)
    return f"multipart/form-data; boundary={boundary}" if plain else f'multipart/form-data; boundary="{boundary}"'


def _disposition(name: str, value: object) -> str:
    lines = f'Content-Disposition: form-data; name="{_quote(name)}"'
    if not is_file(value):
        return lines + "\r\n"
    path = getattr(value, "name", "")
    # A pipe or a temporary file has a number for a name.
    filename = re.split(r"[/\\]", path)[-1] if isinstance(path, str) and path else "file"
    guessed = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return f'{lines}; filename="{_quote(filename)}"\r\nContent-Type: {guessed}\r\n'


def _quote(text: str) -> str:
    """Quote what would end the parameter, as browsers do (WHATWG HTML, "multipart/form-data encoding algorithm")."""
    return str(text).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
