"""Several certificates behind one port."""

from __future__ import annotations

import _ssl
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from skitai.errors import ConfigurationError
from skitai.net.certificates import Certificate, named_hosts, readable_keys, sought
from skitai.net.server_names import NameTable
from skitai.net.tls import server_context
from skitai.settings import TlsSettings

authority = trustme.CA()


def write(place: Path, file: str, *names: str, common: str | None = None) -> str:
    issued = authority.issue_cert(*names, common_name=common)
    path = place / file
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path, "first.pem", "first.example", "own.shop.example")
    write(tmp_path, "shop.pem", "*.shop.example", "shop.example")
    write(tmp_path, "blog.pem", "blog.example")
    return tmp_path


def context_of(place: Path, *further: Any, **settings: Any) -> ssl.SSLContext:
    chosen = TlsSettings(certificates=further, **settings)
    return server_context(str(place / "first.pem"), settings=chosen)


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def shown(port: int, name: str | None, version: str = "TLSv1_3") -> list[str]:
    """The names in the certificate that a client gets who asks for ``name``."""
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(sock, server_hostname=name) as secure:
        certificate = secure.getpeercert() or {}
        secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert secure.recv(4096).startswith(b"HTTP/1.1 200")
    return [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_certificate_follows_the_name(serve, place, version):
    server = serve(hello, tls=context_of(place, str(place / "shop.pem"), {"certfile": str(place / "blog.pem")}))
    for name, wanted in {
        "blog.example": ["blog.example"],
        "BLOG.example": ["blog.example"],
        "shop.example": ["*.shop.example", "shop.example"],
        "www.shop.example": ["*.shop.example", "shop.example"],
        "own.shop.example": ["first.example", "own.shop.example"],  # exact before wildcard
        "a.b.shop.example": ["first.example", "own.shop.example"],  # a wildcard covers one label
        "first.example": ["first.example", "own.shop.example"],
        "unknown.example": ["first.example", "own.shop.example"],
        "localhost": ["first.example", "own.shop.example"],
        None: ["first.example", "own.shop.example"],
    }.items():
        assert shown(server.port, name, version) == wanted, name


def hello_for(name: bytes) -> bytes:
    """The first message of a client that asks for a name that no library would ask for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stand_in = "a" * len(name)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=stand_in).do_handshake()
    return outgoing.read().replace(stand_in.encode(), name, 1)


@pytest.mark.parametrize("name", [b"\xff\xfe.example.com", "xn--é.com".encode(), b"first\0.example"])
def test_names_that_are_none_end_the_handshake_without_a_traceback(serve, place, until, capfd, name):
    server = serve(hello, tls=context_of(place, str(place / "shop.pem")))
    client = server.connect().send(hello_for(name))
    assert client.read_rest()[:1] == b"\x15"  # an alert
    until(lambda: server.server.connections == 0)
    assert server.messages_text().count("did not finish the TLS handshake") == 1
    assert "Traceback" not in capfd.readouterr().err
    assert shown(server.port, "shop.example") == ["*.shop.example", "shop.example"]


@pytest.mark.parametrize("name", [b"." * 20, b"-" * 20, b"127.0.0.1", b"a" * 63, b"SHOP.EXAMPLE."])
def test_odd_names_are_nobodys_or_somebodys(serve, place, name):
    server = serve(hello, tls=context_of(place, str(place / "shop.pem")))
    assert server.connect().send(hello_for(name)).read_exactly(1) == b"\x16"


def test_names_can_be_given(serve, place):
    further = {"certfile": str(place / "blog.pem"), "names": ["news.example", "*.Notes.example"]}
    server = serve(hello, tls=context_of(place, further))
    assert shown(server.port, "news.example") == ["blog.example"]
    assert shown(server.port, "a.notes.example") == ["blog.example"]
    assert shown(server.port, "blog.example") == ["first.example", "own.shop.example"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python prints what it could not read
def test_a_name_that_is_no_text_breaks_one_connection_only(serve, place, until):
    server = serve(hello, tls=context_of(place, str(place / "shop.pem")))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    engine = context.wrap_bio(incoming, outgoing, server_hostname="x" * 20 + ".example")
    with pytest.raises(ssl.SSLWantReadError):
        engine.do_handshake()
    client = server.connect().send(outgoing.read().replace(b"x" * 20, b"\xff" * 20))
    assert b"HTTP" not in client.read_rest()  # an alert
    until(lambda: server.server.connections == 0)
    assert shown(server.port, "www.shop.example") == ["*.shop.example", "shop.example"]


def test_every_name_asks_for_the_same_client_certificates_and_protocols(place):
    (place / "ca.pem").write_bytes(authority.cert_pem.bytes())
    context = context_of(place, str(place / "shop.pem"), client_ca=str(place / "ca.pem"), minimum_version="1.3")
    other = _ssl._SSLContext.sni_callback.__get__(context).__self__.find("www.shop.example")
    assert other is not context
    for each in (context, other):
        assert each.verify_mode == ssl.CERT_REQUIRED
        assert each.minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("further", "text"),
    [
        (["none.pem"], "no such file"),
        (["nameless.pem"], "names no host"),
        (["shop.pem", "copy.pem"], r"both .*shop\.pem' and .*copy\.pem' are for "),
        ([{"certfile": "blog.pem", "names": ["not a name"]}], "'not a name' is no host name"),
        ([{"certfile": "blog.pem", "names": ["*"]}], "no host name"),
        ([{"certfile": "blog.pem", "name": ["x.example"]}], "has no setting 'name'"),
        ([{"keyfile": "blog.pem"}], "a path or a dict"),
        ([("blog.pem", "blog.pem")], "a path or a dict with 'certfile', not a tuple"),
    ],
)
def test_what_cannot_be_used_is_said(place, monkeypatch, further, text):
    monkeypatch.chdir(place)
    write(place, "copy.pem", "*.shop.example", "shop.example")
    write(place, "nameless.pem", "192.0.2.1", common="Somebody Else")
    with pytest.raises(ConfigurationError, match=text):
        context_of(place, *further)


def test_names_are_read_from_the_certificate(place):
    assert named_hosts(str(place / "shop.pem")) == ["*.shop.example", "shop.example"]
    with pytest.raises(ConfigurationError, match="cannot read the certificate"):
        named_hosts(str(place / "none.pem"))
    (place / "text.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match="cannot read the certificate"):
        named_hosts(str(place / "text.pem"))


def test_a_table_of_names():
    a, b = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    table = NameTable()
    table.add(["x.example", "*.y.example"], a, "a")
    table.add_missing(["x.example", "z.y.example"], b, "b")
    for name, found in {
        "x.example": a, "X.Example.": a, "w.x.example": None, "1.y.example": a, "z.y.example": b, "y.example": None,
        "1.1.y.example": None, "": None, ".y.example": a, "*.y.example": a,
    }.items():  # fmt: skip
        assert table.find(name) is found, name


# Files


def test_a_file_that_is_not_there_is_sought_in_its_place(tmp_path, monkeypatch):
    """What the INI files of 0.15 rely on: ``certfile = server.pem`` is in /etc/skitaid/cert."""
    from skitai.net import certificates

    assert certificates.PLACES == ("/etc/skitaid/cert",)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    (there / "server.pem").touch()
    assert sought("server.pem", [str(there)]) == str(there / "server.pem")
    assert sought("none.pem", [str(there)]) == "none.pem"
    (here / "server.pem").touch()
    assert sought("server.pem", [str(there)]) == "server.pem"
    assert sought(str(there / "server.pem"), []) == str(there / "server.pem")


def test_a_key_that_others_can_read_is_warned_of(tmp_path):
    key, both = tmp_path / "key.pem", tmp_path / "both.pem"
    for path, mode in ((key, 0o640), (both, 0o600)):
        path.touch()
        path.chmod(mode)
    certificates = [Certificate("cert.pem", str(key)), Certificate(str(both)), Certificate("other.pem", str(key))]
    assert readable_keys(certificates) == [
        f"the private key in {key} may be read by other users (mode 640): chmod 600 {key}"
    ]
