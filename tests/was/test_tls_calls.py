"""Calls over TLS: certificates are checked unless somebody says no."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from gevent.event import Event

from skitai import was
from skitai.errors import ConfigurationError, TlsFailed
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.wire import clusters
from skitai.wire.client_certificate import ClientCertificate

from .conftest import Link, Peers, Received


def context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(made)
    return made


@pytest.fixture
def secure(peers: Peers, authority: trustme.CA) -> Any:
    return peers.http(
        lambda received, link: link.reply(b"secret"), ssl_context=context(authority, "127.0.0.1", "localhost")
    )


def refused(result: Any) -> None:
    assert (result.status, result.code) == (2, 715)
    assert isinstance(result.error, TlsFailed)
    assert "does not verify" in str(result.error)
    assert isinstance(result.error.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.row("WAS-HTTP-15")
def test_an_unknown_authority_is_refused_unless_it_is_given(secure: Any, ca_file: str) -> None:
    refused(was.get(secure.url()).getwait(5))
    assert was.get(secure.url(), verify=ca_file).getwait(5).data == b"secret"
    assert was.get(secure.url(), verify=False).getwait(5).data == b"secret"
    refused(was.get(secure.url(), verify=True).getwait(5))


def test_the_name_must_be_right(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    peer = peers.saying(b"x")
    peer.stop()
    other = peers.http(lambda received, link: link.reply(b"secret"), ssl_context=context(authority, "other.example"))
    refused(was.get(other.url(), verify=ca_file).getwait(5))
    assert was.get(other.url(), verify=False).getwait(5).data == b"secret"


def test_names_and_addresses(secure: Any, ca_file: str) -> None:
    for host in ("localhost", "127.0.0.1"):
        url = f"https://{host}:{secure.port}/"
        assert was.get(url, verify=ca_file).getwait(5).data == b"secret"


def test_for_the_whole_process(secure: Any, ca_file: str) -> None:
    wasc.configure(verify=ca_file)
    assert was.get(secure.url()).getwait(5).data == b"secret"
    refused(was.get(secure.url(), verify=True).getwait(5))


def test_for_an_alias(secure: Any, ca_file: str) -> None:
    clusters.define("@a", "https", secure.address)
    refused(was.get("@a").getwait(5))
    clusters.define("@a", "https", secure.address, verify=ca_file)
    assert was.get("@a").getwait(5).data == b"secret"
    refused(was.get("@a", verify=True).getwait(5))
    clusters.define("@a", "http", secure.address, ssl=True, verify=False)
    assert was.get("@a").getwait(5).data == b"secret"


@pytest.mark.row("WAS-RPC-05")
def test_remote_calls(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    import xmlrpc.client

    answer = xmlrpc.client.dumps((5,), methodresponse=True).encode()
    peer = peers.http(lambda received, link: link.reply(answer), ssl_context=context(authority, "127.0.0.1"))
    assert was.rpc(peer.url("/rpc2"), verify=ca_file).method().getwait(5).data == 5


def test_connections_that_were_checked_differently_are_not_shared(secure: Any, ca_file: str) -> None:
    assert was.get(secure.url(), verify=False).getwait(5).status == 3
    refused(was.get(secure.url()).getwait(5))
    assert was.get(secure.url(), verify=ca_file).getwait(5).status == 3
    assert secure.links == 3 or secure.links == 2
    assert len(_engine.current().pools) == 2


def test_a_connection_is_used_again(secure: Any, ca_file: str) -> None:
    for _ in range(4):
        assert was.get(secure.url(), verify=ca_file).getwait(5).data == b"secret"
    assert secure.links == 1


# Servers that ask for a certificate of ours


@pytest.fixture
def asking(peers: Peers, authority: trustme.CA) -> Any:
    """Answers the common name of its client."""
    made = context(authority, "127.0.0.1")
    authority.configure_trust(made)
    made.verify_mode = ssl.CERT_REQUIRED

    def answer(received: Received, link: Link) -> None:
        subject: Any = link._socket.getpeercert()["subject"]  # type: ignore[attr-defined]
        link.reply(dict(part[0] for part in subject)["commonName"].encode())

    return peers.http(answer, ssl_context=made)


@pytest.fixture
def me(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """The files of two certificates: name to path."""
    files = {}
    for name in ("one", "two"):
        issued = authority.issue_cert(f"{name}@example.com", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        files[name] = str(tmp_path / f"{name}.pem")
        files[f"{name} key"] = str(tmp_path / f"{name}.key")
    return files


def test_without_a_certificate_the_call_fails(asking: Any, ca_file: str) -> None:
    result = was.get(asking.url(), verify=ca_file).getwait(5)
    assert result.status == 2


def test_a_certificate_of_the_process(asking: Any, ca_file: str, me: dict[str, str]) -> None:
    wasc.configure(verify=ca_file, cert=me["one"])
    assert was.get(asking.url()).getwait(5).data == b"one"
    wasc.configure(cert=(me["two"], me["two key"]))
    # The connection that is kept was made as somebody else.
    assert was.get(asking.url()).getwait(5).data == b"two"
    wasc.configure(cert=None)
    assert was.get(asking.url()).getwait(5).status == 2


def test_a_certificate_of_an_alias(asking: Any, ca_file: str, me: dict[str, str]) -> None:
    clusters.define("@a", "https", asking.address, verify=ca_file, cert=me["one"])
    assert was.get("@a").getwait(5).data == b"one"
    wasc.configure(cert=me["two"])
    assert was.get("@a").getwait(5).data == b"one"
    clusters.define("@a", "https", asking.address, verify=ca_file)
    assert was.get("@a").getwait(5).data == b"two"


def test_a_certificate_that_cannot_be_used(asking: Any, ca_file: str) -> None:
    clusters.define("@a", "https", asking.address, verify=ca_file, cert="none.pem")
    result = was.get("@a").getwait(5)
    assert result.status == 2
    assert "no such file: 'none.pem'" in str(result.error)


def test_what_a_certificate_may_be() -> None:
    for wrong in (5, "", (), ("a", "b", "c", "d"), ("a", 5)):
        with pytest.raises(ConfigurationError, match="cert is the path"):
            wasc.configure(cert=wrong)
    assert "secret" not in repr(ClientCertificate.read(("a.pem", None, "secret")))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_both_ways(peers: Peers, authority: trustme.CA, ca_file: str, version: ssl.TLSVersion) -> None:
    made = context(authority, "127.0.0.1")
    made.minimum_version = made.maximum_version = version
    peer = peers.http(lambda received, link: link.reply(received.body), ssl_context=made)
    body = bytes(range(256)) * 20_000
    for _ in range(2):
        assert was.post(peer.url(), body, verify=ca_file).getwait(15).content == body
    pieces = [body[start : start + 9_999] for start in range(0, len(body), 9_999)]
    assert was.post(peer.url(), iter(pieces), verify=ca_file).getwait(15).content == body
    assert peer.links == 1


def test_a_connection_that_was_closed_while_idle_is_not_used(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    peer = peers.http(lambda received, link: link.reply(b"ok") or False, ssl_context=context(authority, "127.0.0.1"))
    for _ in range(3):
        assert was.post(peer.url(), verify=ca_file).getwait(5).status == 3
        assert peer.all_closed.wait(5)


def test_an_end_without_close_notify_truncates(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    """A body that ends with its connection may have been cut by anybody on the way."""
    cut = Event()

    def answer(received: Received, link: Link) -> bool:
        link.send(b"HTTP/1.1 200 OK\r\n\r\npart of it")
        cut.wait(0.05)
        link.reset()
        return False

    peer = peers.http(answer, ssl_context=context(authority, "127.0.0.1"))
    result = was.get(peer.url(), verify=ca_file).getwait(5)
    assert (result.status, result.code) == (2, 705)


def test_renewed_tickets_do_not_spoil_a_kept_connection(secure: Any, ca_file: str) -> None:
    """TLS 1.3 sends tickets after the handshake: bytes on an idle connection that are no unasked answer."""
    requests = [was.get(secure.url(), verify=ca_file) for _ in range(3)]
    assert all(request.getwait(5).status == 3 for request in requests)
    links = secure.links
    for _ in range(5):
        assert was.get(secure.url(), verify=ca_file).getwait(5).status == 3
    assert secure.links == links
