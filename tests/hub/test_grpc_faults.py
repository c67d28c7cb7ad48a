"""What goes wrong in gRPC calls, byte by byte: by a client of our own engine that says what a test wants said."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.errors import ClientDisconnected, GrpcCode, GrpcError
from skitai.hub.site import Site
from skitai.net import logs
from skitai.saddle import Saddle
from skitai.wire.grpc.messages import MOST_BYTES, frame
from tests.grpcio_peers import HERE
from tests.hub.conftest import until
from tests.hub.http2_client import Answer, Http2Client

pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")
sys.path.insert(0, str(HERE.parent / "examples"))
import route_guide_pb2 as pb

SERVICE = "/routeguide.RouteGuide"
POINT = frame(pb.Point(latitude=7).SerializeToString())
GRPC = ("content-type", "application/grpc")


class Guide:
    """An app, and what its functions came to know."""

    def __init__(self) -> None:
        self.app = app = Saddle(__name__)
        self.calls = 0
        self.errors: list[BaseException] = []
        self.made = 0
        self.is_over = Event()
        self.told = Event()

        @app.route("/GetFeature")
        def get_feature(was, point):
            self.calls += 1
            return pb.Feature(name=str(point.latitude))

        @app.route("/ListFeatures")
        def list_features(was, rectangle):
            try:
                for _ in range(100_000):
                    self.made += 1
                    yield pb.Feature(name="x" * 10_000)
            finally:
                self.is_over.set()

        @app.route("/RecordRoute")
        def record_route(was, points):
            count = 0
            try:
                for _ in points:
                    count += 1
                    self.told.set()
            except Exception as error:
                self.errors.append(error)
                self.is_over.set()
                raise
            return pb.RouteSummary(point_count=count)

        @app.route("/RouteChat")
        def route_chat(was, notes):
            try:
                yield from notes
            except Exception as error:
                self.errors.append(error)
                raise
            finally:
                self.is_over.set()


class Caller:
    """A served guide, and a client of it."""

    def __init__(self, serve: Any, mounted: Any, app: Any = None, **options: Any) -> None:
        self.guide = Guide()
        site = Site()
        site.mount_app(SERVICE, mounted(app or self.guide.app))
        self.server = serve(site=site, **options)
        logs.use(self.server.logs)
        self.client = self.connect()

    def connect(self, **options: Any) -> Http2Client:
        return Http2Client(self.server.connect().sock, **options)

    def open(self, method: str, *fields: tuple[str, str], end: bool = False) -> int:
        return self.client.open("POST", f"{SERVICE}/{method}", [GRPC, ("te", "trailers"), *fields], end)

    def call(self, method: str, body: bytes, *fields: tuple[str, str]) -> Answer:
        stream = self.open(method, *fields)
        self.client.send(stream, body, True)
        return self.client.finish(stream)


@pytest.fixture
def caller(serve: Any, mounted: Any) -> Iterator[Callable[..., Caller]]:
    before = logs.current()
    yield lambda **options: Caller(serve, mounted, **options)
    logs.use(before)


def status(answer: Answer) -> str:
    """The status of a response without messages, which is one header section."""
    assert (answer.status, answer.body, answer.trailers) == (200, b"", None)
    return GrpcError(int(answer.get("grpc-status"))).code.name


@pytest.mark.row("SAD-GRPC-03")
def test_a_response_as_it_is_on_the_wire(caller: Any) -> None:
    answer = caller().call("GetFeature", POINT)
    assert answer.status == 200
    assert answer.get("content-type") == "application/grpc"
    assert answer.get("grpc-accept-encoding") == "identity,deflate,gzip"
    assert answer.get("content-length") is None
    assert answer.body == frame(pb.Feature(name="7").SerializeToString())
    assert answer.trailers == [("grpc-status", "0"), ("grpc-message", "ok")]


def test_a_stream_of_no_messages_without_a_body(caller: Any) -> None:
    it = caller()
    answer = it.client.finish(it.open("RecordRoute", end=True))
    assert answer.body == frame(b"")
    assert status(it.client.finish(it.open("GetFeature", end=True))) == "UNIMPLEMENTED"


@pytest.mark.parametrize("kind", ["application/grpc+json", "application/grpc-web", "application/json"])
def test_other_content_types(caller: Any, kind: str) -> None:
    it = caller()
    stream = it.client.open("POST", f"{SERVICE}/GetFeature", [("content-type", kind)], False)
    it.client.send(stream, b"{}", True)
    assert it.client.finish(stream).status == 415
    assert it.guide.calls == 0


def test_over_http1(caller: Any) -> None:
    it = caller()
    response = it.server.connect().request("POST", f"{SERVICE}/GetFeature", POINT, Content_Type="application/grpc")
    assert response.status == 505
    assert it.guide.calls == 0


def test_through_wsgi(serve: Any, mounted: Any) -> None:
    guide = Guide()
    site = Site()
    site.mount_app(SERVICE, mounted(lambda environ, start: guide.app(environ, start)))
    client = Http2Client(serve(site=site).connect().sock)
    fields = [GRPC, ("content-length", str(len(POINT)))]
    stream = client.open("POST", f"{SERVICE}/GetFeature", fields, False)
    client.send(stream, POINT, True)
    assert client.finish(stream).status == 505
    assert guide.calls == 0


def test_a_deadline_that_has_passed_and_those_that_are_none(caller: Any) -> None:
    it = caller()
    assert status(it.call("GetFeature", POINT, ("grpc-timeout", "0S"))) == "DEADLINE_EXCEEDED"
    assert status(it.call("GetFeature", POINT, ("grpc-timeout", "1n"))) == "DEADLINE_EXCEEDED"
    assert status(it.call("GetFeature", POINT, ("grpc-timeout", "soon"))) == "INTERNAL"
    assert it.guide.calls == 0
    assert it.call("GetFeature", POINT, ("grpc-timeout", "99999999H")).trailers is not None


BOMB = gzip.compress(b"\0" * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("body", "coding", "code"),
    [
        (POINT[:3], "identity", "INTERNAL"),
        (POINT[:-1], "identity", "INTERNAL"),
        (POINT + POINT[:3], "identity", "INTERNAL"),
        (b"\7" + POINT[1:], "identity", "INTERNAL"),
        (b"\1" + POINT[1:], "identity", "INTERNAL"),
        (b"\1" + POINT[1:], "gzip", "INTERNAL"),
        (POINT, "snappy", "UNIMPLEMENTED"),
        (b"\0\xff\xff\xff\xff", "identity", "RESOURCE_EXHAUSTED"),
        (b"\1" + len(BOMB).to_bytes(4, "big") + BOMB, "gzip", "RESOURCE_EXHAUSTED"),
        (frame(b"\xff\xff\xff"), "identity", "INVALID_ARGUMENT"),
        (b"", "identity", "UNIMPLEMENTED"),
        (POINT + POINT, "identity", "UNIMPLEMENTED"),
    ],
)
@pytest.mark.parametrize("method", ["GetFeature", "RecordRoute"])
def test_bodies_that_are_wrong(caller: Any, method: str, body: bytes, coding: str, code: str) -> None:
    it = caller()
    answer = it.call(method, body, ("grpc-encoding", coding))
    if method == "RecordRoute" and code == "UNIMPLEMENTED" and coding == "identity":
        assert answer.trailers is not None  # any number is right for a stream
        return
    assert status(answer) == code
    assert it.guide.calls == 0
    (line,) = it.server.app_text().splitlines()
    assert f"/{method} ended with grpc-status {GrpcCode[code]:d} {code}: " in line
    assert "gzip" in answer.get("grpc-accept-encoding")


def test_many_bytes_of_many_messages_have_no_bound_but_each_has(caller: Any) -> None:
    it = caller()
    note = frame(b"\x12" + b"\xc0\x84\x3d" + b"x" * 1_000_000)
    answer = it.call("RouteChat", note * 12)
    assert answer.body == note * 12
    it.guide.app.config.max_grpc_message_size = 1000
    assert status(it.call("RouteChat", note)) == "RESOURCE_EXHAUSTED"


def test_a_client_that_never_reads_a_stream(caller: Any) -> None:
    it = caller()
    it.client = it.connect(is_reading=False)
    stream = it.open("ListFeatures")
    it.client.send(stream, frame(b""), True)
    it.client.until(lambda: len(it.client.answers[stream].body) > 200_000)
    made = it.guide.made
    gevent.sleep(0.05)
    assert it.guide.made == made < 100  # it waits for the window
    it.client.sock.close()
    assert it.guide.is_over.wait(5)


def test_the_deadline_of_a_stream_that_nobody_reads(caller: Any) -> None:
    it = caller()
    it.client = it.connect(is_reading=False)
    stream = it.open("ListFeatures", ("grpc-timeout", "300m"))
    it.client.send(stream, frame(b""), True)
    answer = it.client.finish(stream)
    assert answer.trailers is not None and ("grpc-status", "4") in answer.trailers
    assert it.guide.is_over.wait(5)
    assert "[expt:" not in it.server.app_text()


def test_the_deadline_of_a_stream_that_nobody_sends(caller: Any) -> None:
    it = caller()
    stream = it.open("RecordRoute", ("grpc-timeout", "300m"))
    it.client.send(stream, POINT)
    answer = it.client.finish(stream)
    assert (answer.status, answer.get("grpc-status")) == (200, "4")
    assert it.guide.is_over.wait(5)
    assert [type(error) for error in it.guide.errors] == [GrpcError]
    until(lambda: it.server.server.slots.busy == 0)
    (line,) = it.server.app_text().splitlines()  # once, although the function raised it as well
    assert line.endswith(f"{SERVICE}/RecordRoute ended with grpc-status 4 DEADLINE_EXCEEDED: the deadline has passed")


def test_a_client_that_gives_up_or_goes(caller: Any) -> None:
    it = caller()
    stream = it.open("RecordRoute")
    it.client.send(stream, POINT)
    assert it.guide.told.wait(5)
    it.client.give_up(stream)
    assert it.guide.is_over.wait(5)
    it.guide.is_over.clear()
    stream = it.open("RouteChat")
    it.client.send(stream, frame(b""))
    it.client.until(lambda: it.client.answers[stream].body)
    it.client.sock.close()
    assert it.guide.is_over.wait(5)
    assert [type(error) for error in it.guide.errors] == [ClientDisconnected] * 2
    until(lambda: it.server.server.slots.busy == 0)
    assert it.server.app_text() == ""


def test_a_function_that_answers_before_it_has_read_all(caller: Any) -> None:
    it = caller()

    stream = it.open("GetFeature")
    it.client.send(stream, frame(b"\xff\xff\xff") + b"x" * 70_000)
    answer = it.client.finish(stream)
    assert status(answer) == "INVALID_ARGUMENT"
    assert it.call("GetFeature", POINT).trailers is not None


def test_all_slots_are_busy(caller: Any) -> None:
    it = caller(threads=1, limits={"queue": 1})
    streams = [it.open("RecordRoute") for _ in range(3)]
    answer = it.client.finish(streams[2])
    assert answer.status == 503  # which means UNAVAILABLE
    for stream in streams[:2]:
        it.client.send(stream, b"", True)
        assert it.client.finish(stream).body == frame(b"")


def test_one_that_does_not_read_hinders_nobody(caller: Any) -> None:
    it = caller()
    slow = it.connect(is_reading=False)
    stream = slow.open("POST", f"{SERVICE}/ListFeatures", [GRPC], False)
    slow.send(stream, frame(b""), True)
    for _ in range(20):
        assert it.call("GetFeature", POINT).trailers is not None
    slow.sock.close()
    assert it.guide.is_over.wait(5)


def failing(how: Any) -> Saddle:
    """An app whose functions do something that is wrong, at the beginning or behind the first message."""
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        return how(was)

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        yield pb.Feature(name="first")
        how(was)

    return app


def fail(error: BaseException) -> Any:
    def how(was: Any) -> None:
        raise error

    return how


@pytest.mark.row("SAD-GRPC-03")
@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        (fail(GrpcError("NOT_FOUND", "no", [("bad name", "x")])), "5", "metadata cannot be called"),
        (fail(GrpcError("NOT_FOUND", "no", [("x", "a\r\nb")])), "5", "printable ASCII"),
        (fail(GrpcError("NOT_FOUND", "no", [("x-bin", "text")])), "5", "is bytes"),
        (fail(ClientDisconnected("somebody else is gone")), "2", "somebody else"),
        (lambda was: was.grpc_call.add_trailing("x", "\n"), "2", "printable ASCII"),
        (lambda was: was.grpc_call.add_leading("grpc-x", ""), "2", "cannot be called"),
        (fail(StopIteration()), "2", "StopIteration"),
        (fail(RecursionError("deep")), "2", "deep"),
    ],
)
def test_functions_that_fail_give_a_status_and_one_line_of_why(caller: Any, how: Any, code: str, text: str) -> None:
    it = caller(app=failing(how))
    answer = it.call("GetFeature", POINT)
    assert (answer.status, answer.body, answer.get("grpc-status")) == (200, b"", code)
    wrong, status = it.server.app_text().splitlines()
    assert text in wrong and f"ended with grpc-status {code} " in status
    answer = it.call("ListFeatures", frame(b""))
    assert answer.body == frame(pb.Feature(name="first").SerializeToString())
    assert dict(answer.trailers)["grpc-status"] == code
    assert len(it.server.app_text().splitlines()) == 4


def test_streams_of_a_connection_have_a_bound_that_can_be_set(caller: Any) -> None:
    it = caller(limits={"http2_streams": 200})
    streams = [it.open("RouteChat") for _ in range(200)]
    for stream in streams:
        it.client.send(stream, frame(b""))
    it.client.until(lambda: all(it.client.answers[stream].body for stream in streams))
    refused = it.open("RouteChat")
    it.client.until(lambda: it.client.answers[refused].reset is not None)
    assert it.client.answers[refused].reset == 7
    for stream in streams:
        it.client.give_up(stream)
    until(lambda: not any(each.session._exchanges for each in it.server.server._connections))


def test_a_stop_waits_for_streams_that_end_and_ends_those_that_do_not(caller: Any) -> None:
    it = caller()
    ending, endless = it.open("RouteChat"), it.open("RouteChat")
    for stream in (ending, endless):
        it.client.send(stream, frame(b""))
    it.client.until(lambda: it.client.answers[ending].body and it.client.answers[endless].body)
    stopping = gevent.spawn(it.server.server.stop, 1.0)
    it.client.until(lambda: it.client.goodbye)
    it.client.send(ending, frame(b""), True)
    assert dict(it.client.finish(ending).trailers)["grpc-status"] == "0"
    it.guide.is_over.clear()
    stopping.get(timeout=5)
    assert it.guide.is_over.wait(5)
    assert [type(error) for error in it.guide.errors] == [ClientDisconnected]
    assert it.server.app_text() == ""


def test_a_stream_without_end_can_see_that_the_server_stops(caller: Any) -> None:
    app = Saddle(__name__)

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        while not was.grpc_call.is_stopping:
            yield pb.Feature()
            gevent.sleep(0.01)

    it = caller(app=app)
    stream = it.open("ListFeatures")
    it.client.send(stream, frame(b""), True)
    it.client.until(lambda: it.client.answers[stream].body)
    stopping = gevent.spawn(it.server.server.stop, 20)
    assert dict(it.client.finish(stream).trailers)["grpc-status"] == "0"
    stopping.get(timeout=5)


@pytest.mark.parametrize("size", [0, 1_000_000], ids=["small", "packed"])
def test_floods_of_messages_leave_others_their_turn(caller: Any, size: int) -> None:
    """A function that reads a stream need not wait, and gives way all the same."""
    app = Saddle(__name__)
    turns: list[int] = []
    read = 0

    @app.route("/RecordRoute")
    def record_route(was, points):
        nonlocal read
        gevent.spawn(look)
        for _ in points:
            read += 1
        return pb.RouteSummary(point_count=read)

    def look() -> None:
        while not turns or turns[-1] < count:
            turns.append(read)
            gevent.sleep(0)

    # Unknown fields may be of any size.
    message = frame(b"\x7a" + _varint(size) + bytes(size) if size else b"", bool(size))
    count = 5000 if not size else 20
    it = caller(app=app)
    answer = it.call("RecordRoute", message * count, ("grpc-encoding", "gzip"))
    assert pb.RouteSummary.FromString(answer.body[5:]).point_count == count
    assert max(after - before for before, after in pairwise(turns)) <= (2 if size else 64)


def _varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])
