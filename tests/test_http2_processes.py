"""HTTP/2 of a whole server: with TLS by its settings, and while its workers are replaced."""

from __future__ import annotations

import signal
from pathlib import Path

import gevent
import trustme

from skitai import was
from skitai.was import _engine
from tests.scripts import Workplace

SCRIPT = """
import skitai, time

def app(environ, start_response):
    time.sleep(0.01)
    start_response("200 OK", [])
    return [environ["SERVER_PROTOCOL"].encode()]

skitai.mount("/", app)
{more}
skitai.run(port=0, workers=2)
"""


def test_tls_servers_offer_it(workplace: Workplace, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    script = workplace.serve(SCRIPT.format(more=f"skitai.enable_ssl({str(tmp_path / 'server.pem')!r})"))
    url = f"https://127.0.0.1:{script.port}/"
    assert was.get(url, verify=str(tmp_path / "ca.pem")).getwait(10).data == b"HTTP/2.0"
    assert was.get(url, verify=str(tmp_path / "ca.pem"), http2=False).getwait(10).data == b"HTTP/1.1"
    _engine.current().close()
    assert script.stop() == 0


def test_no_request_is_lost_while_workers_are_replaced(workplace: Workplace) -> None:
    script = workplace.serve(SCRIPT.format(more=""))
    url = f"http://127.0.0.1:{script.port}/"
    is_over = False
    answers: list[object] = []

    def ask() -> None:
        while not is_over:
            result = was.post(url, b"x", headers={"Content-Type": "a/b"}, http2=True).getwait(20)
            answers.append(result.data or repr(result.error))

    askers = [gevent.spawn(ask) for _ in range(8)]
    for _ in range(2):
        before = len(answers)
        script.signal(signal.SIGHUP)
        script.next_line("new workers are ready: stopping the old ones")
        with gevent.Timeout(20):
            while len(answers) < before + 200:
                gevent.sleep(0.05)
    is_over = True
    gevent.joinall(askers, timeout=20)
    assert set(answers) == {b"HTTP/2.0"}
    _engine.current().close()
    assert script.stop() == 0
