"""A gRPC service with all four kinds of methods, and a page that calls it.

    python grpc_route_guide.py
    curl http://127.0.0.1:5000/                                     what the page got by four calls at once
    python grpc_route_guide.py client http://127.0.0.1:5000         the same by a program of its own

Any other client of ``route_guide.proto`` can call it as well, at the same port. Needs ``pip install 'skitai[grpc]'``.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import route_guide_pb2 as pb

import skitai
from skitai import was
from skitai.errors import GrpcError
from skitai.saddle import Saddle

PLACES = {
    (409146138, -746188906): "Berkshire Valley Management Area Trail",
    (407838351, -746143763): "Patriots Path, Mendham",
    (413628156, -749015468): "U.S. 6, Shohola",
}

app = Saddle(__name__)


def find(point: Any) -> Any:
    return pb.Feature(name=PLACES.get((point.latitude, point.longitude), ""), location=point)


@app.route("/GetFeature")
def GetFeature(was: Any, point: Any) -> Any:
    """One message for one."""
    if abs(point.latitude) > 900_000_000:
        raise GrpcError("INVALID_ARGUMENT", "there is no such latitude")
    return find(point)


@app.route("/ListFeatures")
def ListFeatures(was: Any, rectangle: Any) -> Iterator[Any]:
    """A stream of messages for one: a generator."""
    lo, hi = rectangle.lo, rectangle.hi
    for latitude, longitude in PLACES:
        if lo.latitude <= latitude <= hi.latitude and lo.longitude <= longitude <= hi.longitude:
            yield find(pb.Point(latitude=latitude, longitude=longitude))


@app.route("/RecordRoute")
def RecordRoute(was: Any, points: Iterable[Any]) -> Any:
    """One message for a stream of them: an iterator, which waits for the client."""
    summary = pb.RouteSummary()
    last = None
    distance = 0.0
    for point in points:
        summary.point_count += 1
        summary.feature_count += bool(find(point).name)
        if last is not None:
            # Near enough for an example: a degree has 111 km.
            distance += math.hypot(point.latitude - last.latitude, point.longitude - last.longitude) * 111_000 / 1e7
        last = point
    summary.distance = int(distance)
    return summary


@app.route("/RouteChat")
def RouteChat(was: Any, notes: Iterable[Any]) -> Iterator[Any]:
    """A stream each way: who says something at a place hears what was said there before."""
    said: dict[tuple[int, int], list[Any]] = {}
    for note in notes:
        here = said.setdefault((note.location.latitude, note.location.longitude), [])
        yield from here
        here.append(note)


# The client


def call_all(url: str) -> dict[str, Any]:
    """Start four calls at once, and read what came."""
    stub = was.grpc(url + "/routeguide.RouteGuide", timeout=5)
    points = [pb.Point(latitude=latitude, longitude=longitude) for latitude, longitude in PLACES]
    everywhere = pb.Rectangle(lo=pb.Point(longitude=-1800000000), hi=pb.Point(latitude=900000000))
    feature = stub.GetFeature(points[0])
    features = stub.ListFeatures(everywhere)
    summary = stub.RecordRoute(points)
    chat = stub.RouteChat(pb.RouteNote(location=points[0], message=text) for text in ("one", "two", "three"))
    wrong = stub.GetFeature(pb.Point(latitude=2000000000))
    return {
        "feature": feature.getwait(5, reraise=True).data.name,
        "features": [each.name for each in features.getwait(5, reraise=True).data],
        "points": summary.getwait(5, reraise=True).data.point_count,
        "heard": [note.message for note in chat.getwait(5, reraise=True).data],
        "wrong": wrong.getwait(5).details,
    }


page = Saddle(__name__)


@page.route("/")
def index(was: Any) -> Any:
    return was.jstream(call_all(f"http://{was.request.get_header('host')}"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        print(call_all(sys.argv[2]))
    else:
        skitai.mount("/routeguide.RouteGuide", app)
        skitai.mount("/", page)
        skitai.run(port=int(os.environ.get("PORT", 5000)))
