"""Static files of mounted directories."""

from __future__ import annotations

import hashlib
import os
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from skitai.hub.site import Site
from skitai.hub.static import content_type, is_safe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory to serve, beside files that must never be served."""
    root = tmp_path / "public"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public-not").mkdir()
    (tmp_path / "public-not" / "secret.txt").write_text("secret")
    (root / "a.txt").write_text("text of a")
    (root / "empty.txt").write_text("")
    (root / "big.bin").write_bytes(os.urandom(1_000_000))
    (root / "unknown.ending").write_text("?")
    (root / "no_ending").write_text("?")
    (root / "with blank.txt").write_text("blank")
    (root / "é.txt").write_text("accent")
    (root / "sub").mkdir()
    (root / "sub" / "b.html").write_text("<b>")
    (root / "indexed").mkdir()
    (root / "indexed" / "index.html").write_text("html")
    (root / "both").mkdir()
    (root / "both" / "index.html").write_text("html")
    (root / "both" / "index.htm").write_text("htm")
    (root / "odd").mkdir()
    (root / "odd" / "index.html").mkdir()
    (root / "loop").symlink_to(root / "loop")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "outdir").symlink_to(tmp_path)
    (root / "sibling").symlink_to(tmp_path / "public-not")
    (root / "in.txt").symlink_to(root / "a.txt")
    os.mkfifo(root / "fifo")
    return root


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"app {environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode("latin-1")]


@pytest.fixture
def site(root: Path) -> Site:
    site = Site()
    site.mount_directory("/", str(root))
    return site


@pytest.mark.row("STATIC-01")
def test_a_file(serve, site):
    client = serve(site=site).connect()
    response = client.request(target="/a.txt")
    assert (response.status, response.body, response.get("Content-Type")) == (200, b"text of a", "text/plain")
    response = client.request("HEAD", "/a.txt")
    assert (response.status, response.get("Content-Length"), response.get("Content-Type")) == (200, "9", "text/plain")
    assert client.request(target="/empty.txt").body == b""
    assert client.request(target="/sub/b.html").get("Content-Type") == "text/html"


@pytest.mark.row("STATIC-01")
def test_a_large_file(serve, site, root):
    client = serve(site=site).connect()
    for _ in range(2):
        response = client.request(target="/big.bin")
        assert response.body == (root / "big.bin").read_bytes()
        assert response.get("Content-Length") == "1000000"
    assert client.request("HEAD", "/big.bin").get("Content-Length") == "1000000"
    client.send("GET /big.bin HTTP/1.0\r\n\r\n")
    assert client.read().body == (root / "big.bin").read_bytes()


@pytest.mark.row("STATIC-01")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405_where_there_is_no_app(serve, site, method):
    response = serve(site=site).connect().request(method, "/a.txt", Content_Length="0")
    assert (response.status, response.get("Allow")) == (405, "GET, HEAD")


@pytest.mark.row("STATIC-01")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.html", "text/html"),
        ("a.png", "image/png"),
        ("a.JPG", "image/jpeg"),
        ("a.svg", "image/svg+xml"),
        ("a.json", "application/json"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("a.unknown", "text/plain"),
        ("a", "text/plain"),
    ],
)
def test_content_types(name, kind):
    assert content_type(f"/x/{name}") == kind


def test_names_that_are_encoded(serve, site):
    client = serve(site=site).connect()
    assert client.request(target="/with%20blank.txt").body == b"blank"
    assert client.request(target="/%C3%A9.txt").body == b"accent"
    assert client.request(target="/%61.txt?v=1").body == b"text of a"
    assert client.request(target="http://test/a.txt").body == b"text of a"


@pytest.mark.row("STATIC-02")
def test_the_index_of_a_directory(serve, site):
    client = serve(site=site).connect()
    assert client.request(target="/indexed/").body == b"html"
    response = client.request(target="/both/")
    assert (response.body, response.get("Content-Type")) == (b"htm", "text/html")
    assert client.request(target="/sub/").status == 404
    assert client.request(target="/odd/").status == 404
    assert client.request().status == 404


@pytest.mark.row("STATIC-02", "STATIC-09")
def test_a_directory_without_an_index_goes_on_to_the_app(serve, site, mounted):
    site.mount_app("/", mounted(app))
    client = serve(site=site).connect()
    assert client.request(target="/sub/").body == b"app GET /sub/"
    assert client.request().body == b"app GET /"


@pytest.mark.row("STATIC-03")
@pytest.mark.parametrize("target", ["/sub", "/indexed"])
def test_a_directory_without_its_slash(serve, site, target):
    client = serve(site=site).connect()
    response = client.request(target=target)
    assert (response.status, response.get("Location")) == (301, target + "/")
    assert client.request(target=target + "?a=b").get("Location") == target + "/?a=b"


@pytest.mark.row("STATIC-03")
def test_a_mount_point_without_its_slash(serve, root):
    site = Site()
    site.mount_directory("/files", str(root / "indexed"))
    client = serve(site=site).connect()
    response = client.request(target="/files")
    assert (response.status, response.get("Location")) == (301, "/files/")
    assert client.request(target="/files/").body == b"html"
    assert client.request(target="/filesystem").status == 404


@pytest.mark.parametrize("target", ["//sub", "///sub", "/%2fsub", "//evil.example/sub", "/\\sub", "/%5csub"])
def test_no_redirect_leads_to_another_host(serve, site, target):
    response = serve(site=site).connect().request(target=target)
    location = response.get("Location")
    assert response.status == 404 and location is None


@pytest.mark.row("STATIC-04")
@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/..",
        "/../",
        "/.",
        "/./a.txt",
        "/sub/../a.txt",
        "/sub/..",
        "/sub/.",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E%2Fsecret.txt",
        "/..%2fsecret.txt",
        "/.%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/%2e%2e%5csecret.txt",
        "/a.txt%00.html",
        "/%00",
        "/..%00/secret.txt",
        "//a.txt",
        "/sub//b.html",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/%c0%ae%c0%ae/secret.txt",
        "/..;/secret.txt",
        "/.../secret.txt",
        "/../public-not/secret.txt",
        "/out.txt",
        "/outdir/secret.txt",
        "/outdir/",
        "/outdir",
        "/sibling/secret.txt",
        "/loop",
        "/loop/x",
        "/fifo",
        "/a.txt/",
        "/a.txt/x",
        "/" + "a" * 300,
        "/" + "a/" * 2000,
        "/nothing",
        "/%ff%fe",
        "/%",
        "/%zz",
    ],
)
def test_paths_that_name_nothing(serve, site, target):
    client = serve(site=site).connect()
    response = client.request(target=target)
    assert response.status == 404, response
    assert b"secret" not in response.body
    assert client.request(target="/a.txt").status == 200


def test_the_root_may_be_a_symbolic_link(serve, tmp_path, root):
    link = tmp_path / "link"
    link.symlink_to(root)
    site = Site()
    site.mount_directory("/", str(link))
    client = serve(site=site).connect()
    assert client.request(target="/a.txt").status == 200
    assert client.request(target="/in.txt").body == b"text of a"
    assert client.request(target="/out.txt").status == 404


def test_a_file_that_may_not_be_read(serve, site, monkeypatch):
    """Pretended, because whoever runs the tests as root may read everything."""
    opening = os.open

    def refuse(path, *args, **options):
        if str(path).endswith("a.txt"):
            raise PermissionError(13, "Permission denied", path)
        return opening(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    client = serve(site=site).connect()
    assert client.request(target="/a.txt").status == 403
    assert client.request(target="/in.txt").status == 403


def test_a_process_without_file_descriptors_does_not_say_that_a_file_is_missing(serve, site, mounted, monkeypatch):
    opening = os.open

    def fail(path, *args, **options):
        if str(path).endswith("a.txt"):
            raise OSError(24, "Too many open files", path)
        return opening(path, *args, **options)

    monkeypatch.setattr(os, "open", fail)
    site.mount_app("/", mounted(app))
    server = serve(site=site)
    assert server.get("/a.txt").status == 500
    assert "Too many open files" in server.messages_text()


def test_a_file_that_becomes_shorter_while_it_is_sent(serve, site, root, monkeypatch):
    sending = os.sendfile

    def shrink(out, file, offset, count):
        os.truncate(root / "big.bin", 500_000)
        return sending(out, file, offset, count)

    monkeypatch.setattr(os, "sendfile", shrink)
    client = serve(site=site).connect().send("GET /big.bin HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().get("Content-Length") == "1000000"
    assert len(client.read_rest()) <= 500_000


# Conditional requests


@pytest.mark.row("STATIC-05")
def test_the_tag_and_the_time(serve, site, root):
    os.utime(root / "a.txt", (1_700_000_000.9, 1_700_000_000.9))
    response = serve(site=site).get("/a.txt")
    tag = hashlib.md5(b"9:1700000000").hexdigest()
    assert response.get("ETag") == f'"{tag}"'
    assert response.get("Last-Modified") == "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.row("STATIC-05")
@pytest.mark.parametrize("name", ["/a.txt", "/big.bin"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_not_modified(serve, site, name, method):
    client = serve(site=site).connect()
    first = client.request(target=name)
    tag, modified = first.get("ETag"), first.get("Last-Modified")
    conditions = [
        ({"If_None_Match": tag}, 304),
        ({"If_None_Match": f'"other", W/{tag}'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"other"'}, 200),
        ({"If_None_Match": tag.strip('"')}, 200),
        ({"If_Modified_Since": modified}, 304),
        ({"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_Modified_Since": "Fri, 99 Jan 99999 00:00:00 GMT"}, 200),
        ({"If_None_Match": '"other"', "If_Modified_Since": modified}, 200),  # the tag stands over the time
        ({"If_None_Match": tag, "If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 304),
    ]
    for fields, status in conditions:
        response = client.request(method, name, **fields)
        assert response.status == status, fields
        assert response.get("ETag") == tag
        if status == 304:
            assert response.get("Content-Length") is None and response.get("Content-Type") is None


@pytest.mark.row("STATIC-06")
def test_max_age_of_the_longest_prefix(serve, site):
    ages = (("/", 300), ("/sub", 60), ("/sub/b.html", 5), ("/indexed", 0))
    client = serve(site=site, max_ages=ages).connect()
    for target, age in (("/a.txt", 300), ("/sub/b.html", 5)):
        response = client.request(target=target)
        assert response.get("Cache-Control") == f"max-age={age}"
        expires = parsedate_to_datetime(response.get("Expires"))
        date = parsedate_to_datetime(response.get("Date"))
        assert abs((expires - date).total_seconds() - age) <= 2
        response = client.request(target=target, If_None_Match="*")
        assert (response.status, response.get("Cache-Control")) == (304, f"max-age={age}")
        assert response.get("Expires") is not None
    response = client.request(target="/indexed/")
    assert (response.status, response.get("Cache-Control"), response.get("Expires")) == (200, None, None)


@pytest.mark.row("STATIC-06")
def test_no_max_age_is_no_header(serve, site):
    client = serve(site=site, max_ages=(("/sub", 60),)).connect()
    assert client.request(target="/a.txt").get("Cache-Control") is None
    assert client.request(target="/sub/b.html").get("Cache-Control") == "max-age=60"


# Beside an app


@pytest.mark.row("MNT-11", "STATIC-09")
def test_a_file_stands_before_an_app_at_the_same_point(serve, site, mounted):
    site.mount_app("/", mounted(app))
    client = serve(site=site).connect()
    assert client.request(target="/a.txt").body == b"text of a"
    assert client.request("HEAD", "/a.txt").get("Content-Length") == "9"
    assert client.request(target="/nothing").body == b"app GET /nothing"
    assert client.request("POST", "/a.txt", b"x").body == b"app POST /a.txt"
    assert client.request("DELETE", "/a.txt").body == b"app DELETE /a.txt"
    assert client.request(target="/sub/../secret.txt").body == b"app GET /sub/../secret.txt"


def test_several_directories_at_one_point(serve, root, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    (second / "a.txt").write_text("never")
    (second / "c.txt").write_text("c")
    site = Site()
    site.mount_directory("/", str(root))
    site.mount_directory("/", str(second))
    site.mount_directory("/sub", str(second))
    client = serve(site=site).connect()
    assert client.request(target="/a.txt").body == b"text of a"
    assert client.request(target="/c.txt").body == b"c"
    assert client.request(target="/sub/c.txt").body == b"c"
    assert client.request(target="/sub/b.html").body == b"<b>"


def test_what_is_safe():
    assert is_safe("/a/b.c") and is_safe("/.hidden") and is_safe("/a..b")
    assert not any(is_safe(path) for path in ("/a/./b", "/../a", "/a//b", "/a\0", "/a\\b", "/..", "/a/."))
