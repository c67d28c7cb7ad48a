"""``h2c=False``: a port without TLS speaks HTTP/1.1 alone."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from skitai.configuration import Options
from skitai.errors import ConfigurationError
from tests.hub.http2_client import Http2Client

UPGRADE = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQAAP__"}


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["SERVER_PROTOCOL"].encode()]


def test_an_upgrade_is_ignored(serve: Any) -> None:
    response = serve(app, h2c=False).get(**UPGRADE)
    assert (response.status, response.body) == (200, b"HTTP/1.1")
    assert serve(app).get(**UPGRADE).status == 101


@pytest.mark.parametrize("cut", [3, 24])
def test_the_preface_is_no_request(serve: Any, cut: int) -> None:
    client = serve(app, h2c=False).connect()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    client.send(preface[:cut])
    client.send(preface[cut:])
    answer = client.read_rest()
    assert answer.startswith(b"HTTP/1.1 505 ") and b"\0" not in answer


def test_with_tls_it_is_agreed_on_all_the_same(serve: Any, tmp_path: Any) -> None:
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    running = serve(app, tls=server_context, h2c=False)
    client = running.connect_tls(context)
    assert Http2Client(client.sock).request().body == b"HTTP/2.0"


def test_the_option() -> None:
    assert Options().server_settings().h2c
    assert not Options().with_keywords({"h2c": False}).server_settings().h2c
    with pytest.raises(ConfigurationError, match="h2c"):
        Options().with_keywords({"h2c": 0})
