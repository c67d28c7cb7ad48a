"""Settings of a server: small, typed, each explained by unit and consequence. Building one does nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KIB = 1024
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that one client cannot push a server past.

    Each bound has its own answer, named in its comment; 0 or ``None`` never means "no limit".
    """

    # Bytes of the request line with its CRLF; longer: 414. nginx and gunicorn allow about 8 KiB.
    request_line: int = 8190
    # Header fields of one request; more: 431. Apache and gunicorn allow 100.
    header_count: int = 100
    # Bytes of the whole header section; more: 431.
    header_bytes: int = 64 * KIB
    # Bytes of a request body that is not multipart; more: 413 (``app.config.max_post_body_size``).
    body_bytes: int = 5 * MIB
    # Bytes of a multipart request body; more: 413 (``app.config.max_multipart_body_size``).
    multipart_bytes: int = 20 * MIB
    # Bodies up to this many bytes are read before the app is called; larger ones stream through ``wsgi.input``, or wait
    # in a temporary file (``ServerSettings.spool_bodies``).
    buffered_body: int = 64 * KIB
    # Bytes of request bodies that one worker has in temporary files at a time; the request that would be more gets 503.
    spooled_bytes: int = 4 * 1024 * MIB
    # Seconds from the first byte of a header section to its end; longer: 408.
    header_time: float = 10.0
    # Seconds a body may take before its speed counts; then it must keep up ``body_rate``; slower: 408.
    body_time: float = 20.0
    # Bytes per second that a body must average after ``body_time``.
    body_rate: int = 512
    # Seconds a response may wait for a client that takes no bytes; longer: the connection is closed.
    write_time: float = 30.0
    # Seconds an idle keep-alive connection stays open; then it is closed without an answer.
    keep_alive: float = 75.0
    # Seconds that the idle connections of a worker which a reload replaces stay open for one more request, whose answer
    # says that it is the last. Then they are closed; with less, clients that ask less often lose requests.
    drain_time: float = 10.0
    # Seconds an HTTP/2 connection without a request stays open; then it ends with GOAWAY.
    http2_idle: float = 120.0
    # Requests that one HTTP/2 connection may have at a time; clients wait with further ones, or open a second one. What
    # lasts, as streams of gRPC do, counts as long as it lasts. RFC 9113 recommends no fewer than 100.
    http2_streams: int = 128
    # Bytes of responses over HTTP/2 that one worker holds for clients that do not take them; above it the client that
    # lets most of them wait loses all but one of its responses.
    http2_unsent: int = 256 * MIB
    # Seconds a TLS handshake may take.
    handshake_time: float = 10.0
    # Open client connections of one worker; one more gets 503 and is closed.
    connections: int = 20_000
    # Bytes of one WebSocket message, decompressed; more: closed with 1009.
    websocket_message: int = 16 * MIB
    # Bytes that a WebSocket client has not taken of what others said to it; more: the connection is closed.
    websocket_unsent: int = 4 * MIB
    # Seconds that the other end of a WebSocket has to answer a close frame; then the connection is closed.
    websocket_close_time: float = 5.0
    # Requests waiting for an app slot of one worker; one more gets 503 with Retry-After.
    queue: int = 1_000


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a server speaks TLS, beside its first certificate."""

    # Further certificates, each the path of a PEM file or a dict with ``certfile`` and perhaps ``keyfile``,
    # ``passphrase`` and ``names``. The one whose names cover the host that a client asks for (SNI) is shown.
    certificates: tuple[str | Mapping[str, object], ...] = field(default=(), repr=False)
    # PEM file or directory of the authorities whose clients are let in; with it, clients are asked for a certificate.
    client_ca: str | None = None
    # Whether a client without a certificate is refused ("required") or served as nobody ("optional").
    client_certificate: str = "required"
    # PEM file of the revocation lists of these authorities; a client on one of them, or whose authority has none there,
    # is refused.
    client_crl: str | None = None
    # "1.2" or "1.3"; clients that only know older versions cannot connect.
    minimum_version: str = "1.2"
    # Cipher suites of TLS 1.2 in the words of OpenSSL; those of 1.3 are all good. None: those with forward secrecy and
    # AEAD, as HTTP/2 asks for (RFC 9113 section 9.2.2); clients that only know CBC cannot connect.
    ciphers: str | None = None
    # A plain port whose requests are all redirected (308) to the same URL with https; None: no such port.
    redirect_from: int | None = None
    # Seconds that browsers shall come by https only (Strict-Transport-Security); 0 does not say so. They cannot be told
    # otherwise before it is over, so begin with minutes.
    hsts: int = 0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one worker needs to know to serve."""

    # App calls at one time; further requests wait first in, first out. 0 is the single-thread mode (one at a time).
    threads: int = 1_000
    # Worker processes, for ``wsgi.multiprocess``; 0 serves in the calling process.
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    # Whether a body without Content-Length that is larger than ``Limits.buffered_body`` waits in a temporary file until
    # its length is known, before a WSGI app is called. Without it apps that go by CONTENT_LENGTH take it for empty.
    spool_bodies: bool = True
    # Seconds that a stop waits for requests in flight before their connections are closed.
    grace: float = 30.0
    # Seconds that new workers may take to become ready when SIGHUP comes; then they end and the old ones stay.
    reload_time: float = 60.0
    # Seconds without a sign of life after which a worker is logged with its stack, and replaced; 0 never does.
    worker_timeout: float = 30.0
    # Seconds that a request may hold the loop before the app log says which one it is; 0 never does.
    blocked_loop: float = 1.0
    # (URL path prefix, seconds) pairs for the Cache-Control of static files; the longest matching prefix counts.
    max_ages: tuple[tuple[str, int], ...] = ()
    # Whether static mounts serve files whose name, or that of a directory above, begins with a dot, as .env and
    # .git/config. Without it there is no such file for clients, but below /.well-known/ (RFC 8615).
    dot_files: bool = False
    # Whether ports without TLS speak HTTP/2 too: by prior knowledge, and behind "Upgrade: h2c". A proxy that passes
    # this field on makes a tunnel by it, through which clients send what it never sees.
    h2c: bool = True
    # Seconds in the Strict-Transport-Security of every response; 0 sends none. For servers that speak TLS only.
    hsts: int = 0

    @property
    def slots(self) -> int:
        """How many app calls run at one time (at least one)."""
        return self.threads or 1
