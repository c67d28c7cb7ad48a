"""gRPC at our server and by our client: metadata of any bytes, cancelled calls, and streams that nobody reads."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai import was
from skitai.errors import ClientDisconnected, GrpcCode, GrpcError
from skitai.saddle import Saddle
from skitai.was import _engine
from tests.grpcio_peers import GrpcioClient
from tests.hub.conftest import until
from tests.hub.http2_client import Answer, Http2Client
from tests.hub.test_grpc_both import SERVICE, pb, start, url
from tests.hub.test_grpc_server import client

__all__ = ["client", "start"]  # fixtures

ANY = bytes(range(256))
POINT = pb.Point(latitude=1)


def telling() -> Saddle:
    """Sends back what metadata it got."""
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        call = was.grpc_call
        for name, value in call.metadata:
            if name.startswith("x-"):
                call.add_leading(name, value)
                call.add_trailing(name.replace("x-", "y-"), value)
        if point.latitude == 404:
            raise GrpcError("NOT_FOUND", "☃", [("z-bin", ANY), ("z", "text")])
        if point.latitude == 400:
            call.add_trailing(call.get("bad"), "x")
        return pb.Feature(name=repr(call.get("x-bin")))

    return app


def test_metadata_of_any_bytes(start: Any) -> None:
    server = start(apps={SERVICE: telling()})
    stub = was.grpc(url(server), headers={"x-bin": ANY, "x-text": "plain ~"})
    result = stub.GetFeature(POINT).getwait(5)
    assert result.data.name == repr(ANY)
    assert result.headers["x-text"] == result.headers["y-text"] == "plain ~"
    failed = stub.GetFeature(pb.Point(latitude=404)).getwait(5)
    with pytest.raises(GrpcError) as caught:
        failed.reraise()
    assert ("z-bin", ANY) in caught.value.metadata and ("y-bin", ANY) in caught.value.metadata


@pytest.mark.parametrize("value", [b"\xe9", b"AA,\xff", b"!", b"AA", b"AA==,AAE"])
def test_binary_metadata_of_a_client_that_are_none(start: Any, value: bytes) -> None:
    """They are left out, and the call goes on; it never ended."""
    server = start(apps={SERVICE: telling()})
    http2 = Http2Client(server.connect().sock)
    fields = [("content-type", "application/grpc"), ("te", "trailers"), ("x-bin", value.decode("latin-1"))]
    stream = http2.engine.open(
        [(b":method", b"POST"), (b":scheme", b"http"), (b":path", SERVICE.encode() + b"/GetFeature"),
         (b":authority", b"test"), *[(name.encode(), text.encode("latin-1")) for name, text in fields]],
        False,
    )  # fmt: skip
    http2.answers[stream] = Answer()
    http2.flush()
    message = POINT.SerializeToString()
    http2.send(stream, b"\0" + len(message).to_bytes(4, "big") + message, True)
    answer = http2.finish(stream)
    assert answer.trailers is not None and ("grpc-status", "0") in answer.trailers


@pytest.mark.parametrize(
    "headers", [{"x": "é"}, {"x-bin": "text"}, {":path": "/"}, {"grpc-timeout": "1S"}, {"te": "x"}]
)
def test_metadata_that_cannot_be_sent_are_a_failed_call(start: Any, headers: dict[str, str]) -> None:
    server = start(apps={SERVICE: telling()})
    result = was.grpc(url(server), headers=headers).GetFeature(POINT).getwait(5)
    assert (result.status, result.code) == (2, 731)
    assert next(iter(headers)) in str(result.error)
    assert was.grpc(url(server)).GetFeature(POINT).getwait(5).status == 3


def test_metadata_of_a_function_that_cannot_be_sent(start: Any) -> None:
    server = start(apps={SERVICE: telling()})
    stub = was.grpc(url(server), headers={"bad": ":path"})
    assert stub.GetFeature(pb.Point(latitude=400)).getwait(5).grpc_status is GrpcCode.UNKNOWN
    assert "metadata cannot be called ':path'" in server.app_text()


# Cancelled calls


def waiting(told: list[Any], begun: Event) -> Saddle:
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        begun.set()
        while was.grpc_call.is_active:
            gevent.sleep(0.001)
        told.append("inactive")
        return pb.Feature()

    @app.route("/RecordRoute")
    def record_route(was, points):
        try:
            for _ in points:
                begun.set()
        except ClientDisconnected as error:
            told.append(error)
            raise
        return pb.RouteSummary()

    return app


@pytest.mark.parametrize("method", ["GetFeature", "RecordRoute"])
def test_a_function_hears_of_a_call_that_is_cancelled(start: Any, method: str) -> None:
    told: list[Any] = []
    begun = Event()
    server = start(apps={SERVICE: waiting(told, begun)})
    stub = was.grpc(url(server))
    if method == "GetFeature":
        request = stub.GetFeature(POINT)
        assert begun.wait(5)
        request.cancel()
        result = request.getwait(5)
    else:
        chat = stub.RecordRoute.stream()
        chat.send(POINT)
        assert begun.wait(5)
        chat.close()
        result = chat.result
    assert (result.status, result.code, result.grpc_status) == (2, 706, GrpcCode.CANCELLED)
    until(lambda: told)
    until(lambda: all(not connection.session._exchanges for connection in server.server._connections))
    assert server.app_text() == ""


@pytest.mark.parametrize("code", ["CANCELLED", "UNAVAILABLE", "INTERNAL"])
def test_a_server_says_itself_that_a_call_was_cancelled(start: Any, client: GrpcioClient, code: str) -> None:
    """To our client it is what it is to that of grpcio: an answer with this status."""
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        raise GrpcError(code, "by the server")

    server = start(apps={SERVICE: app})
    result = was.grpc(url(server)).GetFeature(POINT).getwait(5)
    outcome = client.call(server.port, "GetFeature", POINT)
    assert (result.status, result.grpc_status.name, result.details) == (3, outcome["code"], outcome["details"])
    assert outcome["code"] == code


# Streams that nobody reads


def test_streams_that_nobody_reads_hold_no_other_call_up(start: Any) -> None:
    """Each is bounded by its own window. They shared that of the connection, and a few of them shut it."""
    large = Saddle(__name__)

    @large.route("/ListFeatures")
    def list_features(was, rectangle):
        for number in range(200):
            yield pb.Feature(name=str(number) + "x" * 10_000)

    @large.route("/GetFeature")
    def get_feature(was, point):
        return pb.Feature(name="here")

    server = start(apps={SERVICE: large})
    stub = was.grpc(url(server))
    unread = [stub.ListFeatures.stream(pb.Rectangle()) for _ in range(30)]
    assert all(each.receive().name.startswith("0x") for each in unread)
    session = next(iter(server.server._connections)).session
    until(lambda: len(session._exchanges) == 30)
    assert was.grpc(url(server), timeout=5).GetFeature(POINT).getwait(6).data.name == "here"
    assert server.server.connections == 1
    # They are read to their ends all the same.
    assert [sum(1 for _ in each) for each in unread] == [199] * 30
    until(lambda: not any(each.streams for pool in _engine.current().pools.values() for each in pool._open))
