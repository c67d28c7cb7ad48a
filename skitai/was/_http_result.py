"""The answer of an HTTP server, read as far as somebody asks."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

from skitai.was._result import Node, Result
from skitai.wire import outcomes
from skitai.wire.codings import left_over
from skitai.wire.fields import find
from skitai.wire.http1 import ResponseHead
from skitai.wire.masking import mask_field
from skitai.wire.parameters import read_parameters, read_set_cookie

if TYPE_CHECKING:
    from skitai.was._call import Call


class Headers(Mapping[str, str | list[str]]):
    """Header fields by name, whatever their case. A field that came more than once is a list."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._values: dict[str, str | list[str]] = {}
        self._names: dict[str, str] = {}
        for name, value in fields:
            key = name.lower()
            known = self._values.get(key)
            if known is None:
                self._names[key] = name
                self._values[key] = value
            else:
                self._values[key] = [*known, value] if isinstance(known, list) else [known, value]

    def __getitem__(self, name: str) -> str | list[str]:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = {
            name: [mask_field(name, each) for each in value] if isinstance(value, list) else mask_field(name, value)
            for name, value in self.items()
        }
        return f"{type(self).__name__}({shown!r})"


_CHARSET = re.compile(r';\s*charset\s*=\s*(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_NO_HEAD = ResponseHead(0, "", 11, [], False)


class HttpResult(Result):
    """The outcome of an HTTP request.

    Attributes:
        history: answers before this one; always empty, because redirects are not followed.
    """

    __slots__ = ("_content", "_data", "_head", "_headers", "history")

    def __init__(
        self, call: Call, node: Node, status: int, code: int, reason: str, error: BaseException | None = None
    ) -> None:
        super().__init__(call, node, status, code, reason, error)
        self._head = _NO_HEAD
        self._content = b""
        self._data: Any = _UNREAD
        self._headers: Headers | None = None
        self.history: list[Any] = []

    @classmethod
    def answered(cls, call: Call, node: Node, head: ResponseHead, content: bytes) -> Self:
        """Return the result for a complete answer; ``content`` has its content coding undone."""
        result = cls(call, node, outcomes.NORMAL, head.status, head.reason)
        result._head = head
        result._content = content
        return result

    def as_cached(self, call: Call) -> Self:
        """See :meth:`Result.as_cached`. Data is decoded anew: what one caller does to it, another does not see."""
        again = super().as_cached(call)
        again._data = _UNREAD
        return again

    # The body

    def _read_data(self) -> Any:
        """Return the decoded object of a JSON answer, else the bytes; ``None`` when the call failed or timed out.

        Raises:
            ValueError: the answer says it is JSON and is not.
        """
        if self._data is _UNREAD:
            self._data = self._decode()
        return self._data

    @property
    def content(self) -> bytes:
        """The bytes of the body, decompressed; ``b""`` when the call failed or timed out."""
        return self._content

    binary = content

    @property
    def text(self) -> str:
        """The body decoded by the charset of its content type, else as UTF-8; what does not decode becomes U+FFFD."""
        return _decode_text(self._content, self.encoding)

    @property
    def undecoded(self) -> str:
        """The content codings that were not undone, because they are not known: ``content`` is as the server sent it.

        ``""`` when there are none. Some servers say ``UTF-8`` or ``none`` there, which is no coding at all.
        """
        return left_over(self.get_header("content-encoding"))

    @property
    def encoding(self) -> str:
        """The charset of the content type, ``utf-8`` when it names none."""
        match = _CHARSET.search(self.get_header("content-type") or "")
        return (match[1] or match[2]) if match else "utf-8"

    @property
    def raw(self) -> BytesIO:
        """The body as a file."""
        return BytesIO(self._content)

    def json(self) -> Any:
        """Return the body decoded as JSON, whatever its content type.

        Raises:
            ValueError: it is no JSON, or the call failed.
        """
        if self.status != outcomes.NORMAL:
            raise ValueError(f"no answer to read JSON from: {self.code} {self.reason}")
        return _load_json(self._content, self.encoding)

    # The header section

    @property
    def version(self) -> str:
        """The HTTP version of the answer, ``"2.0"``, ``"1.1"`` or ``"1.0"``."""
        return {10: "1.0", 20: "2.0"}.get(self._head.version, "1.1")

    @property
    def headers(self) -> Headers:
        """The header fields by name."""
        if self._headers is None:
            self._headers = Headers(self._head.fields)
        return self._headers

    @property
    def header(self) -> list[str]:
        """The lines of the header section as they came."""
        return [f"{name}: {value}" for name, value in self._head.fields]

    def get_header(self, name: str, default: str | None = None) -> str | None:
        """Return the (first) value of a field."""
        return find(self._head.fields, name.lower(), default)

    def get_header_with_attr(self, name: str, default: str | None = None) -> tuple[str | None, dict[str, str]]:
        """Return the value of a field without its parameters, and these: ``("text/html", {"charset": "utf-8"})``."""
        value = self.get_header(name)
        if value is None:
            return default, {}
        return read_parameters(value)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the answer sets, by name. No later call sends them: cookies are not kept."""
        values = self.headers.get("set-cookie", [])
        found: dict[str, str] = {}
        for value in [values] if isinstance(values, str) else values:
            cookie = read_set_cookie(value)
            if cookie is not None:
                found[cookie[0]] = cookie[1]
        return found

    def _decode(self) -> Any:
        if self.status != outcomes.NORMAL:
            return None
        if not self._content:
            return b""
        kind = self.get_header("content-type") or ""
        if kind.lower().startswith("application/json"):
            return _load_json(self._content, self.encoding)
        return self._content


#: Codecs of Python that are none of text on the web, or that hide ASCII in other bytes.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


def _decode_text(content: bytes, charset: str) -> str:
    """Decode by a charset that a server has named; by UTF-8 when there is no such charset. Never raises."""
    try:
        codec = codecs.lookup(charset)
        if codec.name.replace("_", "-") not in _NO_CHARSETS:
            return content.decode(codec.name, "replace")
    except (LookupError, ValueError, TypeError):  # unknown, none of text, or with a NUL in its name
        pass
    return content.decode("utf-8", "replace")


def _load_json(content: bytes, charset: str) -> Any:
    """Read JSON as UTF-8, -16 or -32 (RFC 8259 section 8.1); when it is none of these, by the charset of its type."""
    try:
        try:
            return json.loads(content)
        except UnicodeDecodeError:
            return json.loads(_decode_text(content, charset))
    except RecursionError as error:  # the decoder of the standard library descends as deep as its document is
        raise ValueError("the JSON document is nested too deep") from error


class _Unread:
    def __repr__(self) -> str:
        return "not read yet"


_UNREAD = _Unread()
