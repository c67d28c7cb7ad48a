"""Clients that show a certificate, and what apps learn of it."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from skitai.errors import ConfigurationError
from skitai.net.client_certificate import describe
from skitai.net.tls import server_context
from skitai.saddle import Saddle
from skitai.settings import TlsSettings

authority = trustme.CA()
clients = trustme.CA(organization_name="Clients")
alice = clients.issue_cert("alice@example.com", common_name="Alice", organization_name="Example, Inc.")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    return tmp_path


def asking(place: Path, **settings: Any) -> ssl.SSLContext:
    chosen = TlsSettings(client_ca=str(place / "clients.pem"), **settings)
    return server_context(str(place / "server.pem"), settings=chosen)


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client_context(request: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[request.param]
    return context


def tell(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [json.dumps({name: value for name, value in environ.items() if "SSL" in name}).encode()]


def saddle() -> Saddle:
    app = Saddle("tell")

    @app.route("/")
    def index(was: Any) -> Any:
        return was.jstream({name: value for name, value in was.env.items() if "SSL" in name})

    return app


@pytest.mark.parametrize("app", [tell, saddle()], ids=["wsgi", "saddle"])
def test_the_app_learns_who_it_is(serve, place, client_context, app):
    alice.configure_cert(client_context)
    client = serve(app, tls=asking(place)).connect_tls(client_context)
    first, second = (json.loads(client.request().body) for _ in range(2))
    assert first == second
    assert first["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert "CN=Alice" in first["SSL_CLIENT_S_DN"] and r"O=Example\, Inc." in first["SSL_CLIENT_S_DN"]
    assert first["SSL_CLIENT_S_DN_CN"] == "Alice"
    assert "O=Clients" in first["SSL_CLIENT_I_DN"]
    parsed = x509.load_pem_x509_certificate(first["SSL_CLIENT_CERT"].encode())
    assert parsed == x509.load_pem_x509_certificate(alice.cert_chain_pems[0].bytes())
    assert int(first["SSL_CLIENT_M_SERIAL"], 16) == parsed.serial_number
    for name, moment in (("START", parsed.not_valid_before_utc), ("END", parsed.not_valid_after_utc)):
        assert ssl.cert_time_to_seconds(first[f"SSL_CLIENT_V_{name}"]) == int(moment.timestamp())


SPOOFED = {
    "SSL_CLIENT_VERIFY": "SUCCESS",
    "Ssl_Client_S_Dn": "CN=Alice",
    "SSL-Client-Cert": "x",
    "X_SSL_CLIENT_VERIFY": "SUCCESS",
}


@pytest.mark.parametrize("app", [tell, saddle()], ids=["wsgi", "saddle"])
def test_no_field_of_a_request_says_who_it_is(serve, place, client_context, app):
    client = serve(app, tls=asking(place, client_certificate="optional")).connect_tls(client_context)
    lines = "".join(f"{name}: {value}\r\n" for name, value in SPOOFED.items() if "_" not in name)
    client.send(f"GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
    found = json.loads(client.read().body)
    assert {name: value for name, value in found.items() if name.startswith("SSL")} == {"SSL_CLIENT_VERIFY": "NONE"}


@pytest.mark.parametrize("app", [tell, saddle()], ids=["wsgi", "saddle"])
@pytest.mark.parametrize("name", [name for name in SPOOFED if "_" in name])
def test_nor_one_with_underscores(serve, place, client_context, app, name):
    client = serve(app, tls=asking(place, client_certificate="optional")).connect_tls(client_context)
    client.send(f"GET / HTTP/1.1\r\nHost: test\r\n{name}: {SPOOFED[name]}\r\n\r\n")
    response = client.read()
    if response.status == 200:
        found = json.loads(response.body)
        assert {each: found[each] for each in found if each.startswith("SSL")} == {"SSL_CLIENT_VERIFY": "NONE"}
    else:
        assert response.status == 400


def test_two_clients_are_not_mixed_up(serve, place):
    server = serve(tell, tls=asking(place, client_certificate="optional"))
    bob = clients.issue_cert("bob@example.com", common_name="Bob")
    open_ones = []
    for each in (alice, None, bob):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if each is not None:
            each.configure_cert(context)
        open_ones.append(server.connect_tls(context))
    for _ in range(2):
        found = [json.loads(client.request().body).get("SSL_CLIENT_S_DN_CN") for client in open_ones]
        assert found == ["Alice", None, "Bob"]


def test_without_client_ca_nothing_is_said(serve, place, client_context):
    alice.configure_cert(client_context)
    server = serve(tell, tls=server_context(str(place / "server.pem")))
    assert json.loads(server.connect_tls(client_context).request().body) == {}


def expired() -> tuple[bytes, bytes]:
    """Alice's certificate as it was two years ago, and its key."""
    now = datetime.now(UTC)
    old = clients.issue_cert(
        "alice@example.com", common_name="Alice", not_before=now - timedelta(700), not_after=now - timedelta(1)
    )
    return old.cert_chain_pems[0].bytes(), old.private_key_pem.bytes()


@pytest.mark.parametrize("mode", ["required", "optional"])
@pytest.mark.parametrize("what", ["expired", "foreign"])
def test_a_bad_certificate_is_refused(serve, place, client_context, until, mode, what):
    if what == "expired":
        (place / "old.pem").write_bytes(b"".join(expired()))
        client_context.load_cert_chain(place / "old.pem")
    else:
        authority.issue_cert("alice@example.com").configure_cert(client_context)
    server = serve(tell, tls=asking(place, client_certificate=mode))
    assert_refused(server, client_context)
    until(lambda: server.server.connections == 0)
    said = "certificate has expired" if what == "expired" else ""
    assert server.messages_text().count(f"its certificate does not verify: {said}") == 1
    assert server.request_lines() == []


def test_no_certificate_is_refused_where_one_is_required(serve, place, client_context):
    server = serve(tell, tls=asking(place))
    assert_refused(server, client_context)
    assert "peer did not return a certificate" in server.messages_text()


def assert_refused(server: Any, context: ssl.SSLContext) -> None:
    """With TLS 1.3 a client thinks that all is well until it reads."""
    with pytest.raises(OSError):
        server.connect_tls(context).request()


def test_a_revoked_certificate_is_refused(serve, place, client_context):
    bob = clients.issue_cert("bob@example.com", common_name="Bob")
    (place / "crl.pem").write_bytes(revoke(alice))
    server = serve(tell, tls=asking(place, client_crl=str(place / "crl.pem")))
    bob.configure_cert(client_context)
    assert server.connect_tls(client_context).request().status == 200
    alice.configure_cert(client_context)
    assert_refused(server, client_context)
    assert "certificate revoked" in server.messages_text()


def revoke(issued: trustme.LeafCert) -> bytes:
    """A revocation list of ``clients`` with one certificate on it."""
    now = datetime.now(UTC)
    revoked = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    issuer = x509.load_pem_x509_certificate(clients.cert_pem.bytes())
    key: Any = serialization.load_pem_private_key(clients.private_key_pem.bytes(), None)
    entry = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(now).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).add_revoked_certificate(entry)
    made = builder.last_update(now - timedelta(1)).next_update(now + timedelta(1)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def test_a_resumed_session_is_still_the_same_client(serve, place):
    server = serve(tell, tls=asking(place))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there right after the handshake
    alice.configure_cert(context)
    first = server.connect_tls(context)
    whole = json.loads(first.request().body)
    again = server.connect()
    again.sock = context.wrap_socket(again.sock, server_hostname="localhost", session=first.sock.session)
    assert again.sock.session_reused
    assert json.loads(again.request().body) == whole


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"client_ca": "none.pem"}, "cannot read client_ca='none.pem'"),
        ({"client_ca": "clients.pem", "client_crl": "none.pem"}, "cannot read client_crl='none.pem'"),
        ({"client_ca": "clients.pem", "client_certificate": "yes"}, "give 'required' or 'optional'"),
        ({"client_certificate": "optional"}, "only with client_ca"),
        ({"client_crl": "clients.pem"}, "only with client_ca"),
        ({"minimum_version": "1.1"}, "give '1.2' or '1.3'"),
        ({"ciphers": "no such suite"}, "no cipher suite that OpenSSL knows"),
    ],
)
def test_what_cannot_be_is_said(place, monkeypatch, settings, text):
    monkeypatch.chdir(place)
    with pytest.raises(ConfigurationError, match=text):
        server_context("server.pem", settings=TlsSettings(**settings))


def test_a_directory_of_authorities(serve, place, client_context):
    import gevent.subprocess

    (place / "authorities").mkdir()
    name = gevent.subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", str(place / "clients.pem")],
        capture_output=True, check=True, text=True,
    ).stdout.strip()  # fmt: skip
    clients.cert_pem.write_to_path(str(place / "authorities" / f"{name}.0"))
    tls = server_context(str(place / "server.pem"), settings=TlsSettings(client_ca=str(place / "authorities")))
    alice.configure_cert(client_context)
    assert serve(tell, tls=tls).connect_tls(client_context).request().status == 200


def test_curl_shows_its_certificate(serve, place):
    import gevent.subprocess

    server = serve(tell, tls=asking(place))
    alice.private_key_and_cert_chain_pem.write_to_path(str(place / "alice.pem"))
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    command = ["curl", "--silent", "--show-error", "--max-time", "10", "--cacert", str(place / "ca.pem")]
    command += ["--resolve", f"localhost:{server.port}:127.0.0.1", f"https://localhost:{server.port}/"]
    try:
        done = gevent.subprocess.run([*command, "--cert", str(place / "alice.pem")], capture_output=True, timeout=20)
        refused = gevent.subprocess.run(command, capture_output=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("no curl here: apt-get install curl")
    assert json.loads(done.stdout)["SSL_CLIENT_S_DN_CN"] == "Alice"
    assert refused.stdout == b"" and refused.returncode in (35, 55, 56)


def test_text_outside_ascii_is_as_pep_3333_wants_it():
    issued = clients.issue_cert("x@example.com", common_name="Jürgen")
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    found = describe(der)
    assert found["SSL_CLIENT_S_DN_CN"].encode("latin-1").decode() == "Jürgen"
    assert "CN=Jürgen" in found["SSL_CLIENT_S_DN"].encode("latin-1").decode()


def test_a_certificate_that_cannot_be_read_is_nobody():
    found = describe(b"not a certificate")
    assert found["SSL_CLIENT_VERIFY"].startswith("FAILED:")
    assert "SSL_CLIENT_S_DN" not in found
