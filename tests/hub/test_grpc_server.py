"""Saddle apps called by grpcio, in a process of its own, over h2c and TLS."""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import trustme
from gevent.event import Event

from skitai.errors import ClientDisconnected, GrpcError
from skitai.hub.site import Site
from skitai.net import logs
from skitai.saddle import Saddle
from tests.grpcio_peers import HERE, GrpcioClient

pytest.importorskip("grpc", reason="pip install grpcio")
sys.path.insert(0, str(HERE.parent / "examples"))
import route_guide_pb2 as pb

Serve = Callable[..., Any]
POINT = pb.Point(latitude=409146138, longitude=-746188906)
SERVICE = "/routeguide.RouteGuide"


@pytest.fixture(scope="module")
def client() -> Iterator[GrpcioClient]:
    found = GrpcioClient()
    yield found
    found.end()


@pytest.fixture
def start(serve: Serve, mounted: Any) -> Iterator[Callable[..., Any]]:
    """Serve an app at its mount point."""

    before = logs.current()

    def start_one(app: Saddle, point: str = SERVICE, **options: Any) -> Any:
        site = Site()
        site.mount_app(point, mounted(app))
        server = serve(site=site, **options)
        logs.use(server.logs)
        return server

    yield start_one
    logs.use(before)


def feature(name: str, point: Any = POINT) -> Any:
    return pb.Feature(name=name, location=point)


def read(kind: Any, outcome: Any) -> list[Any]:
    assert outcome["code"] == "OK", outcome
    return [kind.FromString(each) for each in outcome["messages"]]


def guide() -> Saddle:
    """All four kinds."""
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def GetFeature(was, point):
        return feature("here", point)

    @app.route("/ListFeatures")
    def ListFeatures(was, rectangle):
        for number in range(rectangle.lo.latitude, rectangle.hi.latitude):
            yield feature(f"feature {number}")

    @app.route("/RecordRoute")
    def RecordRoute(was, points):
        return pb.RouteSummary(point_count=sum(1 for _ in points))

    @app.route("/RouteChat")
    def RouteChat(was, notes):
        for note in notes:
            yield pb.RouteNote(message=note.message.upper())

    return app


# The four kinds


@pytest.mark.row("SAD-GRPC-01", "SAD-GRPC-04")
def test_one_message_for_one(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    outcome = client.call(server.port, "GetFeature", POINT)
    assert read(pb.Feature, outcome) == [feature("here")]
    assert server.request_lines()[0].count("POST /routeguide.RouteGuide/GetFeature HTTP/2.0") == 1


@pytest.mark.row("SAD-GRPC-02")
def test_streams_in_each_direction(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    rectangle = pb.Rectangle(lo=pb.Point(latitude=3), hi=pb.Point(latitude=6))
    names = [each.name for each in read(pb.Feature, client.call(server.port, "ListFeatures", rectangle))]
    assert names == ["feature 3", "feature 4", "feature 5"]
    assert read(pb.Feature, client.call(server.port, "ListFeatures", pb.Rectangle())) == []
    summary = read(pb.RouteSummary, client.call(server.port, "RecordRoute", *[POINT] * 500))
    assert summary == [pb.RouteSummary(point_count=500)]
    assert read(pb.RouteSummary, client.call(server.port, "RecordRoute")) == [pb.RouteSummary()]


@pytest.mark.row("SAD-GRPC-02")
def test_a_conversation(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    assert client.order("talk", f"localhost:{server.port}", ["one", "two", "three"]) == ["ONE", "TWO", "THREE"]


@pytest.mark.row("SAD-GRPC-01")
def test_over_tls(start: Any, client: GrpcioClient) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = start(guide(), tls=context)
    pem = authority.cert_pem.bytes()
    assert read(pb.Feature, client.call(server.port, "GetFeature", POINT, authority=pem)) == [feature("here")]


def test_an_app_at_the_root_whose_rule_names_the_service(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)

    @app.route("/routeguide.RouteGuide/GetFeature")
    def get_feature(was, point):
        return feature("root", point)

    server = start(app, "/")
    assert read(pb.Feature, client.call(server.port, "GetFeature", POINT)) == [feature("root")]


def test_a_thousand_calls_at_the_same_time_on_one_connection(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        gevent.sleep(0.01)
        return feature("here", point)

    server = start(app)
    found = client.order("many", f"localhost:{server.port}", "GetFeature", POINT.SerializeToString(), 1000)
    assert found == {"OK": 1000}
    assert server.server.connections == 1


# Status


def raising(error: BaseException) -> Saddle:
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        raise error

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        yield feature("one")
        raise error

    return app


@pytest.mark.row("SAD-GRPC-03")
def test_an_exception_is_logged_and_not_told(start: Any, client: GrpcioClient) -> None:
    server = start(raising(ValueError("secret")))
    outcome = client.call(server.port, "GetFeature", POINT)
    assert (outcome["code"], outcome["details"]) == ("UNKNOWN", "internal error")
    assert "'ValueError'> secret" in server.app_text()
    server = start(raising(ValueError("secret")))
    outcome = client.call(server.port, "ListFeatures", pb.Rectangle())
    assert (outcome["code"], outcome["details"]) == ("UNKNOWN", "internal error")
    assert [pb.Feature.FromString(each).name for each in outcome["messages"]] == ["one"]
    assert "'ValueError'> secret" in server.app_text()


@pytest.mark.row("SAD-GRPC-03")
def test_unknown_methods_and_services(start: Any, client: GrpcioClient) -> None:
    server = start(raising(ValueError()))
    assert client.call(server.port, "NoSuch", POINT)["code"] == "UNIMPLEMENTED"
    assert client.call(server.port, "RouteChat")["code"] == "UNIMPLEMENTED"  # described, and not routed
    assert client.call(server.port, "GetFeature", POINT, service="no.Such")["code"] == "UNIMPLEMENTED"
    assert [line.partition("] ")[2] for line in server.app_text().splitlines()] == [
        f"/routeguide.RouteGuide/{name} ended with grpc-status 12 UNIMPLEMENTED:"
        f" there is no method /routeguide.RouteGuide/{name}"
        for name in ("NoSuch", "RouteChat")  # the request log has a 404 for the third
    ]


def test_a_method_that_no_module_describes(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)

    @app.route("/Method")
    def method(was, message):
        return message

    server = start(app, "/no.Module")
    assert client.call(server.port, "Method", POINT, service="no.Module")["code"] == "UNIMPLEMENTED"
    assert "import its *_pb2 module" in server.app_text()


@pytest.mark.row("SAD-GRPC-03")
def test_errors_of_the_function_with_details_and_metadata(start: Any, client: GrpcioClient) -> None:
    error = GrpcError("NOT_FOUND", "nichts da: ☃ 100%", [("hint", "try again"), ("hint-bin", b"\0\xff")])
    server = start(raising(error))
    outcome = client.call(server.port, "GetFeature", POINT)
    assert (outcome["code"], outcome["details"]) == ("NOT_FOUND", "nichts da: ☃ 100%")
    assert ("hint", "try again") in outcome["trailing"] and ("hint-bin", b"\0\xff") in outcome["trailing"]
    assert client.call(server.port, "ListFeatures", pb.Rectangle())["code"] == "NOT_FOUND"


def logged(server: Any) -> list[list[str]]:
    """Category and text of each line of the app log that tells how a call ended."""
    lines = [line[20:].partition("] ") for line in server.app_text().splitlines() if "grpc-status" in line]
    return [[before.lstrip("[").partition(":")[0], text] for before, _, text in lines]


@pytest.mark.row("SAD-GRPC-03", "LOG-06")
def test_the_app_log_says_what_a_200_really_was(start: Any, client: GrpcioClient) -> None:
    server = start(raising(GrpcError("UNAVAILABLE", "☃\nforged " + "x" * 500)))
    assert client.call(server.port, "GetFeature", POINT)["code"] == "UNAVAILABLE"
    (request,), (line,) = server.request_lines(), server.app_text().splitlines()
    assert " POST /routeguide.RouteGuide/GetFeature HTTP/2.0 200 " in request
    (transaction,) = re.findall(r" (GTID-\S+ \d+) ", request)
    assert f"[error:{transaction.replace(' ', '/')}]" in line
    text = ("%E2%98%83%0Aforged " + "x" * 500)[:200]
    assert line.endswith(f"/routeguide.RouteGuide/GetFeature ended with grpc-status 14 UNAVAILABLE: {text}")

    assert client.call(server.port, "ListFeatures", pb.Rectangle())["code"] == "UNAVAILABLE"  # after a message
    assert [category for category, _ in logged(server)] == ["error", "error"]


def test_which_ends_of_calls_are_logged(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    assert client.call(server.port, "GetFeature", POINT)["code"] == "OK"
    assert server.app_text() == ""
    server = start(raising(GrpcError("NOT_FOUND")))
    client.call(server.port, "GetFeature", POINT)
    assert logged(server) == [["info", "/routeguide.RouteGuide/GetFeature ended with grpc-status 5 NOT_FOUND"]]
    server = start(raising(GrpcError("NOT_FOUND")))
    server.server.access_log = None  # as by request_log=False
    client.call(server.port, "GetFeature", POINT)
    assert server.app_text() == ""
    server = start(raising(ValueError("secret")))
    server.server.access_log = None
    client.call(server.port, "GetFeature", POINT)
    text = "/routeguide.RouteGuide/GetFeature ended with grpc-status 2 UNKNOWN: internal error"
    assert logged(server) == [["error", text]]


def test_statuses_of_http_become_statuses_of_grpc(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)
    app.securekey = "key"
    app.realm, app.users = "realm", {"ann": ("secret", 0, {})}

    @app.route("/GetFeature")
    def get_feature(was, point):
        was.response.set_status("409 Conflict")
        return "a page"

    @app.route("/ListFeatures", authenticate=True)
    def list_features(was, rectangle):
        return []

    server = start(app)
    assert client.call(server.port, "GetFeature", POINT)["code"] == "ABORTED"
    assert client.call(server.port, "ListFeatures", pb.Rectangle())["code"] == "UNAUTHENTICATED"


def test_a_result_of_the_wrong_kind(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        return point

    server = start(app)
    assert client.call(server.port, "GetFeature", POINT)["code"] == "UNKNOWN"
    assert "gives routeguide.Feature, not Point" in server.app_text()


def test_hooks_stand_around_calls(start: Any, client: GrpcioClient) -> None:
    app = guide()
    seen = []

    @app.before_request
    def before(was):
        seen.append(was.request.get_content_type())

    @app.teardown_request
    def teardown(was):
        seen.append("over")

    server = start(app)
    assert read(pb.Feature, client.call(server.port, "GetFeature", POINT)) == [feature("here")]
    assert seen == ["application/grpc", "over"]


# Metadata and compression


def test_metadata_both_ways(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)

    @app.route("/GetFeature")
    def get_feature(was, point):
        call = was.grpc_call
        call.add_leading("x-lead", "first")
        call.add_trailing("x-trail-bin", call.get("x-key-bin") * 2)
        was.response.set_header("x-field", was.request.get_header("x-user"))
        return feature(call.get("X-User"))

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        was.grpc_call.add_leading("x-lead", "first")
        yield feature("one")
        was.grpc_call.add_trailing("x-trail", "last")

    server = start(app)
    outcome = client.call(server.port, "GetFeature", POINT, metadata=[("x-user", "ann"), ("x-key-bin", b"\0\xff")])
    assert read(pb.Feature, outcome) == [feature("ann")]
    assert {("x-lead", "first"), ("x-field", "ann")} <= set(outcome["leading"])
    assert ("x-trail-bin", b"\0\xff\0\xff") in outcome["trailing"]
    outcome = client.call(server.port, "ListFeatures", pb.Rectangle())
    assert ("x-lead", "first") in outcome["leading"] and ("x-trail", "last") in outcome["trailing"]


@pytest.mark.row("SAD-GRPC-05")
def test_compression_both_ways(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)
    seen = []

    @app.route("/RouteChat")
    def route_chat(was, notes):
        for note in notes:
            seen.append(was.grpc_call.compresses)
            yield note

    server = start(app)
    note = pb.RouteNote(message="abc" * 10_000)
    outcome = client.call(server.port, "RouteChat", note, note, gzip=True)
    assert read(pb.RouteNote, outcome) == [note, note]
    assert seen == [True, True]
    _, _, sent = server.request_lines()[0].rpartition("HTTP/2.0")
    assert int(sent.split()[2]) < 2000, sent


# Deadlines


def waiting(told: Event) -> Saddle:
    """Functions that wait longer than any client."""
    app = Saddle(__name__)

    def wait(was: Any) -> None:
        while was.grpc_call.is_active:
            gevent.sleep(0.01)
        told.set()

    @app.route("/GetFeature")
    def get_feature(was, point):
        wait(was)
        return feature("late")

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        yield feature("one")
        wait(was)
        yield feature("two")

    @app.route("/RecordRoute")
    def record_route(was, points):
        try:
            return pb.RouteSummary(point_count=len(list(points)))
        except (GrpcError, ClientDisconnected):
            told.set()
            raise

    @app.route("/RouteChat")
    def route_chat(was, notes):
        try:
            yield from notes
        except (GrpcError, ClientDisconnected):
            told.set()
            raise

    return app


@pytest.mark.parametrize("method", ["GetFeature", "ListFeatures", "RecordRoute", "RouteChat"])
def test_deadlines(start: Any, client: GrpcioClient, method: str) -> None:
    told = Event()
    server = start(waiting(told))
    outcome = client.call(server.port, method, POINT, POINT, timeout=0.15, pause=10 if "R" in method else 0)
    assert outcome["code"] == "DEADLINE_EXCEEDED"
    assert told.wait(5)
    assert "[expt:" not in server.app_text()


@pytest.mark.parametrize("method", ["ListFeatures", "RouteChat"])
def test_a_client_that_cancels(start: Any, client: GrpcioClient, method: str) -> None:
    told = Event()
    server = start(waiting(told))
    outcome = client.call(server.port, method, POINT, POINT, cancel_after=1, pause=0.2)
    assert outcome["code"] == "CANCELLED"
    assert told.wait(5)
    assert server.app_text() == ""


def test_a_client_that_reads_slowly(start: Any, client: GrpcioClient) -> None:
    app = Saddle(__name__)
    made = []

    @app.route("/ListFeatures")
    def list_features(was, rectangle):
        for number in range(400):
            made.append(number)
            yield feature("x" * 10_000)

    server = start(app)
    assert client.order("half_read", f"localhost:{server.port}", b"", 3) == 400


def test_messages_as_large_as_allowed_and_larger(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    most = 4 * 1024 * 1024
    large = pb.RouteNote(message="x" * (most - 5))
    assert large.ByteSize() == most
    assert len(read(pb.RouteNote, client.call(server.port, "RouteChat", large))[0].message) == most - 5
    larger = pb.RouteNote(message="x" * most)
    assert client.call(server.port, "RouteChat", larger)["code"] == "RESOURCE_EXHAUSTED"
    assert client.call(server.port, "GetFeature", larger)["code"] == "RESOURCE_EXHAUSTED"
    packed = client.call(server.port, "GetFeature", larger, gzip=True)
    assert packed["code"] == "RESOURCE_EXHAUSTED"


def test_what_is_no_message(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    assert client.call(server.port, "GetFeature", b"\xff\xff\xff")["code"] == "INVALID_ARGUMENT"
    assert client.call(server.port, "RecordRoute", b"\xff\xff\xff")["code"] == "INVALID_ARGUMENT"


def test_several_messages_where_one_is_taken(start: Any, client: GrpcioClient) -> None:
    server = start(guide())
    assert client.call(server.port, "GetFeature", POINT, POINT, kind="stream_stream")["code"] == "UNIMPLEMENTED"
    assert client.call(server.port, "GetFeature", kind="stream_stream")["code"] == "UNIMPLEMENTED"
