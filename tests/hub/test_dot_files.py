"""Static mounts serve no files with a dot in front of their name, nor what is in such a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skitai.configuration import Options
from skitai.errors import ConfigurationError
from skitai.hub.site import Site
from skitai.hub.static import has_dot_name
from tests.hub.http2_client import Http2Client

HIDDEN = [
    "/.env", "/.git/config", "/.git/", "/.git", "/a/.hidden", "/a/.svn/entries", "/a/.d/", "/a/.d", "/.htpasswd",
    "/...",
    "/%2eenv", "/%2Eenv", "/%2Egit/config", "/a/%2ehidden", "/a%2f.hidden", "/a%2F%2Ehidden", "/a/.d/index.html",
    "/.well-known/.secret", "/.well-known/%2esecret", "/.well-knownx", "/a/.well-known/x", "/.WELL-KNOWN/x",
]  # fmt: skip
SHOWN = ["/a/b.txt", "/a/c..d", "/a/e.", "/.well-known/acme-challenge/token", "/%2ewell-known/acme-challenge/token"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        ".env", ".git/config", "a/.hidden", "a/.svn/entries", "a/.d/index.html", ".htpasswd", "...", "a/b.txt",
        "a/c..d", "a/e.", ".well-known/acme-challenge/token", ".well-known/.secret", ".well-knownx", "a/.well-known/x",
        ".WELL-KNOWN/x",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    return tmp_path


def directory(root: Path, point: str = "/") -> Site:
    site = Site()
    site.mount_directory(point, str(root))
    return site


@pytest.mark.parametrize("target", HIDDEN)
def test_what_is_not_there_for_clients(serve: Any, root: Path, target: str) -> None:
    server = serve(site=directory(root))
    client = server.connect()
    for method in ("GET", "HEAD"):
        response = client.request(method, target)
        assert response.status == 404
        assert response.get("Location") is None
        assert b"content" not in response.body
    http2 = Http2Client(server.connect().sock)
    assert http2.finish(http2.open("GET", target)).status == 404


@pytest.mark.parametrize("target", SHOWN)
def test_what_is(serve: Any, root: Path, target: str) -> None:
    server = serve(site=directory(root))
    assert server.get(target).body == b"content"
    http2 = Http2Client(server.connect().sock)
    assert http2.finish(http2.open("GET", target)).body == b"content"


@pytest.mark.parametrize("target", ["/.env", "/%2egit/config", "/a/.hidden", "/.well-known/.secret"])
def test_with_the_setting(serve: Any, root: Path, target: str) -> None:
    assert serve(site=directory(root), dot_files=True).get(target).body == b"content"


def test_below_a_mount_point(serve: Any, root: Path) -> None:
    server = serve(site=directory(root, "/static"))
    assert server.get("/static/a/b.txt").body == b"content"
    assert server.get("/static/.env").status == 404
    assert server.get("/static/.well-known/acme-challenge/token").status == 404  # RFC 8615: at the root of a host only


def test_a_mount_point_with_a_dot_was_asked_for(serve: Any, root: Path) -> None:
    server = serve(site=directory(root, "/.well-known"))
    assert server.get("/.well-known/a/b.txt").body == b"content"
    assert server.get("/.well-known/a/.hidden").status == 404
    server = serve(site=directory(root, "/.files"))
    assert server.get("/.files/a/b.txt").body == b"content"
    assert server.get("/.files/.env").status == 404


def test_an_app_behind_it_is_asked(serve: Any, root: Path, mounted: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"app " + environ["PATH_INFO"].encode()]

    site = directory(root)
    site.mount_app("/", mounted(app))
    assert serve(site=site).get("/.env").body == b"app /.env"


def test_a_link_to_a_dot_file_was_made_by_somebody(serve: Any, root: Path) -> None:
    (root / "public").symlink_to(root / ".env")
    assert serve(site=directory(root)).get("/public").body == b"content"


def test_paths() -> None:
    assert not has_dot_name("/a/b.c") and not has_dot_name("/") and not has_dot_name("/.well-known")
    assert has_dot_name("/.a") and has_dot_name("/a/.b/c") and has_dot_name("/.well-known/.x")
    assert has_dot_name("/a/.well-known/x", 2) and not has_dot_name("/.a/b", 3)


def test_the_setting() -> None:
    assert not Options().server_settings().dot_files
    assert Options().with_keywords({"dot_files": True}).server_settings().dot_files
    with pytest.raises(ConfigurationError, match="dot_files"):
        Options().with_keywords({"dot_files": "yes"})
