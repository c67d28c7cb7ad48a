"""Sessions and messages over sockets: processes that start anew, clients from several addresses, TLS, real clients."""

from __future__ import annotations

import http.client
import io
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme

from skitai.hub import make_server
from skitai.saddle import Saddle
from tests.scripts import Workplace

PATIENCE = 30

APP = """
import skitai
from skitai.saddle import Saddle

app = Saddle(__name__)
app.securekey = "ds8fdsflksdjf9879dsf;?<>Asda"


@app.route("/")
def index(was, name=""):
    if name:
        was.session.set("name", name)
    return repr((was.session.get("name"), was.session.source_verified()))


if __name__ == "__main__":
    skitai.mount("/", app)
    skitai.run(port=0, workers=2)
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.clean_up()


def ask(port: int, cookie: str = "", path: str = "/", source: str = "127.0.0.1") -> tuple[str, str]:
    """Return the page, and the first cookie of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    try:
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        return response.read().decode(), (response.headers["Set-Cookie"] or "").partition(";")[0]
    finally:
        connection.close()


@pytest.mark.row("SAD-SESS-02")
def test_a_session_outlives_its_process_and_is_read_by_all_workers(workplace: Workplace) -> None:
    first = workplace.serve(APP, name="first.py")
    _, cookie = ask(first.port, path="/?name=hans")
    assert cookie.startswith("SESS_=")
    assert first.stop() == 0
    second = workplace.serve(APP, name="second.py")
    for _ in range(8):  # two workers take turns as they like
        assert ask(second.port, cookie)[0] == "('hans', True)"
    text = cookie[:-5] + ("A" if cookie[-5] != "A" else "B") + cookie[-4:]
    assert ask(second.port, text)[0] == "(None, False)"
    assert ask(second.port, cookie)[0] == "('hans', True)"
    assert second.stop() == 0
    assert "cookie SESS_ is ignored" in second.text and "Traceback" not in second.text


@pytest.fixture
def app() -> Saddle:
    app = Saddle(__name__)
    app.securekey = "ds8fdsflksdjf9879dsf;?<>Asda"

    @app.route("/")
    def index(was, name=""):
        if name:
            was.session.set("name", name)
            was.mbox.send("hello " + name, "flash")
            return was.redirect(was.ab("index"))
        return repr((was.session.get("name"), was.session.getv("name"), [message[4] for message in was.mbox.get()]))

    return app


@pytest.mark.row("SAD-SESS-06", "SAD-SESS-07")
def test_a_client_from_another_address(app: Saddle) -> None:
    server = make_server(("127.0.0.1", 0), app, error_log=io.StringIO())
    server.start()
    try:
        _, cookie = ask(server.server_port, path="/?name=hans")
        assert ask(server.server_port, cookie)[0] == "('hans', 'hans', [])"
        page, renewed = ask(server.server_port, cookie, source="127.0.0.2")
        assert page == "('hans', None, [])"
        assert ask(server.server_port, renewed, source="127.0.0.2")[0] == "('hans', 'hans', [])"
    finally:
        server.stop()


@pytest.mark.row("SAD-MBOX-02", "SAD-MBOX-13")
def test_requests_keeps_them_over_a_redirection(app: Saddle) -> None:
    server = make_server(("127.0.0.1", 0), app, error_log=io.StringIO())
    server.start()
    try:
        with requests.Session() as browser:
            url = f"http://127.0.0.1:{server.server_port}/"
            assert browser.get(url + "?name=hans", timeout=PATIENCE).text == "('hans', 'hans', ['hello hans'])"
            assert browser.get(url, timeout=PATIENCE).text == "('hans', 'hans', [])"
            assert [cookie.name for cookie in browser.cookies] == ["SESS_"]
    finally:
        server.stop()


def test_cookies_that_came_by_tls_are_secure(app: Saddle) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = make_server(("127.0.0.1", 0), app, error_log=io.StringIO(), tls=context)
    server.start()
    try:
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        connection = http.client.HTTPSConnection("localhost", server.server_port, timeout=PATIENCE, context=trusting)
        connection.request("GET", "/?name=hans")
        response = connection.getresponse()
        lines = response.headers.get_all("Set-Cookie") or []
        connection.close()
        assert [line.partition("=")[0] for line in lines] == ["SESS_", "MBOX_"]
        assert all(line.endswith("; Secure; HttpOnly; SameSite=Lax") for line in lines)
    finally:
        server.stop()
