"""The health service, asked by the stub and the generated messages that belong to grpcio."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from skitai import was
from skitai.errors import GrpcCallFailed, GrpcCode
from skitai.hub.site import Site
from skitai.saddle.grpc_health import SERVICE, Health, _messages
from skitai.wire.grpc import methods
from tests.grpcio_peers import GrpcioClient
from tests.hub.conftest import Fixed, Running, serve

pytest.importorskip("grpc_health", reason="pip install grpcio-health-checking")
_ = serve


def start(health: Health, serve: Any) -> Running:
    site = Site()
    site.mount_app(f"/{SERVICE}", Fixed(health.app))
    return serve(site=site)


def test_asked_by_grpcio(serve: Any) -> None:
    client = GrpcioClient()
    health = Health()
    target = f"localhost:{start(health, serve).port}"
    assert client.order("check_health", target, "") == ["SERVING"]
    assert client.order("check_health", target, "routeguide.RouteGuide") == ["NOT_FOUND"]
    health.set("routeguide.RouteGuide", False)
    assert client.order("check_health", target, "routeguide.RouteGuide") == ["NOT_SERVING"]
    client.end()


def test_a_watch_hears_of_changes_and_ends_with_its_client(serve: Any) -> None:
    health = Health()
    server = start(health, serve)
    stub = was.grpc(f"http://127.0.0.1:{server.port}/{SERVICE}", timeout=20)
    request = _messages()[0](service="x")
    with stub.Watch.stream(request) as watch:
        assert watch.receive().status == 3
        health.set("x")
        assert watch.receive().status == 1
        health.set("x", False)
        assert watch.receive().status == 2
    assert watch.result.grpc_status is GrpcCode.CANCELLED
    with gevent.Timeout(5):
        while server.server._connections and any(c.session._exchanges for c in server.server._connections):
            gevent.sleep(0.01)


def test_the_generated_module_of_the_same_names_can_be_imported() -> None:
    from grpc_health.v1 import health_pb2

    Health()
    assert (
        health_pb2.HealthCheckRequest(service="x").SerializeToString()
        == _messages()[0](service="x").SerializeToString()
    )
    method = methods.find(SERVICE, "Watch")
    assert method == (SERVICE, "Watch", *_messages(), False, True)


def test_a_watch_does_not_hold_up_a_stop(serve: Any) -> None:
    server = start(Health(), serve)
    stub = was.grpc(f"http://127.0.0.1:{server.port}/{SERVICE}", timeout=20)
    watch = stub.Watch.stream(_messages()[0]())
    assert watch.receive().status == 1
    stopping = gevent.spawn(server.server.stop, 20)
    assert watch.receive().status == 2
    with pytest.raises(GrpcCallFailed, match="the server stops"):
        watch.receive()
    stopping.get(timeout=5)
