"""Our client at our server: what grpcio cannot show."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from skitai import was
from skitai.errors import GrpcCallFailed, GrpcCode, GrpcError
from skitai.hub.site import Site
from skitai.net import logs
from skitai.saddle import Saddle
from skitai.was import _engine
from tests.grpcio_peers import HERE
from tests.hub.conftest import until

pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")
sys.path.insert(0, str(HERE.parent / "examples"))
import route_guide_pb2 as pb

SERVICE = "/routeguide.RouteGuide"


@pytest.fixture
def start(serve: Any, mounted: Any) -> Iterator[Callable[..., Any]]:
    """Serve apps at their mount points."""
    before = logs.current()

    def start_all(**options: Any) -> Any:
        site = Site()
        for point, app in options.pop("apps").items():
            site.mount_app(point, mounted(app))
        server = serve(site=site, **options)
        logs.use(server.logs)
        return server

    yield start_all
    _engine.current().close()
    logs.use(before)


def guide() -> Saddle:
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        if point.latitude == 404:
            raise GrpcError("NOT_FOUND", "only for its own client")
        return pb.Feature(name=was.txnid(), location=point)

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        for number in range(rectangle.hi.latitude):
            yield pb.Feature(name=str(number))

    @app.route("/RecordRoute")
    def record_route(was, points):
        return pb.RouteSummary(point_count=sum(1 for _ in points))

    @app.route("/RouteChat")
    def route_chat(was, notes):
        for note in notes:
            yield note
            if note.message == "fail":
                raise GrpcError("ABORTED", "as you wish")

    return app


def url(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}{SERVICE}"


def test_all_kinds_packed_and_plain(start: Any) -> None:
    server = start(apps={SERVICE: guide()})
    for compress in (False, True):
        stub = was.grpc(url(server), compress=compress, timeout=10)
        assert stub.GetFeature(pb.Point(latitude=1)).getwait().data.location.latitude == 1
        assert len(stub.ListFeatures(pb.Rectangle(hi=pb.Point(latitude=300))).getwait().data) == 300
        assert stub.RecordRoute(pb.Point() for _ in range(300)).getwait().data.point_count == 300
        notes = [pb.RouteNote(message="x" * 2000)] * 300
        assert stub.RouteChat(iter(notes)).getwait(10).data == notes
    assert server.server.connections == 1


def test_a_conversation_that_the_server_ends(start: Any) -> None:
    server = start(apps={SERVICE: guide()})
    with was.grpc(url(server)).RouteChat.stream() as chat:
        for text in ("one", "fail"):
            chat.send(pb.RouteNote(message=text))
            assert chat.receive().message == text
        with pytest.raises(GrpcCallFailed, match="as you wish") as caught:
            chat.receive()
        assert caught.value.code is GrpcCode.ABORTED
    until(lambda: server.server.slots.busy == 0)


def test_the_transaction_goes_through_and_the_errors_of_others_do_not(start: Any) -> None:
    front = Saddle(__name__)

    @front.route("/routeguide.RouteGuide/GetFeature")
    def get_feature(was, point):
        behind = was.grpc(f"http://127.0.0.1:{was.request.get_header('host').rpartition(':')[2]}/inner{SERVICE}")
        return behind.GetFeature(point).getwait(5, reraise=True).data

    server = start(apps={"/": front, "/inner" + SERVICE: guide()})
    stub = was.grpc(url(server), headers={"x-gtxn-id": "GTID-7", "x-ltxn-id": "1000"})
    assert stub.GetFeature(pb.Point()).getwait().data.name.startswith("GTID-7/")
    result = stub.GetFeature(pb.Point(latitude=404)).getwait()
    assert (result.grpc_status, result.details) == (GrpcCode.UNKNOWN, "internal error")
    assert "only for its own client" in server.app_text()


@pytest.mark.row("SAD-GRPC-01", "WAS-GRPC-01")
def test_calls_of_an_async_response(start: Any) -> None:
    pages = Saddle(__name__)

    def gather(response: Any, proxy: Any) -> None:
        proxy[response.reqid] = response.data.location.latitude
        if proxy.fetched_all():
            proxy.done(json.dumps([proxy["first"], proxy["second"]]))

    @pages.route("/")
    def index(was):
        proxy = was.aresponse(gather)
        at = f"http://{was.request.get_header('host')}{SERVICE}"
        proxy.grpc("first", at).GetFeature(pb.Point(latitude=1))
        proxy.grpc("second", at).GetFeature(pb.Point(latitude=2))
        return proxy

    server = start(apps={"/": pages, SERVICE: guide()})
    client = server.connect()
    assert json.loads(client.request(Host=f"127.0.0.1:{server.port}").body) == [1, 2]


def test_five_hundred_streams_left_early_leave_nothing(start: Any) -> None:
    server = start(apps={SERVICE: guide()})
    stub = was.grpc(url(server))

    def leave() -> None:
        with stub.ListFeatures.stream(pb.Rectangle(hi=pb.Point(latitude=1_000_000))) as features:
            assert features.receive().name == "0"

    for _ in range(10):
        gevent.joinall([gevent.spawn(leave) for _ in range(50)], timeout=20, raise_error=True)
    until(lambda: all(not connection.session._exchanges for connection in server.server._connections))
    assert sum(each.streams for pool in _engine.current().pools.values() for each in pool._open) == 0
    assert server.app_text() == ""
