"""The health service of gRPC (``grpc.health.v1.Health``), which load balancers and Kubernetes ask.

    health = Health()
    skitai.mount("/grpc.health.v1.Health", health.app)
    health.set("routeguide.RouteGuide", False)

What it says is of one worker process. Its messages need no generated module.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from gevent.event import Event

from skitai.errors import GrpcCode, GrpcError
from skitai.saddle.app import Saddle
from skitai.wire.grpc import methods

SERVICE: Final = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
#: Seconds between two looks whether the client of a watch is still there.
_LOOK: Final = 1.0


class Health:
    """See the module.

    Attributes:
        app: to be mounted at ``/grpc.health.v1.Health``.

    Raises:
        ConfigurationError: protobuf is not installed.
    """

    def __init__(self) -> None:
        _, self._response = _messages()
        self._statuses: dict[str, int] = {"": _SERVING}
        self._changed = Event()
        self.app = Saddle(__name__)
        self.app.route("/Check")(self._check)
        self.app.route("/Watch")(self._watch)

    def set(self, service: str, is_serving: bool = True) -> None:
        """Say whether a service can be used; ``""`` is the server as a whole, which can at first."""
        self._statuses[service] = _SERVING if is_serving else _NOT_SERVING
        changed, self._changed = self._changed, Event()
        changed.set()

    def _check(self, was: Any, request: Any) -> Any:
        status = self._statuses.get(request.service)
        if status is None:
            raise GrpcError(GrpcCode.NOT_FOUND, "unknown service")
        return self._response(status=status)

    def _watch(self, was: Any, request: Any) -> Iterator[Any]:
        said = None
        while was.grpc_call.is_active:
            changed = self._changed
            status = self._statuses.get(request.service, _SERVICE_UNKNOWN)
            if was.grpc_call.is_stopping:
                status = _NOT_SERVING
            if status != said:
                said = status
                yield self._response(status=status)
            if was.grpc_call.is_stopping:  # else the stop would wait for every load balancer that watches
                raise GrpcError(GrpcCode.UNAVAILABLE, "the server stops")
            changed.wait(_LOOK)

    def __repr__(self) -> str:
        return f"<Health {self._statuses}>"


@cache
def _messages() -> tuple[type[Any], type[Any]]:
    """Return the classes of request and response, and make the methods known."""
    methods.require_protobuf()
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.message_factory import GetMessageClass

    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3")
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=9, label=1)
    response = file.message_type.add(name="HealthCheckResponse")
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        status.value.add(name=name, number=number)
    kinds = [f".{file.package}.{each.name}" for each in file.message_type]
    response.field.add(name="status", number=1, type=14, label=1, type_name=f"{kinds[1]}.ServingStatus")
    service = file.service.add(name="Health")
    service.method.add(name="Check", input_type=kinds[0], output_type=kinds[1])
    service.method.add(name="Watch", input_type=kinds[0], output_type=kinds[1], server_streaming=True)
    takes, gives = methods.add_file(file).message_types_by_name.values()
    return GetMessageClass(takes), GetMessageClass(gives)
