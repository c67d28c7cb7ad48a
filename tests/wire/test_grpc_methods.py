"""Methods by their names, from the descriptors of a generated module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from skitai.errors import GrpcError
from skitai.wire.grpc import methods

pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples"))
import route_guide_pb2 as pb


@pytest.mark.row("WAS-GRPC-02", "SAD-GRPC-04")
@pytest.mark.parametrize(
    ("name", "takes", "gives", "takes_stream", "gives_stream"),
    [
        ("GetFeature", pb.Point, pb.Feature, False, False),
        ("ListFeatures", pb.Rectangle, pb.Feature, False, True),
        ("RecordRoute", pb.Point, pb.RouteSummary, True, False),
        ("RouteChat", pb.RouteNote, pb.RouteNote, True, True),
    ],
)
def test_the_four_kinds(name: str, takes: type, gives: type, takes_stream: bool, gives_stream: bool) -> None:
    method = methods.find("routeguide.RouteGuide", name)
    assert method == ("routeguide.RouteGuide", name, takes, gives, takes_stream, gives_stream)
    assert methods.find_by_path(f"/routeguide.RouteGuide/{name}") is method
    assert methods.find_by_path(f"/api/v1/routeguide.RouteGuide/{name}") is method
    assert method is not None and method.path == f"/routeguide.RouteGuide/{name}"


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "GetFeature", "/routeguide.RouteGuide", "/routeguide.RouteGuide/", "/routeguide.RouteGuide/NoSuch",
        "/routeguide/RouteGuide.GetFeature", "/routeguide.RouteGuide/GetFeature/", "/.routeguide.RouteGuide/GetFeature",
        "/routeguide.Point/latitude", "/\u00e9.\udcff/x", "/" + "a." * 5000 + "/x",
    ],
)  # fmt: skip
def test_paths_that_lead_to_none(path: str) -> None:
    assert methods.find_by_path(path) is None


def test_what_is_not_found_is_not_kept() -> None:
    before = len(methods._known)
    for number in range(100):
        methods.find("routeguide.RouteGuide", f"NoSuch{number}")
    assert len(methods._known) == before


def test_a_message_that_is_none() -> None:
    assert methods.parse(pb.Point, b"\x08\x07") == pb.Point(latitude=7)
    with pytest.raises(GrpcError, match=r"INVALID_ARGUMENT: a message is no routeguide\.Point"):
        methods.parse(pb.Point, b"\xff\xff")


def test_protobuf_is_imported_by_nobody_who_does_not_use_it() -> None:
    code = (
        "import sys; from skitai.saddle import Saddle; from skitai import was; from skitai.wire.grpc import methods\n"
        "print(methods.find('a.B', 'c'), [name for name in sys.modules if name.startswith('google')])\n"
        "sys.modules['google'] = sys.modules['google.protobuf'] = None\n"
        "result = was.grpc('http://127.0.0.1:1/a.B').c(1).getwait()\n"
        "print(result.code, 'skitai[grpc]' in str(result.error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert {"None []", "731 True"} <= set(done.stdout.splitlines()), done.stderr
