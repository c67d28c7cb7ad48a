"""``was.grpc`` and servers that mean harm: every call ends in time with a status, and the pools are whole."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from skitai import was
from skitai.errors import GrpcCode, RequestFailed
from skitai.settings import Limits
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.wire.fields import Fields
from skitai.wire.grpc.messages import frame
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code
from skitai.wire.http2.frames import goaway
from skitai.wire.http2.heads import raw_fields
from tests.grpcio_peers import HERE

from .conftest import Link, Peers, until

pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")
sys.path.insert(0, str(HERE.parent / "examples"))
import route_guide_pb2 as pb

GRPC: Fields = [("content-type", "application/grpc")]
FEATURE = frame(pb.Feature(name="x").SerializeToString())
POINT = pb.Point(latitude=1)


class Server:
    """One connection of a server by our own engine; what it does with each request is ``answer(server, stream)``."""

    def __init__(self, link: Link, answer: Callable[[Server, int], object]) -> None:
        self.link = link
        self.engine = Http2Engine(True, Limits())
        self.engine.begin()
        self._answer = answer
        self._is_over = False

    def run(self) -> None:
        try:
            while data := self.link._socket.recv(65_536):
                self._take(data)
        finally:
            self._is_over = True

    def _take(self, data: bytes) -> None:
        for event in self.engine.receive(data, 0.0):
            if type(event).__name__ == "RequestStarted":
                gevent.spawn(self._begin, event.stream)  # type: ignore[union-attr]
            elif type(event).__name__ == "BodyReceived":
                self.engine.acknowledge(event.stream, event.size)  # type: ignore[union-attr]
        self.flush()

    def _begin(self, stream: int) -> None:
        try:
            self._answer(self, stream)
            self.flush()
        except Exception:  # the client has given the stream up, or closed
            return

    def flush(self) -> None:
        self.link.send(self.engine.data_to_send())

    def head(self, stream: int, *fields: tuple[str, str], status: int = 200, end: bool = False) -> None:
        self.engine.send_head(stream, [(b":status", b"%d" % status), *raw_fields([*GRPC, *fields])], end)

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Waits for the window."""
        while data or end:
            if self._is_over or stream not in self.engine.streams:
                raise ConnectionError("nobody opens this window any more")
            room = max(0, min(self.engine.window(stream), 16_000))
            part, data = data[:room], data[room:]
            if part or not data:
                self.engine.send_data(stream, part, end and not data)
                end = end and bool(data)
            self.flush()
            gevent.sleep(0)

    def trailers(self, stream: int, *fields: tuple[str, str]) -> None:
        self.engine.send_trailers(stream, list(fields))


@pytest.fixture
def stub(peers: Peers) -> Iterator[Callable[..., Any]]:
    """``stub(answer)``; nothing may be left of the calls."""

    def start(answer: Callable[[Server, int], object], **options: Any) -> Any:
        return was.grpc(peers(lambda link: Server(link, answer).run()).url("/routeguide.RouteGuide"), **options)

    engine = _engine.current()
    before = set(engine.sweep._watched)  # of other tests
    with gevent.Timeout(15):
        yield start
        until(lambda: not any(each.streams for pool in engine.pools.values() for each in pool._open))
        engine.close()
        until(lambda: not engine.pools)
        assert engine.sweep._watched <= before


def ended_by(*trailers: tuple[str, str], message: bytes = FEATURE) -> Callable[[Server, int], object]:
    def answer(server: Server, stream: int) -> None:
        server.head(stream)
        server.send(stream, message)
        server.trailers(stream, *trailers)

    return answer


@pytest.mark.row("WAS-GRPC-05")
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("0", GrpcCode.OK), ("00", GrpcCode.OK), ("5", GrpcCode.NOT_FOUND), ("abc", GrpcCode.UNKNOWN),
        ("-1", GrpcCode.UNKNOWN), ("", GrpcCode.UNKNOWN), ("0, 5", GrpcCode.UNKNOWN), ("99999999999", GrpcCode.UNKNOWN),
        ("\u00b2", GrpcCode.UNKNOWN),
    ],
)  # fmt: skip
def test_statuses_that_are_none(stub: Any, value: str, code: GrpcCode) -> None:
    result = stub(ended_by(("grpc-status", value), ("grpc-message", "%zz%FF"))).GetFeature(POINT).getwait()
    assert (result.status, result.grpc_status) == (3, code)
    assert (result.data is not None) == (code is GrpcCode.OK)


def test_an_end_without_a_status(stub: Any) -> None:
    result = stub(ended_by(("x", "y"))).GetFeature(POINT).getwait()
    assert (result.status, result.grpc_status, result.data) == (3, GrpcCode.UNKNOWN, None)
    result = stub(lambda server, stream: server.head(stream, end=True)).GetFeature(POINT).getwait()
    assert (result.status, result.grpc_status, result.data) == (3, GrpcCode.UNKNOWN, None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.NO_ERROR, GrpcCode.INTERNAL),
        (Code.CANCEL, GrpcCode.CANCELLED),
        (Code.INTERNAL_ERROR, GrpcCode.INTERNAL),
        (Code.REFUSED_STREAM, GrpcCode.UNAVAILABLE),
        (Code.ENHANCE_YOUR_CALM, GrpcCode.RESOURCE_EXHAUSTED),
        (Code.INADEQUATE_SECURITY, GrpcCode.PERMISSION_DENIED),
        (Code.HTTP_1_1_REQUIRED, GrpcCode.INTERNAL),
        (0x7777, GrpcCode.INTERNAL),
    ],
)
@pytest.mark.parametrize("begins", [False, True])
def test_streams_that_are_reset(stub: Any, code: int, expected: GrpcCode, begins: bool) -> None:
    """The specification's table of what the codes of RST_STREAM mean."""
    seen = []

    def answer(server: Server, stream: int) -> None:
        seen.append(stream)
        if begins:
            server.head(stream)
            server.send(stream, FEATURE[:3])
        server.engine.reset(stream, code)

    service = stub(answer)
    result = service.GetFeature(POINT).getwait(5)
    assert (result.status, result.grpc_status, result.data) == (2, expected, None)
    assert len(seen) <= 4  # what was refused is asked for again, and not for ever
    with pytest.raises(RequestFailed):
        list(service.ListFeatures.stream(pb.Rectangle()))


def test_a_goodbye_in_the_middle(stub: Any) -> None:
    def answer(server: Server, stream: int) -> None:
        server.head(stream)
        server.link.send(server.engine.data_to_send() + goaway(stream, Code.NO_ERROR))
        server.send(stream, FEATURE)
        server.trailers(stream, ("grpc-status", "0"))

    service = stub(answer)
    for _ in range(3):
        assert service.GetFeature(POINT).getwait(5).data.name == "x"


def test_a_server_that_always_says_goodbye_first(stub: Any) -> None:
    seen = []

    def answer(server: Server, stream: int) -> None:
        seen.append(stream)
        server.link.send(goaway(0, Code.NO_ERROR))

    result = stub(answer).GetFeature(POINT).getwait(5)
    assert (result.status, result.grpc_status) == (2, GrpcCode.UNAVAILABLE)
    assert len(seen) <= 4


@pytest.mark.parametrize(
    "message",
    [
        b"\1" + len(gzip.compress(bytes(50_000_000))).to_bytes(4, "big") + gzip.compress(bytes(50_000_000)),
        frame(bytes(5_000_000)),
        b"\0\xff\xff\xff\xff",
    ],
    ids=["bomb", "large", "announced"],
)
@pytest.mark.parametrize("method", ["GetFeature", "ListFeatures"])
def test_messages_that_are_too_large(stub: Any, message: bytes, method: str) -> None:
    def answer(server: Server, stream: int) -> None:
        server.head(stream, ("grpc-encoding", "gzip"))
        server.send(stream, message)
        server.trailers(stream, ("grpc-status", "0"))

    result = getattr(stub(answer), method)(POINT if method == "GetFeature" else pb.Rectangle()).getwait()
    assert (result.status, result.grpc_status, result.data) == (3, GrpcCode.RESOURCE_EXHAUSTED, None)


def test_messages_without_end_and_without_content(stub: Any) -> None:
    wasc.configure(body_bytes=1_000_000)

    def answer(server: Server, stream: int) -> None:
        server.head(stream)
        while True:
            server.send(stream, frame(b"") * 1000)

    service = stub(answer)
    assert service.ListFeatures(pb.Rectangle()).getwait().grpc_status is GrpcCode.RESOURCE_EXHAUSTED
    with service.ListFeatures.stream(pb.Rectangle()) as features:
        assert features.receive() is not None
        gevent.sleep(0.1)
        assert len(features._feed._waiting) < 20_000
    assert features.result.grpc_status is GrpcCode.CANCELLED


@pytest.mark.parametrize("drop", [frame(b""), b"\0", frame(b"")[:1]], ids=["messages", "bytes", "prefixes"])
def test_answers_that_drip(stub: Any, drop: bytes) -> None:
    """Silence is not the only thing that has a bound."""

    def answer(server: Server, stream: int) -> None:
        server.head(stream)
        while True:
            server.send(stream, drop)
            gevent.sleep(0.02)

    service = stub(answer, timeout=0.4)
    result = service.ListFeatures(pb.Rectangle()).getwait(5)
    assert (result.status, result.code, result.grpc_status) == (2, 702, GrpcCode.DEADLINE_EXCEEDED)
    with pytest.raises(RequestFailed):
        list(service.ListFeatures.stream(pb.Rectangle()))
    wasc.configure(idle_time=0.3)
    silent = stub(lambda server, stream: server.head(stream))
    assert silent.ListFeatures(pb.Rectangle()).getwait(5).grpc_status is GrpcCode.DEADLINE_EXCEEDED


def test_trailers_that_are_too_large(stub: Any) -> None:
    answer = ended_by(("grpc-status", "0"), *[(f"x{number}", "y" * 4000) for number in range(199)])
    result = stub(answer).GetFeature(POINT).getwait(5)
    assert (result.status, result.data) == (2, None)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_connections_that_break_in_the_middle(stub: Any, how: str) -> None:
    def answer(server: Server, stream: int) -> None:
        server.head(stream)
        server.send(stream, FEATURE + FEATURE[:4])
        gevent.sleep(0.02)
        getattr(server.link, how)()

    service = stub(answer)
    with pytest.raises(RequestFailed):
        service.GetFeature(POINT).getwait(5).reraise()
    seen = []
    with pytest.raises(RequestFailed):
        for feature in service.ListFeatures.stream(pb.Rectangle()):
            seen.append(feature.name)
    assert seen == ["x"]


def test_whoever_waits_for_a_message_hears_of_a_cancel(stub: Any) -> None:
    service = stub(lambda server, stream: server.head(stream))
    chat = service.RouteChat.stream()

    def wait() -> Any:
        try:
            return chat.receive()
        except Exception as error:
            return error

    waiting = gevent.spawn(wait)
    sending = gevent.spawn(lambda: [chat.send(pb.RouteNote(message="x" * 100_000)) for _ in range(100)])
    gevent.sleep(0.1)
    chat.close()
    assert waiting.get(timeout=5) is not None
    gevent.joinall([sending], timeout=5)
    assert sending.dead
    assert chat.result.grpc_status is GrpcCode.CANCELLED


def test_five_hundred_calls_of_all_sorts_leave_nothing(stub: Any) -> None:
    def answer(server: Server, stream: int) -> None:
        kind = stream // 2 % 7
        if kind == 0:
            ended_by(("grpc-status", "0"))(server, stream)
        elif kind == 1:
            server.engine.reset(stream, Code.CANCEL)
        elif kind == 2:
            server.head(stream)
            server.send(stream, FEATURE[:4], True)
        elif kind == 3:
            server.head(stream, ("grpc-status", "7"), end=True)
        elif kind == 4:
            server.head(stream, status=503, end=True)
        elif kind == 5:
            server.head(stream)
            server.send(stream, b"\1" + FEATURE[1:], True)

    service = stub(answer, timeout=1.0)
    calls = [service.GetFeature(POINT) for _ in range(400)]
    chats = [service.RouteChat.stream() for _ in range(100)]
    for chat in chats:
        chat.close()
    found = {call.getwait(10).grpc_status for call in calls}
    assert {GrpcCode.OK, GrpcCode.INTERNAL, GrpcCode.PERMISSION_DENIED, GrpcCode.UNAVAILABLE} <= found
