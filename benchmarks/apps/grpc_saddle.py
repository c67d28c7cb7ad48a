"""A unary gRPC method in Saddle."""

from __future__ import annotations

from typing import Any

from examples import route_guide_pb2 as pb
from skitai.saddle import Saddle

app = Saddle(__name__)


@app.route("/routeguide.RouteGuide/GetFeature")
def get_feature(was: Any, point: Any) -> Any:
    """Answer with a name for the place."""
    return pb.Feature(name="here", location=point)
