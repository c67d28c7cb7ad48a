"""XML-RPC documents, made and read by the standard library with the parser of defusedxml.

A document with a DTD or an entity is refused before anything of it is expanded.
"""

from __future__ import annotations

import re
import xmlrpc.client
from contextlib import suppress
from typing import Any

from defusedxml.common import DefusedXmlException
from defusedxml.xmlrpc import DefusedExpatParser

from skitai.wire.outcomes import UnreadableBody

Fault = xmlrpc.client.Fault

#: The specification allows these characters in the name of a method.
_is_method = re.compile(r"[A-Za-z0-9_.:/]+").fullmatch

#: Characters that no XML document may have, not even escaped (XML 1.0 section 2.2). The standard library sends them.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


#: Arrays and structs inside one another. A hostile peer may nest 100,000, and even to log such a value is a
#: RecursionError.
DEEPEST = 100


class _Unmarshaller(xmlrpc.client.Unmarshaller):
    """The standard library's, with a bound on nesting."""

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        marks: list[int] = self._marks  # one for each array or struct that is open
        if len(marks) > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} levels")
        super().start(tag, attrs)


def dump_call(method: str, params: tuple[Any, ...]) -> bytes:
    """Return a ``methodCall`` document in UTF-8; ``None`` may be among the values.

    Raises:
        ValueError: the name has a character that XML-RPC does not allow, or a text one that XML does not.
        TypeError, OverflowError: a value cannot be marshalled.
    """
    if not _is_method(method):
        raise ValueError(f"not the name of an XML-RPC method: {method!r}")
    return _encode(xmlrpc.client.dumps(params, method, allow_none=True, encoding="utf-8"))


def dump_response(value: Any) -> bytes:
    """Return a ``methodResponse`` document with one value.

    Raises:
        ValueError, TypeError, OverflowError: it cannot be marshalled.
    """
    return _encode(xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True, encoding="utf-8"))


def dump_fault(code: int, text: str) -> bytes:
    """Return a ``methodResponse`` document that says what went wrong; see :func:`clean` for its text."""
    return _encode(xmlrpc.client.dumps(Fault(code, clean(text)), methodresponse=True, encoding="utf-8"))


def clean(text: str) -> str:
    """Return a text with U+FFFD in place of what XML cannot have."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def _encode(document: str) -> bytes:
    found = _ILLEGAL.search(document)
    if found is not None:
        raise ValueError(f"XML has no character {found[0]!r}: send the bytes instead")
    # A parser takes a bare carriage return for the end of a line (XML 1.0 section 2.11); the marshaller writes none.
    return document.replace("\r", "&#13;").encode("utf-8")


def dump_params(params: Any) -> str:
    """Return a ``params`` document of a tuple; anything else counts as the only parameter. Of a Fault: ``fault``."""
    if not isinstance(params, (tuple, Fault)):
        params = (params,)
    return xmlrpc.client.dumps(params, allow_none=True)


def load(document: str | bytes, use_datetime: bool = False) -> tuple[tuple[Any, ...], str | None]:
    """Return the parameters and, for a ``methodCall``, the name of the method.

    Args:
        use_datetime: give ``datetime`` instead of ``xmlrpc.client.DateTime``.

    Raises:
        xmlrpc.client.Fault: the document is a fault.
        UnreadableBody: it is not well-formed, not XML-RPC, nested deeper than :data:`DEEPEST`, or it has a DTD or an
            entity.
    """
    unmarshaller = _Unmarshaller(use_datetime, use_datetime)
    try:
        parser = DefusedExpatParser(unmarshaller, forbid_dtd=True)
        _feed(parser, document)
        parser.close()
        return unmarshaller.close(), unmarshaller.getmethodname()
    except Fault:
        raise
    except DefusedXmlException as error:
        raise UnreadableBody(f"the XML-RPC document has a DTD or an entity: {error}") from error
    except Exception as error:
        # The unmarshaller of the standard library trusts its peer: tags in the wrong order make it raise anything.
        raise UnreadableBody(f"not an XML-RPC document: {error!r}") from error


def _feed(parser: DefusedExpatParser, document: str | bytes) -> None:
    try:
        parser.feed(document)
    except Exception:
        # It and its handlers hold each other, and what was read, until it is closed; which complains once more.
        with suppress(Exception):
            parser.close()
        raise


def load_result(document: bytes) -> Any:
    """Return the value of a ``methodResponse``; a single one is taken out of its tuple. Errors as :func:`load`."""
    params, _ = load(document)
    return params[0] if len(params) == 1 else params
