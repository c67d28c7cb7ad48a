"""What is mounted where, by host and by path."""

from __future__ import annotations

from typing import Any

import pytest

from skitai.hub.site import Site


def named(name: str) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]

    return app


@pytest.fixture
def ask(serve, mounted):
    """``ask({point: name} or {host: {point: name}})`` serves them; the result asks for a path at a host."""

    def start(hosts: dict[str, dict[str, str]]) -> Any:
        site = Site()
        for host, mounts in hosts.items():
            for point, name in mounts.items():
                site.mount_app(point, mounted(named(name)), host)
        client = serve(site=site).connect()

        def ask(target: str, host: str = "test") -> str | int:
            response = client.request(target=target, Host=host)
            return response.body.decode("latin-1") if response.status == 200 else response.status

        return ask

    return start


@pytest.mark.row("MNT-14")
def test_the_longest_mount_point_wins(ask):
    ask = ask({"default": {"/": "root", "/a": "a", "/a/b": "ab", "/a/b/c/": "abc"}})
    assert ask("/") == "root  /"
    assert ask("/x/a/") == "root  /x/a/"
    assert ask("/a/") == "a /a /"
    assert ask("/a/x") == "a /a /x"
    assert ask("/a/b/x") == "ab /a/b /x"
    assert ask("/a/b/c/") == "abc /a/b/c /"
    assert ask("/a/b/c/d?e") == "abc /a/b/c /d"


@pytest.mark.row("MNT-14")
def test_a_mount_point_ends_at_a_slash(ask):
    ask = ask({"default": {"/a": "a", "/": "root"}})
    assert ask("/ab") == "root  /ab"
    assert ask("/ab/") == "root  /ab/"
    assert ask("/A/") == "root  /A/"


@pytest.mark.row("MNT-19")
def test_what_no_mount_covers_is_404(serve, mounted):
    site = Site()
    site.mount_app("/a", mounted(named("a")))
    response = serve(site=site).get("/b")
    assert response.status == 404
    assert response.get("Content-Type") == "text/html; charset=utf-8"
    assert b"404 Not Found" in response.body


@pytest.mark.row("MNT-15")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_mount_point_without_its_slash_is_redirected(serve, mounted, method):
    site = Site()
    site.mount_app("/shop", mounted(named("shop")))
    client = serve(site=site).connect()
    response = client.request(method, "/shop", **({"Content_Length": "0"} if method == "POST" else {}))
    assert (response.status, response.get("Location")) == (308, "/shop/")
    assert client.request(target="/shop?a=/b&c").get("Location") == "/shop/?a=/b&c"
    assert client.request(target="http://test/shop?a").get("Location") == "/shop/?a"


@pytest.mark.parametrize("kind", ["text/xml", "application/grpc"])
def test_remote_procedure_calls_are_served_in_place(serve, mounted, kind):
    """Their clients follow no redirects."""
    site = Site()
    site.mount_app("/rpc", mounted(named("rpc")))
    assert serve(site=site).connect().request("POST", "/rpc", b"x", Content_Type=kind).body == b"rpc /rpc "


def test_nothing_is_mounted(serve):
    assert serve(site=Site()).get().status == 404


# Virtual hosts


@pytest.mark.row("VHOST-02")
def test_a_host_is_found_by_its_name_without_the_port(ask):
    ask = ask({"www.example.com": {"/": "www"}, "default": {"/": "default"}})
    for host in ("www.example.com", "www.example.com:8080", "WWW.Example.COM", "www.example.com."):
        assert ask("/", host) == "www  /"
    for host in ("example.com", "www.example.com.evil", "xwww.example.com", "1.2.3.4", "[::1]:80", "localhost"):
        assert ask("/", host) == "default  /"


@pytest.mark.row("VHOST-03")
def test_several_names_share_their_mounts(ask):
    ask = ask({"www.example.com example.com": {"/": "both", "/a": "a"}})
    for host in ("www.example.com", "example.com"):
        assert ask("/", host) == "both  /"
        assert ask("/a/", host) == "a /a /"
    assert ask("/", "other.com") == 404


@pytest.mark.row("VHOST-04")
def test_a_leading_dot_covers_all_names_below(ask):
    ask = ask({".example.com": {"/": "wild"}, "www.example.com": {"/": "www"}, "default": {"/": "default"}})
    assert ask("/", "www.example.com") == "www  /"
    for host in ("a.example.com", "a.b.example.com", "example.com", "A.Example.com:1"):
        assert ask("/", host) == "wild  /"
    for host in ("myexample.com", "com", "example.com.org"):
        assert ask("/", host) == "default  /"


@pytest.mark.row("VHOST-05")
@pytest.mark.parametrize("name", ["default", "", "*", "DEFAULT"])
def test_the_default_site(ask, name):
    ask = ask({"www.example.com": {"/": "www"}, name: {"/": "default"}})
    assert ask("/", "other.example") == "default  /"
    assert ask("/", "www.example.com") == "www  /"


@pytest.mark.row("VHOST-05")
def test_without_a_default_site_other_hosts_are_404(ask):
    ask = ask({"www.example.com": {"/": "www"}})
    assert ask("/", "www.example.com") == "www  /"
    assert ask("/", "other.example") == 404


@pytest.mark.row("VHOST-06")
def test_a_host_has_its_own_mounts(serve, mounted, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "f.txt").write_text("file of one")
    site = Site()
    site.mount_app("/service", mounted(named("service")), "one.example")
    site.mount_directory("/", str(tmp_path / "one"), "one.example")
    site.mount_app("/", mounted(named("two")), "two.example")
    client = serve(site=site).connect()
    assert client.request(target="/service/", Host="one.example").body == b"service /service /"
    assert client.request(target="/f.txt", Host="one.example").body == b"file of one"
    assert client.request(target="/service/", Host="two.example").body == b"two  /service/"
    assert client.request(target="/f.txt", Host="two.example").body == b"two  /f.txt"
    assert client.request(target="/service/", Host="three.example").status == 404


def test_an_http_1_0_client_without_a_host_gets_the_default_site(serve, mounted):
    site = Site()
    site.mount_app("/", mounted(named("www")), "www.example.com")
    site.mount_app("/", mounted(named("default")))
    client = serve(site=site).connect().send("GET / HTTP/1.0\r\n\r\n")
    assert client.read().body == b"default  /"


@pytest.mark.parametrize("target", ["*", "test:80"])
def test_targets_that_are_no_path_reach_no_app(serve, mounted, target):
    site = Site()
    site.mount_app("/", mounted(named("root")))
    site.mount_app("/a", mounted(named("a")))
    method = "OPTIONS" if target == "*" else "CONNECT"
    assert serve(site=site).connect().request(method, target).status == (204 if target == "*" else 405)
