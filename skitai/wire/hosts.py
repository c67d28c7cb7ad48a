"""The host of a URL, of an alias member or of a virtual host: the one reading of it that everything goes by.

Filters against requests to one's own network look at the host of a URL. What they see and what is connected must be the
same, so a host that programs read in different ways is refused: other spellings of an IPv4 address than four decimal
numbers (RFC 3986 section 7.4), percent-encoding, a future address (``[v1.a]``), characters that cannot be seen, and
names outside ASCII that turn out to be an address. Other names outside ASCII are mapped by UTS 46 and encoded by IDNA
2008 (RFC 5891).
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

#: Letters, digits, hyphen, and the underscore that names of containers and services have; at most 63 of them.
_is_label = re.compile(r"[A-Za-z0-9_\-]{1,63}").fullmatch
#: A last label that browsers and resolvers take for the end of an IPv4 address (WHATWG URL, "ends in a number").
_is_number = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*").fullmatch
_is_ipv4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}").fullmatch
#: Characters of a name, without a dot at its end (RFC 1035 section 2.3.4).
_MOST_CHARACTERS: Final = 253


@lru_cache(maxsize=1024)
def normal_host(host: str) -> str:
    """Return a host as it is connected to, compared and shown: in lower case and ASCII.

    Args:
        host: a name, an IPv4 address, or an IPv6 address with or without its brackets. A dot behind a name makes it
            absolute and stays.

    Raises:
        ValueError: there can be no such host, or others would read it as another one.
    """
    if host[:1] == "[" or ":" in host:
        return _normal_ipv6(host)
    if len(host) > 2 * _MOST_CHARACTERS:  # what is too long by far is not worth the tables
        raise ValueError("a host name is too long")
    name = host.lower() if host.isascii() else _mapped(host)
    labels = name.removesuffix(".").split(".")
    if not all(map(_is_label, labels)) or len(name.removesuffix(".")) > _MOST_CHARACTERS:
        raise ValueError(f"not a host name: {host!r}")
    if _is_number(labels[-1]) and (name != host.lower() or not _is_ipv4(name)):
        raise ValueError(f"{host!r} may be read as an address: write it with four decimal numbers, as 127.0.0.1")
    return name


def absolute_name(host: str) -> str:
    """Return ``host`` without the dot that makes a name absolute: as TLS takes it (RFC 6066 section 3)."""
    return host.removesuffix(".")


def _normal_ipv6(host: str) -> str:
    literal = host
    if host[:1] == "[":
        if host[-1:] != "]":
            raise ValueError(f"not an IPv6 address: {host!r}")
        literal = host[1:-1]
    # A zone (RFC 6874) means something on one machine only.
    if "%" not in literal:
        try:
            return str(IPv6Address(literal))
        except AddressValueError:
            pass
    raise ValueError(f"not an IPv6 address: {host!r}")


def _mapped(host: str) -> str:
    import idna  # its tables take 10 ms, and few names need them

    try:
        if any(not idna.uts46_remap(character, False, False) for character in host):
            raise ValueError(f"a character that cannot be seen is in the host name {host!a}")
        labels = idna.uts46_remap(host, False, False).split(".")
        return ".".join([label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels])
    except UnicodeError as error:  # of idna, too
        raise ValueError(f"not a host name: {host!a}: {error}") from error
