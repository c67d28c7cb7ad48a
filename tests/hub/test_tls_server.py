"""A listener under TLS."""

from __future__ import annotations

import gc
import http.client
import os
import socket
import ssl
import weakref
from contextlib import suppress
from typing import Any

import gevent
import gevent.subprocess
import pytest
import trustme
from gevent.event import Event

from skitai.hub.site import Site
from skitai.settings import TlsSettings


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client_context(request: Any, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[request.param]
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def openssl(port: int, *options: str, said: str = "") -> str:
    """What ``openssl s_client`` prints about a connection on which it says something."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", *options]
    return run(command, said)


def curl(*arguments: str) -> str:
    return run(["curl", "--silent", "--show-error", "--max-time", "10", *arguments])


def run(command: list[str], said: str = "") -> str:
    try:
        done = gevent.subprocess.run(command, input=said.encode(), capture_output=True, timeout=20)
    except FileNotFoundError:
        pytest.skip(f"no {command[0]} here: apt-get install {command[0]}")
    return (done.stdout + done.stderr).decode(errors="replace")


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [environ["wsgi.url_scheme"].encode(), b" ", body]


def test_requests_on_a_kept_connection(serve, server_context, client_context):
    client = serve(echo, tls=server_context).connect_tls(client_context)
    for _ in range(3):
        assert client.request().body == b"https "
    assert client.request("POST", "/", b"x").body == b"https x"


@pytest.mark.row("WSGI-04")
def test_the_scheme_is_https(serve, server_context, client_context):
    assert serve(echo, tls=server_context).connect_tls(client_context).request().body.startswith(b"https")


def test_the_server_says_goodbye(serve, server_context, client_context):
    """close_notify, without which a client cannot tell the end from an attack."""
    client = serve(echo, tls=server_context).connect_tls(client_context)
    assert client.request(Connection="close").status == 200
    assert client.sock.recv(1) == b""  # without suppress_ragged_eofs a missing close_notify would raise


def strict(client: Any, context: ssl.SSLContext, port: int) -> None:
    """Replace the client's socket by one that does not forgive a missing close_notify."""
    client.sock.close()
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sock = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


@pytest.mark.parametrize("ending", ["complete", "broken"])
def test_only_a_complete_response_is_followed_by_close_notify(serve, server_context, client_context, ending):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        if ending == "broken":
            raise ValueError

    server = serve(app, tls=server_context)
    client = server.connect()
    strict(client, client_context, server.port)
    client.send("GET / HTTP/1.0\r\n\r\n")
    client.read_head()
    if ending == "complete":
        assert client.read_rest() == b"one"
    else:
        with pytest.raises(ssl.SSLError):
            client.read_rest()


def test_a_client_that_says_goodbye_and_waits_gets_its_answer(serve, server_context, client_context):
    """close_notify ends one direction only (RFC 8446 section 6.1); the answer comes by the other."""
    go, began = Event(), Event()

    def app(environ, start_response):
        began.set()
        go.wait()
        start_response("200 OK", [])
        return [b"late"]

    server = serve(app, tls=server_context)
    sock = server.connect().sock
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def run(step: Any, *arguments: Any) -> Any:
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))

    run(engine.do_handshake)
    engine.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    sock.sendall(outgoing.read())
    began.wait(5)
    with pytest.raises(ssl.SSLWantReadError):
        engine.unwrap()
    sock.sendall(outgoing.read())
    gevent.sleep(0.02)
    go.set()
    assert run(engine.read, 65536).endswith(b"\r\n\r\nlate")


@pytest.mark.parametrize("size", [100_000, 4_000_000])
def test_large_bodies_both_ways(serve, server_context, client_context, size):
    server = serve(echo, tls=server_context)
    client = server.connect_tls(client_context)
    body = os.urandom(size)
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (size, body))
    assert client.read().body == b"https " + body
    assert client.request().body == b"https "


def test_a_reader_that_stops_and_goes_on(serve, server_context, client_context):
    body = os.urandom(3_000_000)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    client = serve(app, tls=server_context).connect_tls(client_context)
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.read_head()
    gevent.sleep(0.1)  # the server has filled every buffer
    assert client.read_exactly(len(body)) == body


def test_files_without_sendfile(serve, server_context, client_context, tmp_path, monkeypatch):
    (tmp_path / "big").write_bytes(os.urandom(1_000_000))

    def no_sendfile(*args):
        raise AssertionError("these bytes would go out in the clear")

    monkeypatch.setattr(os, "sendfile", no_sendfile)
    site = Site()
    site.mount_directory("/", str(tmp_path))
    client = serve(site=site, tls=server_context).connect_tls(client_context)
    for _ in range(2):
        assert client.request(target="/big").body == (tmp_path / "big").read_bytes()

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"]((tmp_path / "big").open("rb"))

    client = serve(app, tls=server_context).connect_tls(client_context)
    assert client.request().body == (tmp_path / "big").read_bytes()


def test_a_body_that_is_too_large(serve, server_context, client_context):
    """The client is still sending while the answer comes, and gets to read it all the same."""
    client = serve(echo, tls=server_context).connect_tls(client_context)
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n")
    client.send(b"b" * 8_000_000)
    assert client.read().status == 413
    client.expect_end()


def test_continue(serve, server_context, client_context):
    client = serve(echo, tls=server_context).connect_tls(client_context)
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
    assert client.read().status == 100
    client.send(b"b" * 100_000)
    assert client.read().body == b"https " + b"b" * 100_000


# Clients that do not speak TLS well


def test_a_handshake_has_a_deadline(serve, server_context):
    server = serve(echo, tls=server_context, limits={"handshake_time": 0.2, "header_time": 60})
    server.connect().expect_end()
    half = server.connect().send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    half.expect_end()


def test_a_handshake_dripped_byte_by_byte_has_the_same_deadline(serve, server_context):
    server = serve(echo, tls=server_context, limits={"handshake_time": 0.3, "header_time": 60})
    client = server.connect()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400)
    ended = Event()

    def drip():
        for byte in hello:
            try:
                client.send(bytes([byte]))
            except OSError:
                return
            if ended.is_set():
                return
            gevent.sleep(0.02)

    dripping = gevent.spawn(drip)
    client.expect_end()
    ended.set()
    dripping.join()


def test_after_the_handshake_the_header_time_counts(serve, server_context, client_context):
    server = serve(echo, tls=server_context, limits={"handshake_time": 60, "header_time": 0.2})
    client = server.connect_tls(client_context).send("GET / HT")
    assert client.read().status == 408


@pytest.mark.row("WSGI-16")
@pytest.mark.parametrize(
    "data",
    [
        b"garbage" * 100,
        b"\x00" * 70_000,
        b"\x16\x03\x01\xff\xff" + b"\xff" * 70_000,
        b"\x80",
    ],
)
def test_garbage_instead_of_a_handshake(serve, server_context, client_context, data, until):
    server = serve(echo, tls=server_context, limits={"handshake_time": 0.3})
    client = server.connect()
    try:
        client.send(data)
        assert b"HTTP" not in client.read_rest()  # at most an alert
    except ConnectionResetError:
        pass  # what was not read resets the connection, and there was no answer that this could hurt
    client.close()
    until(lambda: server.server.connections == 0)
    assert server.connect_tls(client_context).request().status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        b"G",
        b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_plain_http_is_told_to_come_by_https(serve, server_context, data):
    server = serve(echo, tls=server_context)
    client = server.connect().send(data)
    response = client.read()
    assert (response.status, response.get("Content-Type")) == (400, "text/plain; charset=utf-8")
    assert b"https://" in response.body
    client.expect_end()
    assert server.messages_text().count("plain HTTP on a port that speaks HTTPS") == 1
    assert [" 400 " in line for line in server.request_lines()] == [True]


def test_curl_by_plain_http(serve, server_context):
    server = serve(echo, tls=server_context)
    found = curl("--include", f"http://127.0.0.1:{server.port}/")
    assert found.startswith("HTTP/1.1 400 ") and "https://" in found


def test_a_silent_client_has_no_tls_engine(serve, server_context, until):
    server = serve(echo, tls=server_context, limits={"handshake_time": 0.3})
    client = server.connect()
    until(lambda: server.server.connections == 1)
    (connection,) = server.server._connections
    assert not connection.transport.has_begun
    client.expect_end()
    assert server.messages_text() == ""


def test_a_client_that_only_looks_whether_the_port_is_open_is_not_logged(serve, server_context, until):
    server = serve(echo, tls=server_context)
    server.connect().close()
    until(lambda: server.server.connections == 0)
    assert server.messages_text() == ""


def test_a_broken_handshake_is_logged_once(serve, server_context, until):
    server = serve(echo, tls=server_context)
    client = server.connect().send(b"\x16\x03\x01\xff\xff" + b"\xff" * 70)
    with suppress(ConnectionResetError):
        client.read_rest()
    until(lambda: server.server.connections == 0)
    assert server.messages_text().count("did not finish the TLS handshake") == 1


def test_a_truncated_end_inside_a_request_is_no_request(serve, server_context, client_context, until):
    """TCP ends without close_notify in the middle of a body: the app must not take what came for everything."""
    bodies = []

    def app(environ, start_response):
        bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b""]

    server = serve(app, tls=server_context)
    client = server.connect_tls(client_context)
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf")
    client.close()
    until(lambda: server.server.connections == 0)
    assert bodies == []


def test_renegotiation_is_refused(serve, server_context, authority, tmp_path):
    """OpenSSL's own client asks for it when it reads a line with R."""
    server = serve(echo, tls=server_context)
    found = openssl(server.port, "-tls1_2", said="R\n")
    assert "no renegotiation" in found
    assert server.connect_tls(trusting(authority)).request().status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("least", "refused"), [("1.2", "TLSv1_1"), ("1.3", "TLSv1_2")])
def test_old_versions_are_refused(serve, authority, least, refused):
    from skitai.net.tls import server_context as made

    with authority.issue_cert("localhost").private_key_and_cert_chain_pem.tempfile() as file:
        server = serve(echo, tls=made(file, settings=TlsSettings(minimum_version=least)))
    context = trusting(authority)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")  # or a client would not even try
    context.maximum_version = ssl.TLSVersion[refused]
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        server.connect_tls(context)
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert server.connect_tls(context).sock.version() == "TLSv1.3"


def test_many_handshakes_at_once_take_turns(serve, server_context, authority, monkeypatch):
    """Between the handshakes of one turn and those of the next one, whoever is connected already is answered."""
    from skitai.net import transport

    taken = []
    take = transport._steps.take
    monkeypatch.setattr(transport._steps, "take", lambda: taken.append(take()) or taken[-1])
    server = serve(echo, tls=server_context)
    context = trusting(authority)
    clients = [gevent.spawn(server.connect_tls, context) for _ in range(60)]
    assert all(client.get(timeout=30).request().status == 200 for client in clients)
    assert taken.count(True) >= 120
    assert False in taken


def test_a_client_that_does_not_trust_us(serve, server_context, until):
    server = serve(echo, tls=server_context)
    with pytest.raises(ssl.SSLCertVerificationError):
        server.connect_tls(ssl.create_default_context())
    until(lambda: server.server.connections == 0)
    assert server.messages_text().count("did not finish the TLS handshake: tlsv1 alert unknown ca") == 1


def test_a_chain_that_is_loaded_again_is_shown_from_the_next_handshake_on(serve, server_context, authority):
    server = serve(echo, tls=server_context)
    first = server.connect_tls(trusting(authority))
    authority.issue_cert("localhost", common_name="second").configure_cert(server_context)
    second = server.connect_tls(trusting(authority))
    subjects = [str(each.sock.getpeercert()["subject"]) for each in (first, second)]
    assert ["second" in each for each in subjects] == [False, True]
    assert first.request().status == second.request().status == 200


def test_requests_for_new_keys_do_not_pile_up(serve, server_context, authority, until):
    """No client of Python can ask for them, so that what they leave behind is put there."""
    from skitai.net.transport import MOST_UNSENT

    server = serve(echo, tls=server_context)
    client = server.connect_tls(trusting(authority))
    assert client.request().status == 200
    (connection,) = server.server._connections
    connection.transport._unsent = bytes(MOST_UNSENT + 1)
    client.send("G")
    until(lambda: server.server.connections == 0)
    assert "broke TLS: the client asks for more and more" in server.messages_text()


def test_new_keys(serve, server_context, until):
    server = serve(echo, tls=server_context)
    assert "KEYUPDATE" in openssl(server.port, "-tls1_3", said="K\n")
    until(lambda: server.server.connections == 0)
    assert server.messages_text() == ""


def test_a_closed_connection_leaves_nothing_to_the_collector(serve, server_context, client_context, until):
    server = serve(echo, tls=server_context)
    client = server.connect_tls(client_context)
    assert client.request().status == 200
    (connection,) = server.server._connections
    engine = weakref.ref(connection.transport._engine)
    assert isinstance(engine(), ssl.SSLObject)
    gc.disable()
    try:
        client.close()
        until(lambda: server.server.connections == 0)
        assert engine() is None
    finally:
        gc.enable()


# Sessions


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_resumed(serve, server_context, tmp_path, version):
    server = serve(echo, tls=server_context)
    ticket = str(tmp_path / "session")
    request = "GET / HTTP/1.0\r\n\r\n"
    assert "New, TLSv1." in openssl(server.port, version, "-sess_out", ticket, "-ign_eof", said=request)
    assert "Reused, TLSv1." in openssl(server.port, version, "-sess_in", ticket, "-ign_eof", said=request)


def test_garbage_after_the_handshake(serve, server_context, client_context, until):
    server = serve(echo, tls=server_context)
    client = server.connect_tls(client_context)
    assert client.request().status == 200
    os.write(client.sock.fileno(), b"\x17\x03\x03\x00\x20" + b"\xff" * 32)
    until(lambda: server.server.connections == 0)


@pytest.mark.parametrize("when", ["handshake", "request", "response"])
def test_resets(serve, server_context, client_context, when, until):
    def app(environ, start_response):
        start_response("200 OK", [])
        return (b"x" * 100_000 for _ in range(100))

    server = serve(app, tls=server_context)
    for _ in range(5):
        if when == "handshake":
            client = server.connect().send(b"\x16\x03\x01\x02")
        else:
            client = server.connect_tls(client_context)
            client.send("GET / HTTP/1.1\r\nHo" + ("st: test\r\n\r\n" if when == "response" else ""))
            if when == "response":
                client.read_head()
        client.reset()
    until(lambda: server.server.connections == 0)
    assert server.server.slots.busy == 0


def test_too_many_tls_connections_are_closed(serve, server_context, client_context, until):
    server = serve(echo, tls=server_context, limits={"connections": 2})
    kept = [server.connect_tls(client_context) for _ in range(2)]
    with pytest.raises(OSError):
        server.connect_tls(client_context)
    assert kept[0].request().status == 200


# Other people's clients


def test_http_client_of_the_standard_library(serve, server_context, client_context):
    server = serve(echo, tls=server_context)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=client_context, timeout=10)
    for _ in range(2):
        connection.request("POST", "/", b"x" * 300_000)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"https " + b"x" * 300_000)
    connection.close()


def test_curl(serve, server_context, authority, tmp_path):
    server = serve(echo, tls=server_context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "body").write_bytes(b"x" * 2_000_000)
    arguments = ["curl", "--silent", "--show-error", "--max-time", "10", "--cacert", str(tmp_path / "ca.pem")]
    arguments += ["--resolve", f"localhost:{server.port}:127.0.0.1", "--data-binary", f"@{tmp_path / 'body'}"]
    url = f"https://localhost:{server.port}/"
    try:
        result = gevent.subprocess.run(
            [*arguments, url, url],
            capture_output=True,
            timeout=20,
        )
    except FileNotFoundError:
        pytest.skip("no curl here")
    assert result.stderr == b""
    assert result.stdout == (b"https " + b"x" * 2_000_000) * 2
