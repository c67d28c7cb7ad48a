"""The methods of services, by the descriptors that generated modules (``*_pb2``) bring with them when imported."""

from __future__ import annotations

import sys
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


#: Of the files that Skitai brings itself.
_own_pools: list[Any] = []


def add_file(file: Any) -> Any:
    """Make the services of a file known that no generated module describes.

    It gets a pool of its own: an app may import the generated module of the same names besides.

    Args:
        file: a ``FileDescriptorProto`` that imports nothing. Each name is to be added once.

    Returns:
        its descriptor.
    """
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindFileByName(file.name)
    for service in descriptor.services_by_name.values():
        _known.update({(service.full_name, each.name): _method(each) for each in service.methods})
    _own_pools.append(pool)
    return descriptor


def pools() -> list[Any]:
    """Return the pools of descriptors as :func:`find` prefers them: those of :func:`add_file`, then that of modules."""
    from google.protobuf.descriptor_pool import Default

    return [*_own_pools, Default()]


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
    module = sys.modules.get("google.protobuf.descriptor_pool")
    if module is None:  # then no generated module was imported either
        return None
    try:
        return _method(module.Default().FindMethodByName(f"{service}.{name}"))
    except (KeyError, TypeError):  # TypeError: no text that UTF-8 can write
        return None


def _method(descriptor: Any) -> Method:
    from google.protobuf.message_factory import GetMessageClass

    return Method(
        descriptor.containing_service.full_name,
        descriptor.name,
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
