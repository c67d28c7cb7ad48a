"""TLS contexts of both roles. They are built once and shared: loading the authorities of a system takes some 20 ms."""

from __future__ import annotations

import os.path
import ssl
from functools import lru_cache
from typing import Any, Final

from skitai.errors import ConfigurationError
from skitai.net.certificates import Certificate, named_hosts
from skitai.net.files import is_file_or_directory
from skitai.net.server_names import NameTable
from skitai.settings import TlsSettings
from skitai.wire.client_certificate import ClientCertificate

#: What a server of ours offers by ALPN, best first.
SERVER_PROTOCOLS: Final = ("h2", "http/1.1")

#: Suites of TLS 1.2 with forward secrecy and AEAD. HTTP/2 forbids all others (RFC 9113 section 9.2.2), and one list is
#: for both versions of HTTP, as the suite is chosen before the protocol. Those of TLS 1.3 are not in it: all are good.
CIPHERS: Final = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!eNULL:!aDSS:!PSK"

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_MODES: Final = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL}


@lru_cache(maxsize=64)
def client_context(
    verify: bool | str = True,
    protocols: tuple[str, ...] = ("http/1.1",),
    certificate: ClientCertificate | None = None,
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """Return the context for connections to servers, TLS 1.2 or newer.

    Args:
        verify: ``True`` checks certificate and host name against the authorities of the system; a string against
            those in this PEM file or directory; ``False`` checks nothing: anybody on the way can then read and change
            what is sent.
        protocols: offered by ALPN, best first.
        certificate: of the client, for servers that ask for one.
        ciphers: suites of TLS 1.2; ``None``: :data:`CIPHERS`.

    Raises:
        ConfigurationError: the file of authorities, or that of the client's certificate, cannot be used; ``ciphers``
            names no suite that OpenSSL has.
    """
    if isinstance(verify, str):
        _require_file(verify)
    try:
        context = ssl.create_default_context(**(_authorities(verify) if isinstance(verify, str) else {}))
    except OSError as error:
        raise ConfigurationError(f"cannot read the certificate authorities in {verify!r}: {error}") from error
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _set_ciphers(context, ciphers)
    context.set_alpn_protocols(list(protocols))
    if certificate is not None:
        load(context, certificate)
    return context


def server_context(
    certfile: str,
    keyfile: str | None = None,
    passphrase: str | None = None,
    protocols: tuple[str, ...] = SERVER_PROTOCOLS,
    settings: TlsSettings | None = None,
) -> ssl.SSLContext:
    """Return the context of a listener.

    Args:
        certfile: PEM file of the certificate and its chain, perhaps with the key in it.
        keyfile: PEM file of the private key, when it is not in ``certfile``.
        passphrase: of an encrypted key.
        protocols: offered by ALPN, best first.
        settings: everything else; TLS 1.2 or newer and no client certificates when not given.

    Raises:
        ConfigurationError: files cannot be read, do not belong together, or are for no host or for the same; the
            passphrase is wrong; a setting is not one that OpenSSL has.
    """
    settings = settings or TlsSettings()
    first = Certificate(certfile, keyfile, passphrase)
    context = _server_context(first, protocols, settings)
    if settings.certificates:
        names = NameTable()
        for certificate in map(Certificate.read, settings.certificates):
            own = _server_context(certificate, protocols, settings)
            names.add(certificate.hosts(), own, certificate.certfile)
        # The first one is for all others anyway; its own exact names must only not fall to somebody's wildcard.
        names.add_missing(named_hosts(certfile), context, certfile)
        names.serve(context)
    return context


def certificates_of(
    certfile: str, keyfile: str | None, passphrase: str | None, settings: TlsSettings
) -> list[Certificate]:
    """Return all certificates of a server, the first one first.

    Raises:
        ConfigurationError: a further one is not described as it must be.
    """
    return [Certificate(certfile, keyfile, passphrase), *map(Certificate.read, settings.certificates)]


def load(context: ssl.SSLContext, certificate: Certificate | ClientCertificate) -> None:
    """Let a context show a certificate, from the next handshake on.

    Raises:
        ConfigurationError: the files cannot be read, do not belong together, or the passphrase is wrong.
    """
    certfile, keyfile = certificate.certfile, certificate.keyfile
    for path in (certfile, keyfile):
        if path is not None:
            _require_file(path)
    try:
        # Without a passphrase OpenSSL would ask for one on the terminal, and a server would hang there.
        context.load_cert_chain(certfile, keyfile, certificate.passphrase or _no_passphrase)
    except _MissingPassphrase:
        where = keyfile or certfile
        raise ConfigurationError(f"the private key in {where!r} is encrypted: give its passphrase") from None
    except FileNotFoundError as error:
        raise ConfigurationError(f"no such file: {certfile!r}" + (f" or {keyfile!r}" if keyfile else "")) from error
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = repr(certfile) + (f" and {keyfile!r}" if keyfile else "")
        raise ConfigurationError(f"cannot use the certificate and key in {files}: {error}") from error


def _server_context(certificate: Certificate, protocols: tuple[str, ...], settings: TlsSettings) -> ssl.SSLContext:
    """All contexts of a listener are alike but for what they show: which one a client names must open no other door."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # CRIME; and a client cannot make us renegotiate again and again.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.minimum_version = VERSIONS[settings.minimum_version]
    except KeyError:
        given = settings.minimum_version
        raise ConfigurationError(f"minimum_version={given!r} cannot be: give '1.2' or '1.3'") from None
    _set_ciphers(context, settings.ciphers)
    load(context, certificate)
    _ask_clients(context, settings)
    context.set_alpn_protocols(list(protocols))
    return context


def check_ciphers(ciphers: str) -> None:
    """Raise ConfigurationError when OpenSSL knows none of these cipher suites."""
    _set_ciphers(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ciphers)


def _set_ciphers(context: ssl.SSLContext, ciphers: str | None) -> None:
    try:
        context.set_ciphers(ciphers or CIPHERS)
    except (ssl.SSLError, TypeError):
        raise ConfigurationError(
            f"ciphers={ciphers!r} has no cipher suite that OpenSSL knows: `openssl ciphers` lists them"
        ) from None


def _ask_clients(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.client_certificate not in _MODES:
        raise ConfigurationError(
            f"client_certificate={settings.client_certificate!r} cannot be: give 'required' or 'optional'"
        )
    if settings.client_ca is None:
        if settings.client_crl is not None or settings.client_certificate != "required":
            raise ConfigurationError("clients are asked for certificates only with client_ca: give their authorities")
        return
    _require_file(settings.client_ca)
    try:
        context.load_verify_locations(**_authorities(settings.client_ca))
    except OSError as error:
        raise ConfigurationError(f"cannot read client_ca={settings.client_ca!r}: {error}") from error
    if settings.client_crl is not None:
        _require_file(settings.client_crl)
        try:
            context.load_verify_locations(cafile=settings.client_crl)
        except OSError as error:
            raise ConfigurationError(f"cannot read client_crl={settings.client_crl!r}: {error}") from error
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = _MODES[settings.client_certificate]


def _require_file(path: str) -> None:
    """Refuse what OpenSSL would wait for, as a FIFO; what is not there it says itself."""
    if not is_file_or_directory(path):
        raise ConfigurationError(f"{path!r} is no regular file")


def _authorities(path: str) -> dict[str, Any]:
    return {"capath" if os.path.isdir(path) else "cafile": path}


class _MissingPassphrase(Exception):
    pass


def _no_passphrase() -> str:
    raise _MissingPassphrase
