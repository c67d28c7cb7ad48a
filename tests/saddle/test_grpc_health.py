"""The health service, asked by grpcio with the generated messages of its own package's names."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from skitai import was
from skitai.errors import GrpcCallFailed, GrpcCode
from skitai.hub.site import Site
from skitai.saddle.grpc_health import SERVICE, Health, _messages
from tests.grpcio_peers import GrpcioClient
from tests.hub.conftest import Fixed, Running, serve

pytest.importorskip("grpc", reason="pip install grpcio")
_ = serve


def start(health: Health, serve: Any) -> Running:
    site = Site()
    site.mount_app(f"/{SERVICE}", Fixed(health.app))
    return serve(site=site)


def test_asked_by_grpcio(serve: Any) -> None:
    client = GrpcioClient()
    health = Health()
    server = start(health, serve)
    _, response = _messages()

    def check(name: str) -> Any:
        request = _messages()[0](service=name)
        return client.call(server.port, "Check", request, service=SERVICE)

    assert response.FromString(check("")["messages"][0]).status == 1
    assert check("routeguide.RouteGuide")["code"] == "NOT_FOUND"
    health.set("routeguide.RouteGuide", False)
    assert response.FromString(check("routeguide.RouteGuide")["messages"][0]).status == 2
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
    health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2", reason="pip install grpcio-health-checking")
    Health()
    assert (
        health_pb2.HealthCheckRequest(service="x").SerializeToString()
        == _messages()[0](service="x").SerializeToString()
    )


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
