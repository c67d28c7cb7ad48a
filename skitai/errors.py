"""Every exception that Skitai raises on purpose.

SkitaiError
├── ConfigurationError      a script or a setting is wrong; the text names the next step
│   └── LaunchError             a server cannot be started or stopped as asked (also a SystemError)
├── UnknownAlias            ``was.get("@nope/x")`` with no such alias (also a KeyError)
├── ProtocolError           bytes on a connection broke a protocol's rules
│   ├── RemoteProtocolError     the peer is to blame; carries the status a server answers with
│   │   └── RequestBodyFailed       the body that an app reads will never be complete (also a ConnectionError)
│   └── LocalProtocolError      our own side (an app, a caller) tried to send something invalid
├── ConnectionFailed        the network failed; carries the 7xx code of the result
│   ├── NameNotFound, ConnectFailed, ConnectTimeout, ReadTimeout, WriteTimeout, PeerClosed, TlsFailed
│   └── CallCancelled           ``request.cancel()``: whoever called wants no answer any more
├── OperationTimeout        a wait ended before its result came
├── RequestFailed           ``reraise()`` of a result whose status is not 3
├── TransactionFailed       a transaction was to be committed after one of its statements had failed
├── GrpcError               a gRPC call ended with a status other than OK; a function raises it, and ``reraise()`` does
│   └── GrpcCallFailed          by ``reraise()``: another server said so
├── CallEnded               a message was to be sent in a call that is over
└── ClientDisconnected      the client of a served request went away

AlreadyRunning is no error but the end of a module: a SystemExit, as all that leaves ``skitai.run()``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class SkitaiError(Exception):
    """Root of all errors that Skitai raises on purpose."""


class ConfigurationError(SkitaiError):
    """A script, a setting or a command line is wrong; the text says what to do."""


class LaunchError(ConfigurationError, SystemError):
    """A server cannot be started or stopped as asked: nothing is mounted, none runs, one runs already."""


class AlreadyRunning(SystemExit):
    """``skitai.run()`` was called in a process that serves: by an app file that is a run script as well."""

    def __init__(self) -> None:
        super().__init__("skitai.run() was called in a process that serves already")


class UnknownAlias(SkitaiError, KeyError):
    """A call named a cluster that was never defined.

    Args:
        name: the alias without its leading ``@``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"alias @{self.name} is not defined: call skitai.alias('@{self.name}', type, servers) before skitai.run()"
        )


class ProtocolError(SkitaiError):
    """Bytes on a connection broke a protocol's rules."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that its protocol forbids.

    Args:
        message: what was wrong, in one sentence without the offending bytes.
        status: the HTTP status a server answers with (RFC 9110 section 15).
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RequestBodyFailed(RemoteProtocolError, ConnectionError):
    """The rest of a request body will never come: its client left in the middle of it, was too slow, sent too much, or
    broke the rules of its framing.

    It is a ConnectionError because frameworks know uploads that were broken off by OSError. A client that broke the
    connection as well is told of by :class:`ClientDisconnected`, which is one too.
    """


class LocalProtocolError(ProtocolError):
    """Our own side was about to send something that the protocol forbids."""


class ConnectionFailed(SkitaiError):
    """The network failed between us and a peer.

    Attributes:
        code: the 7xx code that a result of ``was`` carries for it.
    """

    code = 700


class NameNotFound(ConnectionFailed):
    """A host name has no address."""

    code = 704


class ConnectFailed(ConnectionFailed):
    """No address of the peer accepted a connection."""

    code = 714


class ConnectTimeout(ConnectFailed):
    """Connecting, or its TLS handshake, took longer than allowed."""

    code = 702


class TlsFailed(ConnectionFailed):
    """The TLS handshake failed; a certificate that does not verify is the usual cause."""

    code = 715


class ReadTimeout(ConnectionFailed):
    """The peer sent nothing for longer than allowed."""

    code = 702


class WriteTimeout(ConnectionFailed):
    """The peer took no bytes for longer than allowed."""

    code = 702


class PeerClosed(ConnectionFailed):
    """The peer closed the connection before its answer was complete."""

    code = 705


class CallCancelled(ConnectionFailed):
    """Whoever called wants no answer any more."""

    code = 706


class OperationTimeout(SkitaiError):
    """A wait ended before its result came."""


class RequestFailed(SkitaiError):
    """Raised by ``reraise()`` when a request did not end with status 3.

    Args:
        code: the 7xx code.
        reason: its text.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code} {self.reason}"


class TransactionFailed(SkitaiError):
    """A transaction was to be committed after one of its statements had failed: nothing of it was kept."""


class GrpcCode(IntEnum):
    """The status codes of gRPC, as its specification names and numbers them."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @classmethod
    def find(cls, code: GrpcCode | int | str) -> GrpcCode:
        """Return the code of a number or a name; a number that is none is UNKNOWN.

        Raises:
            ValueError: there is no such name.
        """
        if isinstance(code, str):
            try:
                return cls[code]
            except KeyError:
                raise ValueError(f"{code!r} is no status code of gRPC: they are {', '.join(cls.__members__)}") from None
        return cls(code) if 0 <= code <= 16 else cls.UNKNOWN


class GrpcError(SkitaiError):
    """A gRPC call ended with a status other than OK.

    A function of a service raises it to say what its client gets; ``reraise()`` of a result raises it for what a server
    said.

    Args:
        code: a :class:`GrpcCode`, its number or its name; a number that is none counts as UNKNOWN.
        details: one sentence for the client.
        metadata: trailing (name, value) pairs; values of names that end with ``-bin`` are bytes.

    Raises:
        ValueError: there is no code of this name, or it is OK, which is no error.
    """

    def __init__(
        self, code: GrpcCode | int | str, details: str = "", metadata: Iterable[tuple[str, str | bytes]] = ()
    ) -> None:
        self.code = GrpcCode.find(code)
        if self.code is GrpcCode.OK:
            raise ValueError("OK is no error: return a message instead")
        super().__init__(self.code, details)
        self.details = details
        self.metadata = list(metadata)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.details}" if self.details else self.code.name


class GrpcCallFailed(GrpcError):
    """Raised by ``reraise()`` of a gRPC call: what another server said. A service does not pass it on to its client."""


class CallEnded(SkitaiError):
    """A message was to be sent in a call that is over, or that was told to be complete."""


class ClientDisconnected(SkitaiError, ConnectionError):
    """The client of a served request went away, or took no bytes for longer than allowed."""
