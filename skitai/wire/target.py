"""The request target and the Host field (RFC 9112 section 3.2, RFC 3986 section 3.2)."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote_to_bytes

from skitai.errors import RemoteProtocolError

# RFC 3986 has the comma in a reg-name as well. No name in use has one, but two Host fields that a proxy joined do. Nor
# is there a name with percent-encoding: who decodes it sees another host than the one that a request was routed by.
_REG_NAME = re.compile(r"[A-Za-z0-9\-._~!$&'()*+;=]*+")
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?]*)(.*)", re.DOTALL)

_MOST_HOSTS = 1024
_valid_hosts: set[str] = set()


def is_valid_host(value: str) -> bool:
    """Tell whether ``value`` is ``uri-host [ ":" port ]``; an empty one is (RFC 9112 section 3.2)."""
    if value in _valid_hosts:
        return True
    if not _has_host_grammar(value):
        return False
    if len(_valid_hosts) < _MOST_HOSTS:
        _valid_hosts.add(value)
    return True


def _has_host_grammar(value: str) -> bool:
    if value.startswith("["):
        literal, bracket, port = value[1:].partition("]")
        if not bracket or not _is_ip_literal(literal):
            return False
        if port and not port.startswith(":"):
            return False
        port = port[1:]
    else:
        name, _, port = value.partition(":")
        if not _REG_NAME.fullmatch(name) or (not name and ":" in value):
            return False
    return not port or (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535)


def _is_ip_literal(text: str) -> bool:
    # An address of a future version ("v1.a") has no meaning yet, and without its brackets it would be a name.
    if "%" in text:  # a zone identifier means something on the sender's machine only (RFC 6874)
        return False
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def split_host(authority: str) -> tuple[str, str]:
    """Return (host in lower case without brackets, port or ``""``) of a valid authority."""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        return host.lower(), port[1:]
    host, _, port = authority.partition(":")
    return host.lower(), port


def check_target(method: str, target: str) -> str | None:
    """Check that a request target has a form its method allows (RFC 9112 section 3.2).

    Returns:
        The authority that the target itself names (absolute-form, authority-form), else ``None``.

    Raises:
        RemoteProtocolError: no allowed form, or its authority is not valid.
    """
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        if not host or not port.isdigit() or not is_valid_host(target):
            raise RemoteProtocolError("CONNECT needs host:port as its target")
        return target
    if target.startswith("/"):
        return None
    if target == "*":
        if method != "OPTIONS":
            raise RemoteProtocolError("the target * is for OPTIONS only")
        return None
    return _check_absolute(target)


def _check_absolute(target: str) -> str:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise RemoteProtocolError("the request target has none of the four forms")
    authority = match.group(2)
    if not authority or not is_valid_host(authority) or authority.startswith(":"):
        raise RemoteProtocolError("the authority of the request target is not valid")
    return authority


def split_target(target: str) -> tuple[str, str]:
    """Return (path still percent-encoded, query) of a target in any form; an empty path counts as ``/``."""
    if not target.startswith("/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is not None:
            target = match.group(3)
            if not target.startswith("/"):
                target = "/" + target
    path, _, query = target.partition("?")
    return path, query


def decode_path(path: str) -> str:
    """Return a path with its percent-encoding undone, as bytes held in ISO 8859-1 (PEP 3333, ``PATH_INFO``)."""
    if "%" not in path:
        return path
    return unquote_to_bytes(path).decode("latin-1")
