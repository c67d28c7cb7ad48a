"""``was.grpc`` at servers of grpcio, in processes of their own, and at peers that break the rules."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme

from skitai import was
from skitai.errors import (
    CallCancelled,
    CallEnded,
    GrpcCallFailed,
    GrpcCode,
    GrpcError,
    OperationTimeout,
    RequestFailed,
    UnknownAlias,
)
from skitai.settings import Limits
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.wire import clusters
from skitai.wire.grpc.messages import frame
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.heads import raw_fields
from tests.grpcio_peers import HERE, GrpcioServer

from .conftest import Link, Peers, until

pytest.importorskip("grpc", reason="pip install grpcio")
sys.path.insert(0, str(HERE.parent / "examples"))
import route_guide_pb2 as pb


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grpc") / "told"


@pytest.fixture(scope="module")
def server(told: Path) -> Iterator[GrpcioServer]:
    found = GrpcioServer(GRPC_TOLD=str(told))
    yield found
    found.end()


@pytest.fixture
def stub(server: GrpcioServer) -> Any:
    return was.grpc(server.url())


def point(latitude: int) -> Any:
    return pb.Point(latitude=latitude)


def rectangle(first: int, last: int, size: int = 0, what: int = 0) -> Any:
    return pb.Rectangle(lo=pb.Point(latitude=first, longitude=size), hi=pb.Point(latitude=last, longitude=what))


def streams() -> int:
    """Calls in progress on all connections."""
    pools = _engine.current().pools.values()
    return sum(connection.streams for pool in pools for connection in pool._open)


# The four kinds


@pytest.mark.row("WAS-GRPC-01", "WAS-GRPC-02", "WAS-GEN-16", "WAS-RES-03")
def test_one_message_for_one(stub: Any) -> None:
    request = stub.GetFeature(point(7))
    result = request.getwait()
    assert (result.status, result.code, result.grpc_status) == (3, 200, GrpcCode.OK)
    assert result.data == pb.Feature(name="7", location=point(7))
    assert result.headers["grpc-status"] == "0"
    assert result.version == "2.0"
    assert stub.getwait() is result


def test_calls_share_a_connection(server: GrpcioServer, stub: Any) -> None:
    requests = [stub.GetFeature(point(number)) for number in range(100, 400)]
    assert [request.getwait(10).data.name for request in requests] == [str(number) for number in range(100, 400)]
    pools = [pool for origin, pool in _engine.current().pools.items() if origin.port == server.port]
    assert len(pools) == 1 and len(pools[0]._open) <= 4


@pytest.mark.row("WAS-GRPC-03")
def test_streams_in_each_direction(stub: Any) -> None:
    features = stub.ListFeatures(rectangle(3, 6)).getwait()
    assert [feature.name for feature in features.data] == ["3", "4", "5"]
    assert stub.ListFeatures(rectangle(0, 0)).getwait().data == []
    assert stub.RecordRoute([point(9)] * 20).getwait().data == pb.RouteSummary(point_count=20)
    assert stub.RecordRoute(point(9) for _ in range(1000)).getwait().data == pb.RouteSummary(point_count=1000)
    assert stub.RecordRoute([]).getwait().data == pb.RouteSummary()
    notes = [pb.RouteNote(message=text) for text in ("one", "two")]
    assert [note.message for note in stub.RouteChat(iter(notes)).getwait().data] == ["ONE", "TWO"]


@pytest.mark.row("WAS-GRPC-03")
def test_messages_as_they_come(stub: Any) -> None:
    features = stub.ListFeatures.stream(rectangle(0, 2000, size=1000))
    assert [feature.name.rstrip("x") for feature in features] == [str(number) for number in range(2000)]
    assert features.is_done and features.result.grpc_status is GrpcCode.OK


@pytest.mark.row("WAS-GRPC-03")
def test_a_conversation(stub: Any) -> None:
    with stub.RouteChat.stream() as chat:
        for text in ("one", "two", "three"):
            chat.send(pb.RouteNote(message=text))
            assert chat.receive().message == text.upper()
        chat.done_sending()
        assert chat.receive() is None
        with pytest.raises(CallEnded):
            chat.send(pb.RouteNote())
    assert streams() == 0


def test_many_messages_are_sent_before_the_first_is_read(stub: Any) -> None:
    with stub.RouteChat.stream() as chat:
        def send() -> None:
            for number in range(3000):
                chat.send(pb.RouteNote(message=f"{number} {'x' * 1000}"))
            chat.done_sending()

        sending = gevent.spawn(send)
        assert [int(note.message.split()[0]) for note in chat] == list(range(3000))
        sending.join()


def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    key, chain, root = tmp_path / "key.pem", tmp_path / "chain.pem", tmp_path / "root.pem"
    certificate.private_key_pem.write_to_path(str(key))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    authority.cert_pem.write_to_path(str(root))
    server = GrpcioServer("tls", GRPC_KEY=str(key), GRPC_CHAIN=str(chain))
    url = server.url("https", "localhost")
    assert was.grpc(url, verify=str(root)).GetFeature(point(7)).getwait().data.name == "7"
    refused = was.grpc(url).GetFeature(point(7)).getwait()
    assert (refused.status, refused.code, refused.data) == (2, 715, None)
    server.end()


# What goes with a call


def test_metadata_and_credentials(server: GrpcioServer) -> None:
    headers = {"x-user": "ann", "x-key-bin": b"\0\xff"}
    result = was.grpc(server.url(), headers=headers, auth=("token",)).GetFeature(point(1)).getwait()
    assert result.data.name == "ann b'\\x00\\xff' Bearer token"
    assert (result.headers["x-lead"], result.headers["x-trail"]) == ("first", "last")
    result = was.grpc(server.url(), auth=("ann", "secret")).GetFeature(point(1)).getwait()
    assert result.data.name == "None None Basic YW5uOnNlY3JldA=="


def test_compression_both_ways(told: Path) -> None:
    server = GrpcioServer("gzip")
    stub = was.grpc(server.url(), compress=True)
    note = pb.RouteNote(message="abc" * 10_000)
    result = stub.RouteChat([note, note]).getwait()
    assert [len(each.message) for each in result.data] == [30_000, 30_000]
    assert result.headers["grpc-encoding"] == "gzip"
    server.end()


def test_the_server_is_told_the_time(server: GrpcioServer) -> None:
    left = float(was.grpc(server.url(), timeout=7).GetFeature(point(2)).getwait().data.name)
    assert 6 < left <= 7
    left = float(was.grpc(server.url()).GetFeature(point(2)).getwait().data.name)
    assert 9 < left <= 10


# Errors


@pytest.mark.row("WAS-GRPC-05")
def test_an_error_of_the_server(stub: Any) -> None:
    result = stub.GetFeature(point(404)).getwait()
    assert (result.status, result.code, result.data) == (3, 200, None)
    assert result.headers["grpc-status"] == "5"
    assert (result.grpc_status, result.details) == (GrpcCode.NOT_FOUND, "nichts da: ☃ 100%")
    with pytest.raises(GrpcCallFailed, match="nichts da") as caught:
        result.reraise()
    assert isinstance(caught.value, GrpcError) and caught.value.code is GrpcCode.NOT_FOUND
    assert caught.value.metadata == [("hint", "look elsewhere"), ("hint-bin", b"\0\xff")]
    assert stub.GetFeature(point(500)).getwait().grpc_status is GrpcCode.UNKNOWN
    with pytest.raises(GrpcCallFailed):
        stub.GetFeature(point(404)).getwait(5, reraise=True)


@pytest.mark.row("WAS-GRPC-05")
def test_errors_in_streams(stub: Any) -> None:
    result = stub.ListFeatures(rectangle(0, 3, what=404)).getwait()
    assert (result.data, result.grpc_status) == (None, GrpcCode.OUT_OF_RANGE)
    seen = []
    with pytest.raises(GrpcCallFailed, match="no more"):
        for feature in stub.ListFeatures.stream(rectangle(0, 3, what=404)):
            seen.append(feature.name)
    assert seen == ["0", "1", "2"]
    result = stub.RecordRoute(point(404) for _ in range(100_000)).getwait(10)
    assert result.grpc_status is GrpcCode.INVALID_ARGUMENT


def test_a_deadline_that_passes(server: GrpcioServer, told: Path) -> None:
    stub = was.grpc(server.url(), timeout=0.2)
    result = stub.GetFeature(point(5)).getwait(5)
    assert result.grpc_status is GrpcCode.DEADLINE_EXCEEDED
    assert result.data is None
    until(told.exists)
    told.unlink()
    with pytest.raises((GrpcCallFailed, RequestFailed)):
        list(stub.ListFeatures.stream(rectangle(0, 3, what=5)))
    until(told.exists)
    told.unlink()
    assert streams() == 0


def test_a_wait_that_is_shorter_than_the_call(server: GrpcioServer, told: Path) -> None:
    request = was.grpc(server.url(), timeout=0.5).GetFeature(point(5))
    result = request.getwait(0.05)
    assert (result.status, result.grpc_status) == (1, GrpcCode.DEADLINE_EXCEEDED)
    with pytest.raises(OperationTimeout):
        result.reraise()
    until(lambda: request.is_done and told.exists())
    told.unlink()


def test_leaving_a_stream_early_cancels_it(stub: Any, told: Path) -> None:
    with stub.ListFeatures.stream(rectangle(0, 3, what=5)) as features:
        assert next(iter(features)).name == "0"
    assert features.result.grpc_status is GrpcCode.CANCELLED
    until(told.exists)
    told.unlink()
    assert streams() == 0


def test_a_cancelled_call_is_cancelled_at_the_server(stub: Any, told: Path) -> None:
    """Its code is that of every cancelled call, its status what grpcio's own client says."""
    request = stub.GetFeature(point(5))
    assert stub.GetFeature(point(7)).getwait(5).data.name == "7"  # it has begun with the one before as well
    request.cancel()
    result = request.getwait(5)
    assert (result.status, result.code, result.grpc_status) == (2, 706, GrpcCode.CANCELLED)
    assert isinstance(result.error, CallCancelled)
    until(told.exists)
    told.unlink()
    request.cancel()  # of what is over: nothing
    assert request.getwait().code == 706 and streams() == 0


def test_a_call_that_waits_is_cancelled_too(peers: Peers) -> None:
    """For its connection, or for a free place on one."""
    requests = [was.grpc(peers(lambda link: link.wait_for_close()).url("/routeguide.RouteGuide")).GetFeature(point(1))]
    requests += [was.grpc(requests[0].call.uri.rpartition("/")[0]).GetFeature(point(1)) for _ in range(3)]
    for request in requests:
        request.cancel()
    results = [request.getwait(5) for request in requests]
    assert {(result.code, result.grpc_status) for result in results} == {(706, GrpcCode.CANCELLED)}
    assert streams() == 0


def test_a_reader_that_does_not_read_holds_the_server_up(stub: Any) -> None:
    with stub.ListFeatures.stream(rectangle(0, 100_000, size=1000)) as features:
        assert features.receive() is not None
        gevent.sleep(0.2)
        assert len(features._feed._waiting) < 600
        assert not features.is_done


def test_a_server_that_dies_during_a_call() -> None:
    server = GrpcioServer()
    stub = was.grpc(server.url())
    streaming = stub.ListFeatures.stream(rectangle(0, 2, what=5))
    assert streaming.receive().name == "0"
    result = stub.GetFeature(point(4)).getwait(10)
    assert (result.status, result.code, result.grpc_status) == (2, 705, GrpcCode.UNAVAILABLE)
    with pytest.raises(RequestFailed):
        result.reraise()
    with pytest.raises(RequestFailed):
        list(streaming)
    result = stub.GetFeature(point(7)).getwait(10)
    assert (result.status, result.code) == (2, 714)
    server.end()


def test_messages_that_are_too_large(stub: Any) -> None:
    result = stub.GetFeature(point(3)).getwait()
    assert (result.status, result.grpc_status, result.headers["grpc-status"]) == (3, GrpcCode.RESOURCE_EXHAUSTED, "8")
    assert streams() == 0
    wasc.configure(grpc_message_bytes=8_000_000)
    assert len(stub.GetFeature(point(3)).getwait().data.name) == 5_000_000
    wasc.configure(body_bytes=100_000)
    assert stub.ListFeatures(rectangle(0, 2000, size=100)).getwait().grpc_status is GrpcCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("method", "message", "text"),
    [
        ("NoSuch", point(1), r"import its \*_pb2 module"),
        ("GetFeature", pb.RouteNote(), "takes routeguide.Point, not RouteNote"),
        ("GetFeature", None, "takes routeguide.Point, not NoneType"),
        ("RecordRoute", point(1), "a stream of messages is an iterable"),
        ("RecordRoute", [pb.RouteNote()], "takes routeguide.Point"),
    ],
)
def test_calls_that_cannot_be_made(stub: Any, method: str, message: Any, text: str) -> None:
    result = getattr(stub, method)(message).getwait()
    assert (result.status, result.code, result.data) == (2, 731, None)
    with pytest.raises(RequestFailed) as caught:
        result.reraise()
    assert caught.value.__cause__ is not None
    assert re.search(text, str(caught.value.__cause__))


def test_a_generator_that_fails_cancels_the_call(stub: Any) -> None:
    def points() -> Iterator[Any]:
        yield point(1)
        raise ValueError("no more points")

    result = stub.RecordRoute(points()).getwait()
    assert result.status == 2 and isinstance(result.error, ValueError)
    result = stub.RecordRoute(iter([point(1), pb.RouteNote()])).getwait()
    assert isinstance(result.error, TypeError)
    assert streams() == 0


def test_no_uri_and_no_alias(stub: Any) -> None:
    with pytest.raises(AssertionError):
        was.grpc()
    with pytest.raises(UnknownAlias):
        was.grpc("@nope/routeguide.RouteGuide").GetFeature(point(1))


# Caches, callbacks, clusters


def test_the_result_cache(stub: Any) -> None:
    request = stub.GetFeature(point(11))
    request.getwait().data.name = "changed"
    request.cache(60)
    again = stub.GetFeature(point(11)).getwait()
    assert again.is_cached and again.data.name == "11"
    assert not stub.GetFeature(point(12)).getwait().is_cached


def test_callbacks(server: GrpcioServer) -> None:
    found: list[Any] = []
    was.grpc(server.url(), callback=found.append, meta={"k": 1}).GetFeature(point(7))
    until(lambda: found)
    assert (found[0].data.name, found[0].meta) == ("7", {"k": 1})
    with pytest.raises(RuntimeError):
        was.grpc(server.url(), callback=found.append).ListFeatures.stream(rectangle(0, 1))


@pytest.mark.row("WAS-GRPC-04")
@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_clusters(server: GrpcioServer, peers: Peers, kind: str) -> None:
    clusters.define("guides", kind, [peers.refusing(), f"127.0.0.1:{server.port}"])
    for number in range(4):
        result = was.grpc.lb("@guides/routeguide.RouteGuide").GetFeature(point(number + 10)).getwait()
        assert result.data.name == str(number + 10)
        assert result.node == ("127.0.0.1", server.port)
    generated = was.grpc("@guides/routeguide.RouteGuide").RecordRoute(point(9) for _ in range(3)).getwait()
    assert generated.data.point_count == 3


@pytest.mark.row("WAS-GRPC-04", "MAP-09")
def test_map(server: GrpcioServer, peers: Peers) -> None:
    clusters.define("guides", "grpc", [f"127.0.0.1:{server.port}", peers.refusing(), f"127.0.0.1:{server.port}"])
    stub = was.grpc.map("@guides/routeguide.RouteGuide")
    results = stub.GetFeature(point(7)).getswait()
    assert results.status == [3, 2, 3]
    assert [getattr(each, "name", None) for each in results.data] == ["7", None, "7"]
    results = stub.RecordRoute(point(9) for _ in range(3)).getswait()
    assert [getattr(each, "point_count", None) for each in results.data] == [3, None, 3]


# Peers that break the rules


def answering(answer: Callable[[Http2Engine, int], object]) -> Callable[[Link], None]:
    """A server of our own engine that does something with each request when it is whole."""

    def behaviour(link: Link) -> None:
        engine = Http2Engine(True, Limits())
        engine.begin()
        while data := link._socket.recv(65_536):
            for event in engine.receive(data, 0.0):
                if getattr(event, "has_ended", False):
                    answer(engine, event.stream)
            link.send(engine.data_to_send())

    return behaviour


GRPC = [("content-type", "application/grpc")]


def responding(*parts: bytes, status: int = 200, fields: Any = GRPC, trailers: Any = (("grpc-status", "0"),)) -> Any:
    def answer(engine: Http2Engine, stream: int) -> None:
        head = [(b":status", b"%d" % status), *raw_fields(list(fields))]
        engine.send_head(stream, head, False)
        for part in parts:
            engine.send_data(stream, part, False)
        if trailers:
            engine.send_trailers(stream, list(trailers))
        else:
            engine.send_data(stream, b"", True)

    return answering(answer)


FEATURE = frame(pb.Feature(name="x").SerializeToString())


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (responding(FEATURE), GrpcCode.OK),
        (responding(FEATURE, trailers=None), GrpcCode.UNKNOWN),
        (responding(FEATURE, FEATURE), GrpcCode.INTERNAL),
        (responding(), GrpcCode.INTERNAL),
        (responding(FEATURE[:-1]), GrpcCode.INTERNAL),
        (responding(b"\1" + FEATURE[1:]), GrpcCode.INTERNAL),
        (responding(frame(b"\xff\xff")), GrpcCode.INTERNAL),
        (responding(b"\0\xff\xff\xff\xff"), GrpcCode.RESOURCE_EXHAUSTED),
        (responding(FEATURE, fields=[*GRPC, ("grpc-encoding", "snappy")]), GrpcCode.INTERNAL),
        (responding(b"<html>", status=503, fields=[], trailers=None), GrpcCode.UNAVAILABLE),
        (responding(b"<html>", status=404, fields=[], trailers=None), GrpcCode.UNIMPLEMENTED),
        (responding(b"<html>", fields=[("content-type", "text/html")], trailers=None), GrpcCode.UNKNOWN),
        (responding(FEATURE, trailers=[("grpc-status", "77")]), GrpcCode.UNKNOWN),
    ],
)
def test_answers_that_are_none(peers: Peers, behaviour: Any, code: GrpcCode) -> None:
    peer = peers(behaviour)
    result = was.grpc(peer.url("/routeguide.RouteGuide")).GetFeature(point(1)).getwait()
    assert result.status == 3
    assert result.grpc_status is code
    assert (result.data is not None) == (code is GrpcCode.OK)
    assert streams() == 0


def test_a_server_that_does_not_speak_http2(peers: Peers) -> None:
    peer = peers.http(lambda received, link: link.reply(b"hello"))
    result = was.grpc(peer.url("/routeguide.RouteGuide")).GetFeature(point(1)).getwait()
    assert result.status == 2 and "HTTP/2" in str(result.error)


def test_a_server_that_says_nothing(peers: Peers) -> None:
    peer = peers(lambda link: link.wait_for_close())
    wasc.configure(idle_time=0.2)
    result = was.grpc(peer.url("/routeguide.RouteGuide")).GetFeature(point(1)).getwait()
    assert (result.status, result.code, result.grpc_status) == (2, 702, GrpcCode.DEADLINE_EXCEEDED)


def test_a_server_that_takes_nothing_of_a_long_stream(peers: Peers) -> None:
    def silent(engine: Http2Engine, stream: int) -> None:
        """Nothing."""

    peer = peers(answering(silent))
    sent = []

    def points() -> Iterator[Any]:
        try:
            while True:
                sent.append(1)
                yield pb.Point(latitude=1)
        finally:
            sent.append(None)

    result = was.grpc(peer.url("/routeguide.RouteGuide"), timeout=0.5).RecordRoute(points()).getwait()
    assert (result.status, result.code) == (2, 702)
    until(lambda: sent[-1] is None)
    assert streams() == 0
