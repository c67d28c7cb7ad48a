"""The methods of services, by the descriptors that generated modules (``*_pb2``) bring with them when imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from skitai.errors import ConfigurationError, GrpcCode, GrpcError


class Method(NamedTuple):
    """One method of a service.

    Attributes:
        service: its full name, with its package. name: of the method.
        input, output: classes of its messages. takes_stream, gives_stream: whether there are any number of them.
    """

    service: str
    name: str
    input: type[Any]
    output: type[Any]
    takes_stream: bool
    gives_stream: bool

    @property
    def path(self) -> str:
        """Of a call."""
        return f"/{self.service}/{self.name}"


#: Methods that were found. What is not found is not kept: clients may ask for anything.
_known: dict[tuple[str, str], Method] = {}


def register(methods: Iterable[Method]) -> None:
    """Make methods known that no generated module describes."""
    _known.update({(method.service, method.name): method for method in methods})


def find(service: str, name: str) -> Method | None:
    """Return a method by the full name of its service, ``None`` when no module that was imported describes it."""
    found = _known.get((service, name))
    if found is None and "." not in name:  # else the name of a service could be cut elsewhere
        found = _look_up(service, name)
        if found is not None:
            _known[(service, name)] = found
    return found


def find_by_path(path: str) -> Method | None:
    """Return the method of ``[/prefix]/package.Service/Method``."""
    before, slash, name = path.rpartition("/")
    return find(before.rpartition("/")[2], name) if slash else None


def _look_up(service: str, name: str) -> Method | None:
    pools = sys.modules.get("google.protobuf.descriptor_pool")
    if pools is None:  # then no generated module was imported either
        return None
    from google.protobuf.message_factory import GetMessageClass

    try:
        descriptor = pools.Default().FindMethodByName(f"{service}.{name}")
    except (KeyError, TypeError):  # TypeError: no text that UTF-8 can write
        return None
    return Method(
        service,
        name,
        GetMessageClass(descriptor.input_type),
        GetMessageClass(descriptor.output_type),
        descriptor.client_streaming,
        descriptor.server_streaming,
    )


def require_protobuf() -> None:
    """Say what is missing.

    Raises:
        ConfigurationError: protobuf is not installed.
    """
    try:
        import google.protobuf  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("gRPC needs the package protobuf: pip install 'skitai[grpc]'") from error


def parse(kind: type[Any], data: bytes) -> Any:
    """Return the message that ``data`` is.

    Raises:
        GrpcError: INVALID_ARGUMENT: it is none of this kind.
    """
    try:
        return kind.FromString(data)
    except Exception as error:  # the class of the error depends on how protobuf was built
        raise GrpcError(GrpcCode.INVALID_ARGUMENT, f"a message is no {kind.DESCRIPTOR.full_name}") from error
