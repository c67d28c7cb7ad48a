"""The end of a TLS connection that comes in one piece with data (RFC 8446 section 6.1), and names with a dot."""

from __future__ import annotations

import _ssl
import contextlib
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from gevent.server import StreamServer

from skitai import was
from skitai.errors import ConfigurationError
from skitai.net import connect
from skitai.net.tls import client_context, server_context
from skitai.settings import TlsSettings
from skitai.was import _settings
from skitai.wire import clusters

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def context(request: Any, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = request.param
    authority.issue_cert("localhost", "svc.internal").configure_cert(context)
    return context


class Peer:
    """Answers each request of a connection and says close_notify in the same piece; then it waits for the client."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self._context = context
        self._answer = answer
        self.links = 0
        self.heads: list[bytes] = []
        self.names: list[str | None] = []
        # gevent's property wraps the callback for its own sockets, and fails with another engine.
        own: Any = _ssl._SSLContext.sni_callback
        own.__set__(context, lambda engine, name, _: self.names.append(name))
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.port: int = self._server.server_port

    def stop(self) -> None:
        self._server.stop(timeout=0)

    def _serve(self, sock: Any, _: object) -> None:
        self.links += 1
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # By itself: whatever gevent's own sockets do with the end of TLS, this is what goes over the wire.
        engine = self._context.wrap_bio(incoming, outgoing, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            try:
                head += engine.read(65536)
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                data = sock.recv(65536)
                if not data:
                    return
                incoming.write(data)
        self.heads.append(head)
        engine.write(self._answer)
        with contextlib.suppress(ssl.SSLWantReadError):
            engine.unwrap()
        sock.sendall(outgoing.read())
        while sock.recv(65536):  # the client closes, or the test waits for ever
            pass
        sock.close()


@pytest.fixture
def peer(context: ssl.SSLContext) -> Iterator[Any]:
    made: list[Peer] = []

    def make(answer: bytes) -> Peer:
        made.append(Peer(context, answer))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_an_answer_that_ends_with_the_connection(peer: Any, ca_file: str) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe whole answer")
    result = was.get(f"https://localhost:{server.port}/", verify=ca_file, timeout=30).getwait(10)
    assert (result.code, result.content) == (200, b"the whole answer")


def test_an_answer_that_is_not_whole_fails(peer: Any, ca_file: str) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
    result = was.get(f"https://localhost:{server.port}/", verify=ca_file, timeout=30).getwait(10)
    assert (result.status, result.code) == (2, 705)


def test_such_a_connection_is_not_used_again(peer: Any, ca_file: str) -> None:
    """Not even for a call that waits for it, and that could not be repeated."""
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    _settings.configure(connections=1)
    waiting = [was.post(f"https://localhost:{server.port}/", {"n": n}, verify=ca_file) for n in range(4)]
    assert [each.getwait(20).content for each in waiting] == [b"ok"] * 4
    assert server.links == 4


def test_a_websocket(peer: Any, ca_file: str) -> None:
    server = peer(b"HTTP/1.1 503 Service Unavailable\r\n\r\nno")
    result = was.ws(f"wss://localhost:{server.port}/", "hi", verify=ca_file, timeout=30).getwait(10)
    assert result.code == 503


# Names that are absolute by a dot


def resolved(monkeypatch: pytest.MonkeyPatch, name: str, port: int) -> None:
    """What a name server would say."""
    monkeypatch.setitem(connect._names, (name, port), (time.monotonic() + 60, [(2, 1, 6, ("127.0.0.1", port))]))


@pytest.mark.parametrize("scheme", ["https", "wss", "alias"])
def test_a_dot_is_for_dns_and_host_only(peer: Any, ca_file: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = peer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    resolved(monkeypatch, "svc.internal.", server.port)
    where = f"svc.internal.:{server.port}"
    if scheme == "wss":
        result = was.ws(f"wss://{where}/", "hi", verify=ca_file).getwait(10)
    elif scheme == "alias":
        clusters.define("@dotted", "https", where, verify=ca_file)
        result = was.get("@dotted/").getwait(10)
    else:
        result = was.get(f"https://{where}/", verify=ca_file).getwait(10)
    assert result.code == 404
    assert server.names == ["svc.internal"]
    assert f"Host: {where}".encode() in server.heads[0]


def test_a_dotted_name_is_checked_all_the_same(peer: Any, ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    resolved(monkeypatch, "other.internal.", server.port)
    assert was.get(f"https://other.internal.:{server.port}/", verify=ca_file).getwait(10).code == 715


# Suites


def suites(context: ssl.SSLContext) -> list[str]:
    return [str(each["name"]) for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]


def test_no_suites_in_cbc_mode(authority: trustme.CA, tmp_path: Any) -> None:
    certfile = str(tmp_path / "server.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certfile)
    for made in (client_context(), client_context(False), server_context(certfile)):
        found = suites(made)
        assert found
        assert all("GCM" in each or "CHACHA20-POLY1305" in each for each in found), found
        assert all(each.startswith(("ECDHE-", "DHE-")) for each in found), found
    cbc = "ECDHE-RSA-AES128-SHA256"
    assert suites(client_context(ciphers=cbc)) == [cbc]
    assert suites(server_context(certfile, settings=TlsSettings(ciphers=cbc))) == [cbc]
    with pytest.raises(ConfigurationError, match="cipher suite"):
        _settings.configure(ciphers="no such suite")


def test_a_server_with_cbc_only(authority: trustme.CA, ca_file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256")
    authority.issue_cert("localhost").configure_cert(context)
    old = Peer(context, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    url = f"https://localhost:{old.port}/"
    try:
        assert was.get(url, verify=ca_file).getwait(10).code == 715
        _settings.configure(ciphers="ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256")
        assert was.get(url, verify=ca_file).getwait(10).content == b"ok"
    finally:
        old.stop()
