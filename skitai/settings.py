"""Settings of a server: small, typed, each explained by unit and consequence. Building one does nothing else."""

from __future__ import annotations

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
    # Bodies up to this many bytes are read before the app is called; larger ones stream through ``wsgi.input``.
    buffered_body: int = 64 * KIB
    # Seconds from the first byte of a header section to its end; longer: 408.
    header_time: float = 10.0
    # Seconds a body may take before its speed counts; then it must keep up ``body_rate``; slower: 408.
    body_time: float = 20.0
    # Bytes per second that a body must average after ``body_time``.
    body_rate: int = 512
    # Seconds a response may wait for a client that takes no bytes; longer: the connection is closed.
    write_time: float = 30.0
    # Seconds an idle keep-alive connection stays open; then it is closed without an answer.
    keep_alive: float = 2.0
    # Seconds an HTTP/2 connection without a request stays open; then it ends with GOAWAY.
    http2_idle: float = 120.0
    # Seconds a TLS handshake may take.
    handshake_time: float = 10.0
    # Open client connections of one worker; one more gets 503 and is closed.
    connections: int = 20_000
    # Requests waiting for an app slot of one worker; one more gets 503 with Retry-After.
    queue: int = 1_000


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one worker needs to know to serve."""

    # App calls at one time; further requests wait first in, first out. 0 is the single-thread mode (one at a time).
    threads: int = 1_000
    # Worker processes, for ``wsgi.multiprocess``; 0 serves in the calling process.
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    # Seconds that a stop waits for requests in flight before their connections are closed.
    grace: float = 30.0
    # (URL path prefix, seconds) pairs for the Cache-Control of static files; the longest matching prefix counts.
    max_ages: tuple[tuple[str, int], ...] = ()

    @property
    def slots(self) -> int:
        """How many app calls run at one time (at least one)."""
        return self.threads or 1
