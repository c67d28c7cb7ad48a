"""Conditional requests for static files (RFC 9110 section 13), in the order of section 13.2.2."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from skitai.hub.site import Site
from tests.hub.http2_client import Http2Client

Serve = Callable[..., Any]

PAST, FUTURE = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("hello")
    return path


@pytest.fixture
def site(file: Path) -> Site:
    site = Site()
    site.mount_directory("/", str(file.parent))
    return site


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_order_of_preconditions(serve: Serve, site: Site, file: Path, method: str) -> None:
    server = serve(site=site)
    tag = server.get("/file.txt").get("ETag")
    exact = formatdate(int(file.stat().st_mtime), usegmt=True)
    before = formatdate(int(file.stat().st_mtime) - 1, usegmt=True)
    cases: list[tuple[dict[str, str], int]] = [
        ({"If_Match": tag}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": f'"a,b", {tag}'}, 200),
        ({"If_Match": f'"a",,{tag},'}, 200),
        ({"If_Match": '"other"'}, 412),
        ({"If_Match": "other"}, 412),
        ({"If_Match": tag.strip('"')}, 412),
        ({"If_Match": f"W/{tag}"}, 412),  # the comparison is strong (section 13.1.1)
        ({"If_Match": f'"x{tag[1:]}'}, 412),
        ({"If_Match": ""}, 412),
        ({"If_Unmodified_Since": exact}, 200),
        ({"If_Unmodified_Since": FUTURE}, 200),
        ({"If_Unmodified_Since": before}, 412),
        ({"If_Unmodified_Since": PAST}, 412),
        ({"If_Unmodified_Since": "nonsense"}, 200),  # what is no date is ignored
        ({"If_Match": tag, "If_Unmodified_Since": PAST}, 200),  # the tag stands over the time
        ({"If_Match": '"other"', "If_Unmodified_Since": FUTURE}, 412),
        ({"If_Match": tag, "If_None_Match": tag}, 304),
        ({"If_Match": tag, "If_None_Match": '"other"'}, 200),
        ({"If_Match": '"other"', "If_None_Match": tag}, 412),
        ({"If_Unmodified_Since": FUTURE, "If_None_Match": tag}, 304),
        ({"If_Unmodified_Since": PAST, "If_Modified_Since": PAST}, 412),
        ({"If_Unmodified_Since": exact, "If_Modified_Since": exact}, 304),
        ({"If_None_Match": f"W/{tag}"}, 304),  # this comparison is weak (section 13.1.2)
        ({"If_None_Match": f'"a,{tag[1:-1]}"'}, 200),
        ({"If_None_Match": '"other"', "If_Modified_Since": FUTURE}, 200),
        ({"If_Modified_Since": "nonsense"}, 200),
        ({"If_Modified_Since": before}, 200),
    ]
    client = server.connect()
    for fields, status in cases:
        response = client.request(method, "/file.txt", **fields)
        assert response.status == status, fields
        assert response.get("ETag") == tag
        assert (response.body == b"hello") == (status == 200 and method == "GET")


def test_a_file_that_is_not_there_has_no_preconditions(serve: Serve, site: Site) -> None:
    assert serve(site=site).get("/nothing", If_Match='"other"').status == 404


def test_preconditions_over_http2(serve: Serve, site: Site) -> None:
    client = Http2Client(serve(site=site).connect().sock)
    assert client.request("GET", "/file.txt", fields=[("if-match", '"other"')]).status == 412
    assert client.request("GET", "/file.txt", fields=[("if-match", "*")]).body == b"hello"
