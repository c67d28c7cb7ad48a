"""Bounds and defaults of the calls that this process makes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from skitai.constants import NAME
from skitai.net.tls import check_ciphers
from skitai.settings import MIB, Limits
from skitai.wire.client_certificate import ClientCertificate


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What holds for every call that does not say otherwise."""

    # Seconds for name, connection and TLS handshake together; longer: status 2, code 702.
    connect_time: float = 5.0
    # Seconds without a byte in either direction; longer: status 2, code 702. ``timeout=`` of a call sets its own.
    idle_time: float = 10.0
    # Seconds from the start of a call to the end of its answer, however steadily it drips; longer: status 2, code 702.
    total_time: float = 600.0
    # Seconds that an unused connection is kept; a server that announces less (Keep-Alive: timeout=5) gets less.
    keep_time: float = 120.0
    # Open connections to one server; further calls wait for one of them, at most ``idle_time``.
    connections: int = 1_000
    # Open connections to one database as one user; further calls wait for one of them, at most ``idle_time``.
    db_connections: int = 20
    # Seconds after which a connection to a database is replaced by a new one, when it is given back.
    db_life: float = 3600.0
    # Seconds that a connection to a database may idle before it is asked for a sign of life when it is used again.
    db_check_after: float = 30.0
    # Whether SQLite enforces foreign keys; its own default is that it does not.
    foreign_keys: bool = False
    # The database of MongoDB where users are known; an account that was made in another one needs that one's name.
    mongodb_auth_source: str = "admin"
    # Bytes of one answer after its content coding is undone, or of the documents of one; more: status 2, code 718.
    body_bytes: int = 256 * MIB
    # How many times as large as its body an answer may become when its content coding is undone, beyond the first
    # 16 MiB; more: status 2, code 718.
    decode_ratio: float = 1_000.0
    # Bytes of one message of gRPC, packed and unpacked; more: its call ends with RESOURCE_EXHAUSTED.
    grpc_message_bytes: int = 4 * MIB
    # Certificates are checked against the system's authorities (True), this PEM file (a string), or not at all (False).
    verify: bool | str = True
    # Our certificate, for servers that ask for one: a PEM file, or (certfile, keyfile[, passphrase]). It is read once.
    cert: ClientCertificate | None = None
    # Cipher suites of TLS 1.2 in the words of OpenSSL, for servers that have none of the default: those with forward
    # secrecy and AEAD (RFC 9113 section 9.2.2), so none in CBC mode. Those of 1.3 are all good.
    ciphers: str | None = None
    # HTTP/2: where TLS agrees on it (None), without TLS as well (True), never (False). ``http2=`` of a call or alias
    # says it for these.
    http2: bool | None = None
    # The User-Agent field.
    user_agent: str = NAME
    # Bounds of the header section of an answer; one beyond is an invalid answer (status 2, code 716).
    limits: Limits = field(default_factory=lambda: Limits(header_count=200))


#: What holds now; replaced as a whole by :func:`configure`.
current = ClientSettings()
#: Another number after each change.
version = 0


def security(
    verify: bool | str | None, cert: ClientCertificate | None = None
) -> tuple[bool | str, ClientCertificate | None]:
    """Return how certificates of a server are checked and what we show: as a call or an alias says, else as here.

    Args:
        verify, cert: of the call or the alias; ``None``: it does not say.
    """
    return current.verify if verify is None else verify, cert or current.cert


def configure(**changes: Any) -> ClientSettings:
    """Change settings for all calls from now on; connections that are open stay as they are.

    Args:
        **changes: fields of :class:`ClientSettings`.

    Raises:
        TypeError: there is no such setting. ConfigurationError: ``cert`` is none of what it may be, or ``ciphers``
            names no suite that OpenSSL has.
    """
    if changes.get("ciphers") is not None:
        check_ciphers(changes["ciphers"])
    if "cert" in changes:
        changes["cert"] = ClientCertificate.read(changes["cert"])
    global current, version
    current = replace(current, **changes)
    version += 1
    return current
