"""``enable_ssl()`` in a server of its own: its forms, its reload, and what several workers share."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from skitai.configuration import Options
from skitai.errors import ConfigurationError
from skitai.net.tls import SERVER_PROTOCOLS
from tests.scripts import PATIENCE, Script, Workplace, await_end

DOCS = Path(__file__).resolve().parent.parent / "docs"

#: Answers its process id to ``/pid``, waits for a file before it answers ``/wait``, else tells the scheme.
APP = """
import os

import gevent
from skitai.saddle import Saddle

app = Saddle("app")

@app.route("/")
def index(was):
    return was.env["wsgi.url_scheme"] + " " + was.request.get_scheme()

@app.route("/pid")
def pid(was):
    return str(os.getpid())

@app.route("/wait")
def wait(was):
    while not os.path.exists("go"):
        gevent.sleep(0.02)
    return "waited"

if __name__ == "__main__":
    import skitai

    {call}
    skitai.mount("/", app)
    skitai.run(port=0{more})
"""

authority = trustme.CA()


def write(place: Path, file: str = "server.pem", *, name: str = "localhost") -> None:
    """A certificate with its key in one file that only we can read."""
    issued = authority.issue_cert(name, "127.0.0.1", common_name=name)
    (place / file).touch(mode=0o600)
    (place / file).write_bytes(issued.private_key_and_cert_chain_pem.bytes())


def trusting(*authorities: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for path in authorities:
        context.load_verify_locations(path)
    return context


class Peer:
    """A client of one connection."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        context = context or trusting()
        self.connection = http.client.HTTPSConnection("127.0.0.1", script.port, timeout=PATIENCE, context=context)

    def ask(self, path: str) -> None:
        self.connection.request("GET", path)

    def answer(self) -> str:
        return self.connection.getresponse().read().decode()

    def get(self, path: str = "/") -> str:
        self.ask(path)
        return self.answer()

    @property
    def certificate(self) -> str:
        """The common name of what the server shows."""
        if self.connection.sock is None:
            self.connection.connect()
        found: Any = self.connection.sock.getpeercert()
        return next(value for part in found["subject"] for key, value in part if key == "commonName")


class Peers:
    """Makes clients. A server that stops waits a moment for those that are open: close them before."""

    def __init__(self) -> None:
        self._made: list[Peer] = []

    def __call__(self, *arguments: Any) -> Peer:
        self._made.append(Peer(*arguments))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.connection.close()


def eventually(attempt: Callable[[], Any], is_right: Callable[[Any], bool]) -> Any:
    """The first result that is right; a wrong one is tried again."""
    with gevent.Timeout(PATIENCE, AssertionError("it never came out right")):
        while not is_right(found := attempt()):
            gevent.sleep(0.02)
    return found


@pytest.fixture(name="peer")
def peer_(workplace: Workplace) -> Iterator[Peers]:
    """``peer(script)`` is a new client."""
    made = Peers()
    yield made
    made.close()


@pytest.mark.row("SSL-01", "SSL-04", "SSL-06")
@pytest.mark.parametrize(
    "call",
    [
        "skitai.enable_ssl('both.pem')",
        "skitai.enable_ssl('cert.pem', 'locked.pem', 'your pass phrase')",
        "skitai.enable_ssl(certfile='locked_both.pem', passphrase='your pass phrase')",
        "skitai.enable_ssl(skitai.joinpath('both.pem'), None, None)",
    ],
)
def test_every_form_of_the_documents(workplace: Workplace, peer: Peers, tmp_path_factory: Any, call: str) -> None:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"your pass phrase"))
    certificate = issued.cert_chain_pems[0].bytes()
    for file, data in {
        "both.pem": issued.private_key_and_cert_chain_pem.bytes(), "cert.pem": certificate, "locked.pem": locked,
        "key.pem": issued.private_key_pem.bytes(), "locked_both.pem": locked + certificate,
    }.items():  # fmt: skip
        (workplace.directory / file).write_bytes(data)
    # Paths start where the script is, not where it was started.
    script = workplace.script(APP.format(call=call, more="")).start(cwd=tmp_path_factory.mktemp("elsewhere"))
    assert peer(script).get() == "https https"
    peer.close()
    assert script.stop() == 0
    assert "may be read by other users (mode 644)" in script.text


@pytest.mark.row("SSL-03")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command: apt-get install openssl")
def test_the_recipe_exactly_as_it_is_written(workplace: Workplace, peer: Peers) -> None:
    recipe = "openssl req -new -newkey rsa:2048 -x509 -keyout server.pem -out server.pem -days 365 -nodes"
    page = (DOCS / "tls.md").read_text(encoding="utf-8")
    example = page[page.index(f"    {recipe}\n") :].split("```python no-run\n")[1].split("```")[0]
    # It asks for seven parts of a name; an empty line takes what it proposes.
    done = subprocess.run(recipe.split(), cwd=workplace.directory, input=b"\n" * 7, capture_output=True)
    assert done.returncode == 0, done.stderr
    script = workplace.serve(example.replace("port=5000", "port=0"))
    context = trusting(workplace.directory / "server.pem")
    context.check_hostname = False  # it names no host
    assert peer(script, context).get() == "hello"
    peer.close()
    assert script.stop() == 0
    assert "may be read by other users" not in script.text  # openssl writes it for us alone


def test_alpn(workplace: Workplace, peer: Peers) -> None:
    write(workplace.directory)
    script = workplace.serve(APP.format(call="skitai.enable_ssl('server.pem')", more=""))
    for offered, chosen in (
        (["http/1.1"], "http/1.1"),
        (["unknown/9"], None),
        ([], None),
        (list(SERVER_PROTOCOLS), SERVER_PROTOCOLS[0]),
    ):
        context = trusting()
        if offered:
            context.set_alpn_protocols(offered)
        made = peer(script, context)
        made.connection.connect()
        assert made.connection.sock.selected_alpn_protocol() == chosen
        if chosen in (None, "http/1.1"):
            assert made.get() == "https https"
    peer.close()
    assert script.stop() == 0


# SIGHUP


def test_sighup_shows_new_certificates_and_drops_no_request(workplace: Workplace, peer: Peers) -> None:
    write(workplace.directory, name="old.example")
    script = workplace.serve(APP.format(call="skitai.enable_ssl('server.pem')", more=", workers=1"))
    waiting, other = peer(script), peer(script)
    assert waiting.certificate == other.certificate == "old.example"
    waiting.ask("/wait")

    (workplace.directory / "server.pem").write_text("this is no certificate")
    script.signal(signal.SIGHUP)
    script.line("reload given up, the old workers stay: cannot use the certificate and key in 'server.pem'")
    assert "starting new workers" not in script.text
    assert peer(script).certificate == "old.example"
    # A worker that dies now is replaced by one that shows what was good last.
    victim = int(other.get("/pid"))

    write(workplace.directory, name="new.example")
    script.signal(signal.SIGHUP)
    script.line("new workers are ready: stopping the old ones")
    # Told to stop is not stopped yet: the old worker may have taken one client more.
    fresh = eventually(lambda: peer(script), lambda found: found.certificate == "new.example")
    assert int(fresh.get("/pid")) != victim
    # The old worker has the connection and its request still.
    (workplace.directory / "go").touch()
    assert waiting.answer() == "waited"
    await_end(victim)
    peer.close()
    assert script.stop() == 0


def test_a_worker_that_dies_while_the_files_are_bad_is_replaced(workplace: Workplace, peer: Peers) -> None:
    write(workplace.directory, name="good.example")
    script = workplace.serve(APP.format(call="skitai.enable_ssl('server.pem')", more=""))
    pid = int(peer(script).get("/pid"))
    (workplace.directory / "server.pem").unlink()
    os.kill(pid, signal.SIGKILL)
    script.line("was killed by SIGKILL")
    script.next_line("started on")
    other = peer(script)
    assert other.certificate == "good.example"
    assert int(other.get("/pid")) != pid
    peer.close()
    assert script.stop() == 0


# Session tickets


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command: apt-get install openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_any_worker_resumes_the_session_of_another(workplace: Workplace, version: str) -> None:
    write(workplace.directory)
    script = workplace.serve(APP.format(call="skitai.enable_ssl('server.pem')", more=", workers=3"))
    script.line("worker 1"), script.line("worker 2"), script.line("worker 3")
    ticket = str(workplace.directory / "ticket")

    def ask(*options: str) -> tuple[str, str]:
        """(New or Reused, process id of the worker)"""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{script.port}", version, *options, "-ign_eof"]
        request = b"GET /pid HTTP/1.0\r\nHost: x\r\n\r\n"
        text = subprocess.run(command, input=request, capture_output=True, timeout=PATIENCE).stdout.decode()
        state = re.search(r"^(New|Reused), TLSv1", text, re.MULTILINE)
        pid = re.search(r"\r\n\r\n(\d+)", text)
        assert state and pid, text
        return state[1], pid[1]

    state, first = ask("-sess_out", ticket)
    assert state == "New"
    workers = {first}
    for _ in range(200):
        state, pid = ask("-sess_in", ticket)
        assert state == "Reused"
        workers.add(pid)
        if len(workers) > 1:
            break
    assert len(workers) > 1, "one worker took all connections"
    script.signal(signal.SIGHUP)
    script.line("new workers are ready")
    # Other keys from now on, as soon as the old workers have let go of the port.
    eventually(lambda: ask("-sess_in", ticket)[0], lambda state: state == "New")
    assert script.stop() == 0


# Settings


def test_a_plain_port_that_redirects(workplace: Workplace, peer: Peers) -> None:
    write(workplace.directory)
    call = "skitai.enable_ssl('server.pem', redirect_from=0, hsts=60)"
    script = workplace.serve(APP.format(call=call, more=""))
    plain = int(script.line(r"redirects \S+:(\d+) to https")[1])
    for _ in range(2):
        answer = script.get("/pid?x=1", host="shop.example:80", port=plain)
        assert (answer.status, answer.headers["Location"]) == (308, f"https://shop.example:{script.port}/pid?x=1")
        assert answer.headers["Strict-Transport-Security"] is None
        script.signal(signal.SIGHUP)  # the new workers redirect as well
        script.next_line("new workers are ready")
    secure = peer(script)
    secure.ask("/")
    assert secure.connection.getresponse().headers["Strict-Transport-Security"] == "max-age=60"
    peer.close()
    assert script.stop() == 0


def test_names_and_client_certificates(workplace: Workplace) -> None:
    write(workplace.directory)
    write(workplace.directory, "shop.pem", name="shop.example")
    (workplace.directory / "ca.pem").write_bytes(authority.cert_pem.bytes())
    text = APP.replace("return str(os.getpid())", 'return was.env["SSL_CLIENT_S_DN_CN"]')
    more = ", certfile='server.pem', tls={'certificates': ['shop.pem'], 'client_ca': 'ca.pem'}"
    script = workplace.serve(text.format(call="", more=more))
    context = trusting()
    authority.issue_cert("alice@example.com", common_name="Alice").configure_cert(context)
    context.check_hostname = False
    sock = context.wrap_socket(script.connect(), server_hostname="shop.example")
    assert ("DNS", "shop.example") in sock.getpeercert()["subjectAltName"]
    sock.sendall(b"GET /pid HTTP/1.0\r\n\r\n")
    assert sock.makefile("rb").read().endswith(b"\r\n\r\nAlice")
    sock.close()
    assert script.stop() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"client": "ca.pem"}, "there is no TLS setting 'client'; they are"),
        ({"certificates": "shop.pem"}, "certificates='shop.pem' cannot be: give a list"),
        ({"redirect_from": "80"}, "redirect_from='80' cannot be"),
        ({"redirect_from": 65536}, "redirect_from=65536 cannot be"),
        ({"hsts": True}, "hsts=True cannot be"),
        ({"hsts": -1}, "hsts=-1 cannot be"),
    ],
)
def test_what_cannot_be_is_said(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        Options(certfile="server.pem", tls=settings).server_settings()


def test_settings_need_a_certificate() -> None:
    with pytest.raises(ConfigurationError, match="settings of TLS without certfile"):
        Options(tls={"hsts": 5}).server_settings()


def test_a_wrong_setting_ends_the_start(workplace: Workplace) -> None:
    write(workplace.directory)
    script = workplace.script(APP.format(call="skitai.enable_ssl('server.pem', minimum_version='1.1')", more=""))
    assert script.run() == 2
    assert "minimum_version='1.1' cannot be: give '1.2' or '1.3'" in script.text
    assert "Traceback" not in script.text
