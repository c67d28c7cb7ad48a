"""XML-RPC documents, made and read by the standard library with the parser of defusedxml.

A document with a DTD or an entity is refused before anything of it is expanded.
"""

from __future__ import annotations

import re
import xmlrpc.client
from typing import Any

from defusedxml.common import DefusedXmlException
from defusedxml.xmlrpc import DefusedExpatParser

from skitai.wire.outcomes import UnreadableBody

Fault = xmlrpc.client.Fault

#: The specification allows these characters in the name of a method.
_is_method = re.compile(r"[A-Za-z0-9_.:/]+").fullmatch


def dump_call(method: str, params: tuple[Any, ...]) -> bytes:
    """Return a ``methodCall`` document in UTF-8; ``None`` may be among the values.

    Raises:
        ValueError: the name has a character that XML-RPC does not allow.
        TypeError, OverflowError: a value cannot be marshalled.
    """
    if not _is_method(method):
        raise ValueError(f"not the name of an XML-RPC method: {method!r}")
    return xmlrpc.client.dumps(params, method, allow_none=True, encoding="utf-8").encode("utf-8")


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
        UnreadableBody: it is not well-formed, not XML-RPC, or has a DTD or an entity.
    """
    unmarshaller = xmlrpc.client.Unmarshaller(use_datetime, use_datetime)
    try:
        parser = DefusedExpatParser(unmarshaller, forbid_dtd=True)
        parser.feed(document)
        parser.close()
        return unmarshaller.close(), unmarshaller.getmethodname()
    except Fault:
        raise
    except DefusedXmlException as error:
        raise UnreadableBody(f"the XML-RPC document has a DTD or an entity: {error}") from error
    except Exception as error:
        # The unmarshaller of the standard library trusts its peer: tags in the wrong order make it raise anything.
        raise UnreadableBody(f"not an XML-RPC document: {error!r}") from error


def load_result(document: bytes) -> Any:
    """Return the value of a ``methodResponse``; a single one is taken out of its tuple. Errors as :func:`load`."""
    params, _ = load(document)
    return params[0] if len(params) == 1 else params
