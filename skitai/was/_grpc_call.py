"""Making a gRPC call: its messages, its metadata, and what is sent of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.errors import ConfigurationError
from skitai.was import _clusters, _settings
from skitai.was._grpc_result import GrpcResult
from skitai.was._result import Result
from skitai.wire import clusters, urls
from skitai.wire.auth import basic, bearer, credentials, of_userinfo
from skitai.wire.fields import Fields, check_field
from skitai.wire.grpc import methods
from skitai.wire.grpc.messages import frame
from skitai.wire.grpc.metadata import encode_metadata
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._grpc_feed import Feed
    from skitai.was._http_call import Options


class MessageBody:
    """The messages of a generator, taken from it while they are sent.

    Args:
        content: them. rpc: the method that takes them. is_compressed: pack them.

    Attributes:
        is_used: sending has begun, so that there is no second time.
    """

    length = None

    def __init__(self, content: Iterable[Any], rpc: methods.Method, is_compressed: bool) -> None:
        self._content = content
        self._rpc = rpc
        self._is_compressed = is_compressed
        self.is_used = False

    @property
    def can_repeat(self) -> bool:
        """Whether it can be sent, again or at all."""
        return not self.is_used

    def __iter__(self) -> Iterator[bytes]:
        self.is_used = True
        for message in self._content:
            yield dump(self._rpc, message, self._is_compressed)

    def close(self) -> None:
        """Nothing more will be sent."""
        close = getattr(self._content, "close", None)
        if callable(close):
            try:
                close()
            except Exception:  # it runs just now, or a user's has its own ideas: the call has ended all the same
                return


class GrpcCall(NamedTuple):
    """One call of a gRPC method; see :class:`skitai.was._call.Call`.

    Attributes:
        method: its name. rpc: what is known of it.
        body: what is sent: messages with their prefixes. fields: of the header section: metadata and credentials.
        timeout: seconds that the call may take, ``None`` for the usual bounds of silence.
        feed: gets the messages as they come; ``None`` when they are collected.
    """

    method: str
    uri: str
    is_map: bool
    rpc: methods.Method | None
    body: bytes | MessageBody
    fields: Fields
    verify: bool | str | None
    timeout: float | None
    is_compressed: bool
    meta: dict[str, Any] | None
    use_cache: bool
    filter: Callable[[Any], object] | None
    callback: Any
    feed: Feed | None = None
    protocol: str = "grpc"
    result: type[Result] = GrpcResult
    name: str = "grpc"

    @property
    def key(self) -> tuple[object, ...] | None:
        """See :class:`skitai.was._call.Call`: metadata is part of it, and with it credentials."""
        if not isinstance(self.body, bytes) or self.feed is not None:
            return None
        return (self.is_map, self.protocol, self.uri, self.body, tuple(self.fields), self.verify)

    def close(self) -> None:
        """Let go of what was to be sent."""
        if not isinstance(self.body, bytes):
            self.body.close()

    def __repr__(self) -> str:
        return f"<GrpcCall {mask(self.uri)}>"  # not the fields: credentials may be among them


def make_call(
    uri: str, name: str, content: Any, options: Options, is_map: bool, is_compressed: bool, feed: Feed | None = None
) -> GrpcCall:
    """Return the call of one method.

    Args:
        uri: of the service. name: of the method. content: a message, or an iterable of them where it takes a stream.

    Raises:
        ConfigurationError: nothing is known of the method. TypeError, ValueError, LocalProtocolError: it cannot be
            called so. UnknownAlias: as its name says.
    """
    methods.require_protobuf()
    uri = uri.rstrip("/")
    if uri[:1] == "@":
        definition = _clusters.find(_clusters.split(uri)[0]).definition
        if definition.kind not in clusters.HTTP_KINDS and definition.kind != "grpc":
            raise ValueError(f"@{definition.name} is of type {definition.kind}, which does not speak gRPC")
    service = uri.rpartition("/")[2]
    rpc = methods.find(service, name)
    if rpc is None:
        raise ConfigurationError(f"no module that was imported describes {service}.{name}: import its *_pb2 module")
    if not rpc.takes_stream:
        body: bytes | MessageBody = dump(rpc, content, is_compressed)
    elif isinstance(content, (list, tuple)) or is_map:
        body = b"".join([dump(rpc, each, is_compressed) for each in content])
    else:
        body = MessageBody(_iterable(content), rpc, is_compressed)
    timeout = options.timeout
    return GrpcCall(
        name, f"{uri}/{name}", is_map, rpc, body, _fields(uri, options), options.verify,
        None if timeout is None else float(timeout), is_compressed, options.meta, options.use_cache, options.filter,
        options.callback, feed,
    )  # fmt: skip


def empty_call(uri: object, name: str, options: Options, is_map: bool) -> GrpcCall:
    """Return a call that says what was asked for, when it cannot be made."""
    return GrpcCall(
        name, f"{uri}/{name}", is_map, None, b"", [], None, None, False, options.meta, False, options.filter,
        options.callback,
    )  # fmt: skip


def dump(rpc: methods.Method, message: Any, is_compressed: bool) -> bytes:
    """Return a message as it is sent.

    Raises:
        TypeError: the method does not take it.
    """
    if not isinstance(message, rpc.input):
        raise TypeError(f"{rpc.path} takes {rpc.input.DESCRIPTOR.full_name}, not {type(message).__name__}")
    return frame(message.SerializeToString(), is_compressed)


def _iterable(content: Any) -> Iterable[Any]:
    if not isinstance(content, Iterable):
        raise TypeError("a stream of messages is an iterable of them")
    return content


def _fields(uri: str, options: Options) -> Fields:
    given = options.headers or ()
    fields = encode_metadata(given.items() if isinstance(given, Mapping) else given)
    if not any(name == "user-agent" for name, _ in fields):
        fields.append(("user-agent", _settings.current.user_agent))
    auth = credentials(options.auth)
    if uri[:1] != "@":
        auth = auth or of_userinfo(urls.parse_url(uri).userinfo)
    if auth is not None:
        value = bearer(auth.secret) if auth.user is None else basic(auth.user, auth.secret)
        fields.append(("authorization", value))
    # Here, where it is a failed request: in the callback that sends them nobody would hear of it.
    return [(name, check_field(name, value)) for name, value in fields]
