"""A client of grpcio, run as a process of its own: grpcio must not share one with a gevent server.

It reads pickled orders from its input and writes pickled outcomes to its output, until its input ends.
"""

from __future__ import annotations

import itertools
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
import route_guide_pb2 as pb

KINDS = {
    "GetFeature": ("unary_unary", pb.Point, pb.Feature),
    "ListFeatures": ("unary_stream", pb.Rectangle, pb.Feature),
    "RecordRoute": ("stream_unary", pb.Point, pb.RouteSummary),
    "RouteChat": ("stream_stream", pb.RouteNote, pb.RouteNote),
}
_channels: dict[Any, grpc.Channel] = {}


def channel_to(target: str, authority: bytes | None) -> grpc.Channel:
    key = target, authority
    if key not in _channels:
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
        if authority is None:
            _channels[key] = grpc.insecure_channel(target, options)
        else:
            _channels[key] = grpc.secure_channel(target, grpc.ssl_channel_credentials(authority), options)
    return _channels[key]


def call(
    target: str,
    method: str,
    messages: list[bytes],
    timeout: float | None = 20.0,
    metadata: list[tuple[str, Any]] | None = None,
    gzip: bool = False,
    service: str = "routeguide.RouteGuide",
    cancel_after: int | None = None,
    pause: float = 0.0,
    authority: bytes | None = None,
    raw: bool = False,
    kind: str | None = None,
) -> dict[str, Any]:
    """One call. Messages are as on the wire, in both directions."""
    usual, _, _ = KINDS.get(method, ("unary_unary", None, None))
    invoke = getattr(channel_to(target, authority), kind or usual)(f"/{service}/{method}")
    options: dict[str, Any] = {"timeout": timeout, "metadata": metadata, "wait_for_ready": True}
    if gzip:
        options["compression"] = grpc.Compression.Gzip
    kind = kind or usual

    def outgoing() -> Any:
        for message in messages:
            yield message
            time.sleep(pause)

    given = outgoing() if kind.startswith("stream") else messages[0]
    responses: list[bytes] = []
    began = time.monotonic()
    try:
        if kind.endswith("stream"):
            started = invoke(given, **options)
            for number, each in enumerate(started, 1):
                responses.append(each)
                if number == cancel_after:
                    started.cancel()
            outcome = started
        elif kind == "unary_unary":
            response, outcome = invoke.with_call(given, **options)
            responses.append(response)
        else:
            response, outcome = invoke.with_call(given, **options)
            responses.append(response)
    except grpc.RpcError as error:
        outcome = error
    return {
        "code": outcome.code().name,
        "details": outcome.details(),
        "messages": responses,
        "leading": [tuple(each) for each in outcome.initial_metadata() or ()],
        "trailing": [tuple(each) for each in outcome.trailing_metadata() or ()],
        "seconds": time.monotonic() - began,
    }


def many(target: str, method: str, message: bytes, count: int, threads: int = 50) -> dict[str, int]:
    """Many calls over one connection at the same time; how often each outcome came."""
    invoke = channel_to(target, None).unary_unary(f"/routeguide.RouteGuide/{method}")
    started = [invoke.future(message, timeout=30, wait_for_ready=True) for _ in range(count)]
    outcomes: dict[str, int] = {}
    for each in started:
        try:
            each.result()
            name = "OK"
        except grpc.RpcError as error:
            name = error.code().name
        outcomes[name] = outcomes.get(name, 0) + 1
    return outcomes


def talk(target: str, texts: list[str]) -> list[str]:
    """Say one thing after the other, each when the one before was answered."""
    invoke = channel_to(target, None).stream_stream("/routeguide.RouteGuide/RouteChat")
    turn = threading.Semaphore(1)
    heard = []

    def outgoing() -> Any:
        for text in texts:
            turn.acquire()
            yield pb.RouteNote(message=text).SerializeToString()

    for each in invoke(outgoing(), timeout=20):
        heard.append(pb.RouteNote.FromString(each).message)
        turn.release()
    return heard


def half_read(target: str, message: bytes, count: int) -> int:
    """Read a few messages of a stream and then no more for a while; then all others."""
    started = channel_to(target, None).unary_stream("/routeguide.RouteGuide/ListFeatures")(message, timeout=30)
    read = len(list(itertools.islice(started, count)))
    time.sleep(0.3)
    return read + sum(1 for _ in started)


def reflect(target: str, symbols: list[str], extended: str = "") -> dict[str, Any]:
    """Read what a server says of itself into a pool that knows nothing else."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass
    from grpc_reflection.v1alpha import reflection_pb2
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    channel = channel_to(target, None)
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    found: dict[str, Any] = {"services": list(database.get_services()), "files": {}, "missing": []}
    for symbol in symbols:
        try:
            file = pool.FindFileContainingSymbol(symbol)
        except KeyError:
            found["missing"].append(symbol)
        else:
            found["files"][symbol] = [file.name, [each.name for each in file.dependencies]]
    if extended:
        # That class does not ask the server for the file of an extension, whatever it says.
        numbers = list(database.FindAllExtensionNumbers(extended))
        asked = [
            reflection_pb2.ServerReflectionRequest(
                file_containing_extension={"containing_type": extended, "extension_number": number}
            )
            for number in numbers
        ]
        found["extensions"] = {}
        for version in ("v1", "v1alpha"):  # whose messages are alike
            invoke = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                reflection_pb2.ServerReflectionRequest.SerializeToString,
                reflection_pb2.ServerReflectionResponse.FromString,
            )
            files = [each.file_descriptor_response.file_descriptor_proto[0] for each in invoke(iter(asked), timeout=20)]
            names = [FileDescriptorProto.FromString(each).name for each in files]
            found["extensions"][version] = dict(zip(numbers, names, strict=True))
    if "routeguide.RouteGuide" in found["services"]:
        # A call with nothing but what the server said.
        method = pool.FindServiceByName("routeguide.RouteGuide").methods_by_name["GetFeature"]
        takes, gives = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        invoke = channel.unary_unary("/routeguide.RouteGuide/GetFeature", takes.SerializeToString, gives.FromString)
        found["name"] = invoke(takes(latitude=7), timeout=20).name
    return found


def check_health(target: str, service: str) -> list[str]:
    """Ask by the stub of others; the name of a serving status, or of an error."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub = health_pb2_grpc.HealthStub(channel_to(target, None))
    try:
        response = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20, wait_for_ready=True)
    except grpc.RpcError as error:
        return [error.code().name]
    return [health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)]


def main() -> None:
    table = {function.__name__: function for function in (call, many, talk, half_read, reflect, check_health)}
    while True:
        try:
            name, args, options = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            outcome: Any = table[name](*args, **options)
        except Exception as error:
            outcome = f"failed: {error!r}"
        pickle.dump(outcome, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
