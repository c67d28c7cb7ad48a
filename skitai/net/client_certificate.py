"""Who a client is by its certificate, in the variables that apps know from other servers (Apache's names)."""

from __future__ import annotations

import ssl
from datetime import datetime
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

#: What a client without a certificate has; nothing else about it is known.
NOBODY: Final = {"SSL_CLIENT_VERIFY": "NONE"}


def describe(certificate: bytes | None) -> dict[str, str]:
    """Return the variables for a certificate whose signature, time and purpose were checked in the handshake.

    Args:
        certificate: in DER; ``None`` or empty when the client sent none.

    Returns:
        ``SSL_CLIENT_VERIFY`` is ``SUCCESS``, or ``NONE``, or ``FAILED:`` with the reason why nothing more can be said
        of a certificate that OpenSSL accepted. With a certificate also ``SSL_CLIENT_S_DN`` and
        ``SSL_CLIENT_I_DN`` (subject and issuer by RFC 4514, most specific part first), ``SSL_CLIENT_S_DN_CN``
        (the common name), ``SSL_CLIENT_M_SERIAL`` (hexadecimal), ``SSL_CLIENT_V_START``, ``SSL_CLIENT_V_END`` and
        ``SSL_CLIENT_CERT`` (PEM).
    """
    if not certificate:
        return NOBODY
    from cryptography import x509  # only servers that ask for certificates need it
    from cryptography.x509.oid import NameOID

    pem = ssl.DER_cert_to_PEM_cert(certificate)
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        common = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:  # this parser is stricter
        return {"SSL_CLIENT_VERIFY": f"FAILED:{error}", "SSL_CLIENT_CERT": pem}
    return {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": _cgi_text(parsed.subject.rfc4514_string()),
        "SSL_CLIENT_S_DN_CN": _cgi_text(str(common[0].value)) if common else "",
        "SSL_CLIENT_I_DN": _cgi_text(parsed.issuer.rfc4514_string()),
        "SSL_CLIENT_M_SERIAL": f"{parsed.serial_number:X}",
        "SSL_CLIENT_V_START": _time(parsed.not_valid_before_utc),
        "SSL_CLIENT_V_END": _time(parsed.not_valid_after_utc),
        "SSL_CLIENT_CERT": pem,
    }


def _cgi_text(text: str) -> str:
    """UTF-8 in ISO 8859-1, as PEP 3333 wants every text of an environ."""
    return text.encode().decode("latin-1")


def _time(moment: datetime) -> str:
    """As OpenSSL prints it, and :func:`ssl.cert_time_to_seconds` reads it."""
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {moment:%H:%M:%S %Y} GMT"
