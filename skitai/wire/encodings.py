"""Bodies of calls: what a Python object becomes under a content type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from skitai.wire.urls import encode_pairs

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
XML: Final = "text/xml"
NAMEVALUE: Final = "text/namevalue"


def encode(data: Any, content_type: str) -> bytes:
    """Return ``data`` as bytes of ``content_type``; str (as UTF-8) and bytes are taken as they are.

    Args:
        content_type: may have parameters; only the part before them counts.

    Raises:
        TypeError: an object of this type cannot be sent so; the text says what can.
    """
    if isinstance(data, str):
        return data.encode("utf-8")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    kind = content_type.partition(";")[0].strip().lower()
    encoder = _ENCODERS.get(kind)
    if encoder is None and kind.endswith("+json"):
        encoder = encode_json
    if encoder is None:
        raise TypeError(f"a {type(data).__name__} cannot be sent as {kind}: give str or bytes")
    return encoder(data)


def encode_json(data: Any) -> bytes:
    """Return ``data`` as compact JSON in UTF-8."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def encode_form(data: Any) -> bytes:
    """Return a mapping or pairs percent-encoded; values are ``str()``-converted, lists repeat their name."""
    return encode_pairs(data).encode("ascii")


def encode_namevalue(data: Any) -> bytes:
    """Return a mapping as ``key[<byte length of value>]=value`` joined with ``&``: nothing in a value needs quoting.

    Raises:
        TypeError: it is no mapping.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"name/value encoding needs a dict, not {type(data).__name__}")
    pairs = []
    for key, value in data.items():
        raw = value if isinstance(value, bytes) else str(value).encode("utf-8")
        pairs.append(b"%b[%d]=%b" % (str(key).encode("utf-8"), len(raw), raw))
    return b"&".join(pairs)


_ENCODERS: dict[str, Callable[[Any], bytes]] = {JSON: encode_json, FORM: encode_form, NAMEVALUE: encode_namevalue}
