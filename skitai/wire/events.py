"""What a reader of HTTP/1.1 gives out: a head, then :class:`Data` and :data:`END` when a body follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from skitai.wire.fields import Fields
from skitai.wire.masking import mask, mask_fields


class Data(NamedTuple):
    """Some bytes of a body, its transfer coding undone."""

    content: bytes


class End:
    """The body has ended."""

    def __repr__(self) -> str:
        return "END"


END: Final = End()


class RequestHead:
    """The request line and the header section of a request.

    Attributes:
        method, target: as sent.
        version: 10, 11 or 20; a higher minor version of HTTP/1 counts as 1.1.
        environ: the fields under their CGI names, repeated ones joined. Requests with equal header sections share it.
        host: the authority that the request is for; ``""`` when an HTTP/1.0 client named none.
        length: Content-Length, else ``None``. chunked: the body comes in chunks.
        keep_alive: the client wants the connection kept.
        expects_continue: the client waits for ``100 Continue`` before it sends the body.
        upgrade: the protocols that the client would rather speak (RFC 9110 section 7.8), else ``None``.
        is_plain: neither has it a body nor does it ask for an upgrade.
        protocol: that an extended CONNECT of HTTP/2 asks for (RFC 8441), else ``None``.
    """

    # Few requests change these, so they stay on the class.
    length: int | None = None
    chunked = False
    expects_continue = False
    upgrade: str | None = None
    is_plain = True
    protocol: str | None = None

    def __init__(
        self,
        method: str,
        target: str,
        version: int,
        host: str,
        keep_alive: bool,
        fields: tuple[tuple[str, str], ...],
        environ: Mapping[str, str],
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.host = host
        self.keep_alive = keep_alive
        self._fields = fields
        self.environ = environ

    @property
    def fields(self) -> Fields:
        """(name, value) as sent, in order: a new list, because the fields themselves are shared.

        The value of Host is :attr:`host`, also where the target of the request says another one than the field.
        """
        return list(self._fields)

    @property
    def has_body(self) -> bool:
        """Whether bytes of a body follow."""
        return self.chunked or bool(self.length)

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {mask(self.target)}>"


class ResponseHead(NamedTuple):
    """The status line and the header section of a response; ``version`` is 10, 11 or 20."""

    status: int
    reason: str
    version: int
    fields: Fields
    keep_alive: bool

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} {self.reason} {mask_fields(self.fields)}>"
