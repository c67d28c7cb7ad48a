"""The same method on grpcio's own server: ``serve_grpcio.py PORT``, with as many threads as its examples have."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from examples import route_guide_pb2 as pb


def get_feature(point: Any, context: Any) -> Any:
    """Answer with a name for the place."""
    return pb.Feature(name="here", location=point)


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(10))
    method = grpc.unary_unary_rpc_method_handler(get_feature, pb.Point.FromString, pb.Feature.SerializeToString)
    handler = grpc.method_handlers_generic_handler("routeguide.RouteGuide", {"GetFeature": method})
    server.add_generic_rpc_handlers([handler])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
