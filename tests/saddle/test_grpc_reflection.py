"""The reflection service, asked by the client that belongs to grpcio and by our own, in both versions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from skitai import was
from skitai.errors import ConfigurationError, GrpcCode, GrpcError
from skitai.hub.site import Site
from skitai.net import logs
from skitai.saddle import Saddle
from skitai.saddle.grpc_health import SERVICE as HEALTH
from skitai.saddle.grpc_health import Health
from skitai.saddle.grpc_reflection import Reflection
from skitai.wire.grpc import methods
from skitai.wire.grpc.reflection import SERVICES
from tests.grpcio_peers import HERE, GrpcioClient
from tests.hub.conftest import Fixed, Running, serve

pytest.importorskip("grpc_reflection", reason="pip install grpcio-reflection")
sys.path.insert(0, str(HERE.parent / "examples"))
import route_guide_pb2 as pb
from google.protobuf.descriptor_pb2 import FileDescriptorProto

_ = serve
GUIDE = "routeguide.RouteGuide"


@pytest.fixture
def start(serve: Any) -> Iterator[Callable[..., Running]]:
    before = logs.current()

    def start_one(reflection: Reflection) -> Running:
        app = Saddle(__name__)

        @app.route("/GetFeature")
        def get_feature(was, point):
            return pb.Feature(name=f"at {point.latitude}")

        site = Site()
        site.mount_app(f"/{GUIDE}", Fixed(app))
        for name in SERVICES:
            site.mount_app(f"/{name}", Fixed(reflection.app))
        server = serve(site=site)
        logs.use(server.logs)
        return server

    yield start_one
    logs.use(before)


class Conversation:
    """One stream of questions, in one version."""

    def __init__(self, server: Running, service: str) -> None:
        method = methods.find(service, "ServerReflectionInfo")
        assert method is not None
        self._request = method.input
        self._stream = was.grpc(f"http://127.0.0.1:{server.port}/{service}", timeout=20).ServerReflectionInfo.stream()

    def ask(self, **request: Any) -> Any:
        asked = self._request(host="somewhere", **request)
        self._stream.send(asked)
        response = self._stream.receive()
        assert response.original_request == asked and response.valid_host == "somewhere"
        return getattr(response, response.WhichOneof("message_response"))

    def __enter__(self) -> Conversation:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)


def files(response: Any) -> list[str]:
    return [FileDescriptorProto.FromString(each).name for each in response.file_descriptor_proto]


def test_asked_by_grpcio(start: Any) -> None:
    Health()
    client = GrpcioClient()
    target = f"localhost:{start(Reflection(GUIDE, HEALTH)).port}"
    symbols = [GUIDE, "routeguide.Point", HEALTH, *SERVICES, "no.Such", "google.protobuf.FileDescriptorProto"]
    found = client.order("reflect", target, symbols, extended="routeguide.Point")
    client.end()
    assert found["services"] == sorted([GUIDE, HEALTH, *SERVICES])
    assert list(found["files"]) == symbols[:-2] and found["missing"] == symbols[-2:]
    assert found["files"]["routeguide.Point"] == ["route_guide.proto", []]
    assert found["files"][HEALTH] == ["grpc/health/v1/health.proto", []]
    assert found["extensions"] == {"v1": {}, "v1alpha": {}}
    assert found["name"] == "at 7"


@pytest.mark.parametrize("service", SERVICES)
def test_a_conversation_with_every_question(start: Any, service: str) -> None:
    with Conversation(start(Reflection(GUIDE)), service) as it:
        assert [each.name for each in it.ask(list_services="").service] == sorted([GUIDE, *SERVICES])
        assert files(it.ask(file_containing_symbol=f"{GUIDE}.GetFeature")) == ["route_guide.proto"]
        assert files(it.ask(file_by_filename="route_guide.proto")) == ["route_guide.proto"]
        numbers = it.ask(all_extension_numbers_of_type="routeguide.Point")
        assert (numbers.base_type_name, list(numbers.extension_number)) == ("routeguide.Point", [])
        for request in (
            {"file_containing_symbol": "no.Such"},
            {"file_by_filename": "no_such.proto"},
            {"all_extension_numbers_of_type": "no.Such"},
            {"file_containing_extension": {"containing_type": "routeguide.Point", "extension_number": 1}},
        ):
            error = it.ask(**request)
            assert error.error_code == GrpcCode.NOT_FOUND and error.error_message.endswith(" is not there"), request
        assert it.ask().error_code == GrpcCode.INVALID_ARGUMENT  # and still the conversation goes on
        assert len(it.ask(list_services="*").service) == 3


def test_extensions(start: Any) -> None:
    from google.protobuf import descriptor_pool

    file = FileDescriptorProto(name="tests/extended.proto", package="tests.extended", syntax="proto2")
    file.message_type.add(name="Message").extension_range.add(start=100, end=200)
    file.extension.add(name="more", number=123, type=9, label=1, extendee=".tests.extended.Message")
    descriptor_pool.Default().Add(file)
    client = GrpcioClient()
    server = start(Reflection(GUIDE, files=["tests/extended.proto"]))
    found = client.order("reflect", f"localhost:{server.port}", [], extended="tests.extended.Message")
    client.end()
    assert found["extensions"] == {"v1": {123: "tests/extended.proto"}, "v1alpha": {123: "tests/extended.proto"}}
    with Conversation(server, SERVICES[0]) as it:
        asked = {"containing_type": "tests.extended.Message", "extension_number": 123}
        assert files(it.ask(file_containing_extension=asked)) == ["tests/extended.proto"]


def test_services_that_no_module_describes_are_logged_once_and_not_listed(start: Any) -> None:
    server = start(Reflection("no.Module", GUIDE))
    for _ in range(2):
        with Conversation(server, SERVICES[0]) as it:
            assert [each.name for each in it.ask(list_services="").service] == sorted([GUIDE, *SERVICES])
            assert it.ask(file_containing_symbol="no.Module").error_code == GrpcCode.NOT_FOUND
    lines = [line for line in server.app_text().splitlines() if "[error" in line]
    assert len(lines) == 1 and "no.Module" in lines[0] and "import its *_pb2 module" in lines[0]


def test_a_question_of_many_bytes(start: Any) -> None:
    stub = was.grpc(f"http://127.0.0.1:{start(Reflection(GUIDE)).port}/{SERVICES[0]}", timeout=20)
    method = methods.find(SERVICES[0], "ServerReflectionInfo")
    assert method is not None
    with pytest.raises(GrpcError) as caught:
        list(stub.ServerReflectionInfo.stream([method.input(file_by_filename="x" * 100_000)]))
    assert caught.value.code is GrpcCode.RESOURCE_EXHAUSTED


def test_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="say what reflection is to tell of"):
        Reflection()
    code = (
        "import sys; from skitai.saddle.grpc_reflection import Reflection\n"
        "print([name for name in sys.modules if name.startswith('google')])\n"
        "sys.modules['google'] = sys.modules['google.protobuf'] = None\n"
        "try: Reflection('a.B')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert done.stdout.splitlines() == [
        "[]", "ConfigurationError gRPC needs the package protobuf: pip install 'skitai[grpc]'",
    ], done.stderr  # fmt: skip
