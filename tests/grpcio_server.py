"""A server of grpcio, run as a process of its own; it prints its port. What it does depends on what it is sent."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
import route_guide_pb2 as pb


def GetFeature(point: Any, context: Any) -> Any:
    name = str(point.latitude)
    if name == "404":
        context.set_trailing_metadata([("hint", "look elsewhere"), ("hint-bin", b"\0\xff")])
        context.abort(grpc.StatusCode.NOT_FOUND, "nichts da: ☃ 100%")
    if name == "500":
        raise ValueError("secret")
    if name == "1":
        metadata = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-lead", "first")])
        context.set_trailing_metadata([("x-trail", "last")])
        name = f"{metadata.get('x-user')} {metadata.get('x-key-bin')!r} {metadata.get('authorization')}"
    if name == "2":
        name = str(context.time_remaining())
    if name == "3":
        name = "x" * 5_000_000
    if name == "4":
        os._exit(1)
    if name == "5":
        while context.is_active():
            time.sleep(0.01)
        Path(os.environ["GRPC_TOLD"]).touch()
    return pb.Feature(name=name, location=point)


def ListFeatures(rectangle: Any, context: Any) -> Any:
    try:
        for number in range(rectangle.lo.latitude, rectangle.hi.latitude):
            yield pb.Feature(name=str(number) + "x" * rectangle.lo.longitude)
        if rectangle.hi.longitude == 404:
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "no more")
        while rectangle.hi.longitude == 5 and context.is_active():
            time.sleep(0.01)
    finally:  # also when grpcio has let go of this generator, because the call was cancelled early
        if rectangle.hi.longitude == 5:
            Path(os.environ["GRPC_TOLD"]).touch()


def RecordRoute(points: Any, context: Any) -> Any:
    count = 0
    for point in points:
        count += 1
        if point.latitude == 404:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not there")
    return pb.RouteSummary(point_count=count)


def RouteChat(notes: Any, context: Any) -> Any:
    for note in notes:
        yield pb.RouteNote(message=note.message.upper())


def handlers() -> Any:
    return grpc.method_handlers_generic_handler(
        "routeguide.RouteGuide",
        {
            "GetFeature": grpc.unary_unary_rpc_method_handler(
                GetFeature, pb.Point.FromString, pb.Feature.SerializeToString
            ),
            "ListFeatures": grpc.unary_stream_rpc_method_handler(
                ListFeatures, pb.Rectangle.FromString, pb.Feature.SerializeToString
            ),
            "RecordRoute": grpc.stream_unary_rpc_method_handler(
                RecordRoute, pb.Point.FromString, pb.RouteSummary.SerializeToString
            ),
            "RouteChat": grpc.stream_stream_rpc_method_handler(
                RouteChat, pb.RouteNote.FromString, pb.RouteNote.SerializeToString
            ),
        },
    )


def main() -> None:
    server = grpc.server(
        ThreadPoolExecutor(50), [handlers()], options=[("grpc.max_send_message_length", -1)],
        compression=grpc.Compression.Gzip if "gzip" in sys.argv else None,
    )  # fmt: skip
    if "tls" in sys.argv:
        key, chain = Path(os.environ["GRPC_KEY"]).read_bytes(), Path(os.environ["GRPC_CHAIN"]).read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()  # until whoever started this has ended
    server.stop(0)


if __name__ == "__main__":
    main()
