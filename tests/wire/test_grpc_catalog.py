"""What a catalog tells of the files of services, and what it does not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skitai.errors import GrpcCode, GrpcError
from skitai.wire.grpc import methods
from skitai.wire.grpc.catalog import Catalog
from skitai.wire.grpc.reflection import SERVICES, add_files

pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples"))
import route_guide_pb2 as pb

OPTIONAL, STRING, MESSAGE = 1, 9, 11


def add(name: str, *imports: str, extended: dict[str, int] | None = None, service: str = "") -> None:
    """Do what importing a generated module does: one message, which can be extended, and more."""
    file = FileDescriptorProto(name=f"tests/{name}.proto", package=f"tests.{name}", dependency=imports, syntax="proto2")
    message = file.message_type.add(name="Message")
    message.extension_range.add(start=100, end=200)
    message.field.add(name="text", number=1, type=STRING, label=OPTIONAL)
    message.nested_type.add(name="Inner")
    for field, number in (extended or {}).items():
        file.extension.add(name=field, number=number, type=STRING, label=OPTIONAL, extendee=".tests.catalog.Message")
    if service:
        kind = f".tests.{name}.Message"
        file.service.add(name=service).method.add(name="Call", input_type=kind, output_type=kind)
    descriptor_pool.Default().Add(file)


add("below")
add("catalog", "tests/below.proto", service="Service")
add("extending", "tests/catalog.proto", extended={"first": 101, "other": 100})
add("hidden", "tests/catalog.proto", extended={"secret": 150}, service="Secret")


def catalog(*services: str, files: tuple[str, ...] = ()) -> Catalog:
    found = Catalog(services or ("tests.catalog.Service",), files)
    assert found.look() == set()
    return found


def is_not_found(ask: Callable[..., Any], *args: Any) -> bool:
    with pytest.raises(GrpcError) as caught:
        ask(*args)
    return caught.value.code is GrpcCode.NOT_FOUND and len(caught.value.details) < 300


def names(parts: Any) -> list[str]:
    return [FileDescriptorProto.FromString(each).name for each in parts]


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("tests.catalog.Service", "catalog"),
        ("tests.catalog.Service.Call", "catalog"),
        ("tests.catalog.Message", "catalog"),
        ("tests.catalog.Message.Inner", "catalog"),
        ("tests.catalog.Message.text", "catalog"),
        ("tests.below.Message", "below"),
    ],
)
def test_symbols(symbol: str, file: str) -> None:
    assert catalog().file_of_symbol(symbol).name == f"tests/{file}.proto"


@pytest.mark.parametrize(
    "symbol",
    [
        "tests.hidden.Message", "tests.hidden.Secret", "tests.hidden.Secret.Call", "tests.hidden.secret",
        "routeguide.RouteGuide", "routeguide.RouteGuide.GetFeature", "tests.catalog", "tests.catalog.Service.None",
        "", ".", "\0", "\u2603", "x" * 50_000, "Service", ".tests.catalog.Service",
    ],
)  # fmt: skip
def test_symbols_that_are_not_there_or_not_told(symbol: str) -> None:
    assert is_not_found(catalog().file_of_symbol, symbol)


def test_files_by_name() -> None:
    found = catalog()
    assert found.file("tests/below.proto").package == "tests.below"
    for name in ("tests/hidden.proto", "route_guide.proto", "", "../tests/below.proto"):
        assert is_not_found(found.file, name)


def test_extensions_of_visible_files_only() -> None:
    assert catalog().extension_numbers("tests.catalog.Message") == []
    found = catalog(files=("tests/extending.proto",))
    assert found.extension_numbers("tests.catalog.Message") == [100, 101]
    assert found.extension_numbers("tests.below.Message") == []
    assert found.file_of_extension("tests.catalog.Message", 101).name == "tests/extending.proto"
    assert found.file_of_symbol("tests.extending.first").name == "tests/extending.proto"
    for number in (150, 199, 0, -1, 2**31 - 1):
        assert is_not_found(found.file_of_extension, "tests.catalog.Message", number)
    for message in ("tests.hidden.Message", "tests.catalog.Service", ""):
        assert is_not_found(found.extension_numbers, message)
        assert is_not_found(found.file_of_extension, message, 100)


def test_files_go_out_with_what_they_import_once() -> None:
    found = catalog(files=("tests/extending.proto",))
    sent: set[str] = set()
    file = found.file("tests/catalog.proto")
    assert names(found.serialize(file, sent)) == ["tests/catalog.proto", "tests/below.proto"]
    assert names(found.serialize(file, sent)) == ["tests/catalog.proto"]
    assert names(found.serialize(found.file("tests/extending.proto"), sent)) == ["tests/extending.proto"]
    assert names(found.serialize(found.file("tests/extending.proto"), set())) == [
        "tests/extending.proto", "tests/catalog.proto", "tests/below.proto",
    ]  # fmt: skip


def test_what_is_imported_later() -> None:
    found = Catalog(["tests.late.Service", "routeguide.RouteGuide"], ["tests/later.proto"])
    assert found.look() == {"tests.late.Service", "tests/later.proto"}
    assert found.services() == ["routeguide.RouteGuide"]
    assert is_not_found(found.file_of_symbol, "tests.late.Service")
    add("late", service="Service")
    assert found.look() == {"tests/later.proto"}
    assert found.services() == ["routeguide.RouteGuide", "tests.late.Service"]
    assert found.file_of_symbol("tests.late.Service").name == "tests/late.proto"
    add("later")
    assert found.look() == set()
    assert found.file("tests/later.proto").package == "tests.later"


def test_the_descriptions_are_those_of_the_generated_module() -> None:
    found = catalog("routeguide.RouteGuide")
    data = list(found.serialize(found.file_of_symbol("routeguide.RouteGuide"), set()))
    assert data == [pb.DESCRIPTOR.serialized_pb]


def test_our_messages_are_those_of_others() -> None:
    theirs = pytest.importorskip("grpc_reflection.v1alpha.reflection_pb2", reason="pip install grpcio-reflection")
    add_files()
    expected = FileDescriptorProto()
    theirs.DESCRIPTOR.CopyToProto(expected)
    for service in SERVICES:
        method = methods.find(service, "ServerReflectionInfo")
        assert method is not None and method.takes_stream and method.gives_stream
        file = FileDescriptorProto()
        method.input.DESCRIPTOR.file.CopyToProto(file)
        ours = text_format.Parse(str(file).replace("reflection.v1.", "reflection.v1alpha."), FileDescriptorProto())
        for each in (expected, ours):
            for message in each.message_type:
                for field in message.field:
                    field.ClearField("json_name")  # which is there or not, as it was made
        assert {each.name: each for each in ours.message_type} == {each.name: each for each in expected.message_type}
        assert list(ours.service) == list(expected.service)


def test_what_an_app_imports_besides_stays_its_own() -> None:
    """The generated module of a service that Skitai brings has the same names in a file called otherwise."""
    theirs = pytest.importorskip("grpc_reflection.v1alpha.reflection_pb2", reason="pip install grpcio-reflection")
    add_files()
    found = catalog(*SERVICES)
    file = found.file_of_symbol("grpc.reflection.v1alpha.ErrorResponse")
    assert file.name == "grpc/reflection/v1alpha/reflection.proto" != theirs.DESCRIPTOR.name
    assert found.file(file.name) is file
    assert is_not_found(found.file, theirs.DESCRIPTOR.name)
    assert found.extension_numbers("grpc.reflection.v1alpha.ErrorResponse") == []
