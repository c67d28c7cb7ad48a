"""TLS contexts of both roles. They are built once and shared: loading the authorities of a system takes some 20 ms."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Final

from skitai.errors import ConfigurationError

#: What a server of ours offers by ALPN, best first.
SERVER_PROTOCOLS: Final = ("h2", "http/1.1")


@lru_cache(maxsize=64)
def client_context(verify: bool | str = True, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """Return the context for connections to servers, TLS 1.2 or newer.

    Args:
        verify: ``True`` checks certificate and host name against the authorities of the system; a string against
            those in this PEM file or directory; ``False`` checks nothing: anybody on the way can then read and change
            what is sent.
        protocols: offered by ALPN, best first.

    Raises:
        ConfigurationError: the file of authorities cannot be read.
    """
    try:
        if isinstance(verify, str):
            import os.path

            is_directory = os.path.isdir(verify)
            context = ssl.create_default_context(
                cafile=None if is_directory else verify, capath=verify if is_directory else None
            )
        else:
            context = ssl.create_default_context()
    except OSError as error:
        raise ConfigurationError(f"cannot read the certificate authorities in {verify!r}: {error}") from error
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context


def server_context(
    certfile: str,
    keyfile: str | None = None,
    passphrase: str | None = None,
    protocols: tuple[str, ...] = SERVER_PROTOCOLS,
) -> ssl.SSLContext:
    """Return the context of a listener, TLS 1.2 or newer.

    Args:
        certfile: PEM file of the certificate and its chain, perhaps with the key in it.
        keyfile: PEM file of the private key, when it is not in ``certfile``.
        passphrase: of an encrypted key.
        protocols: offered by ALPN, best first.

    Raises:
        ConfigurationError: the files cannot be read, do not belong together, or the passphrase is wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # CRIME; and a client cannot make us renegotiate again and again.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # Without a passphrase OpenSSL would ask for one on the terminal, and a server would hang there.
        context.load_cert_chain(certfile, keyfile, passphrase or _no_passphrase)
    except _MissingPassphrase:
        where = keyfile or certfile
        raise ConfigurationError(f"the private key in {where!r} is encrypted: give its passphrase") from None
    except FileNotFoundError as error:
        raise ConfigurationError(f"no such file: {certfile!r}" + (f" or {keyfile!r}" if keyfile else "")) from error
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = repr(certfile) + (f" and {keyfile!r}" if keyfile else "")
        raise ConfigurationError(f"cannot use the certificate and key in {files}: {error}") from error
    context.set_alpn_protocols(list(protocols))
    return context


class _MissingPassphrase(Exception):
    pass


def _no_passphrase() -> str:
    raise _MissingPassphrase
