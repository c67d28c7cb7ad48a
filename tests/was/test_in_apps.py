"""``was`` inside apps that our server runs, over several hops of servers."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import flask
import gevent
import pytest

from skitai import was
from skitai.hub import make_server
from skitai.lib import producers
from skitai.net import logs
from skitai.was._context import wasc
from skitai.wire import clusters

from .conftest import Peers


class Servers:
    """Makes servers in this process, and stops them at the end."""

    def __init__(self) -> None:
        self._servers: list[Any] = []
        self.request_log = io.StringIO()

    def __call__(self, app: Any) -> str:
        """Serve a WSGI app; return the URL of its root without a slash."""
        server = make_server(("127.0.0.1", 0), app, log=self.request_log)
        server.start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    def stop(self) -> None:
        for server in self._servers:
            server.stop()


@pytest.fixture
def serve() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


def view(function: Any) -> flask.Flask:
    """A Flask app with one view."""
    app = flask.Flask(__name__)
    app.add_url_rule("/<path:path>", view_func=function)
    app.add_url_rule("/", view_func=function, defaults={"path": ""})
    return app


@pytest.mark.row("WAS-GEN-02")
def test_every_service_in_an_unmodified_flask_app(serve: Servers, peers: Peers) -> None:
    peer = peers.http(lambda received, link: link.reply(received.method.encode() + b" " + received.body))
    clusters.define("@c", "http", [peer.address, peer.address])

    def page(path: str) -> Any:
        calls = [
            was.get(peer.url()), was.post(peer.url(), {"a": 1}), was.put.lb("@c/", "x"), was.delete("@c/"),
            was.upload(peer.url(), {"f": io.BytesIO(b"file")}),
        ]  # fmt: skip
        answers = [call.getwait(5).text.split("\r\n")[0] for call in calls]
        answers[-1] = answers[-1][:6]
        answers += [result.text for result in was.get.map("@c/").getswait(5)]
        return flask.jsonify(answers=answers, txnid=was.txnid(), request=was.request.path, json=was.tojson([1]))

    found = was.get(serve(view(page)) + "/some/page").getwait(5).data
    assert found["answers"] == ["GET ", 'POST {"a":1}', "PUT x", "DELETE ", "POST -", "GET ", "GET "]
    assert found["txnid"].startswith("GTID-C")
    assert found["request"] == "/some/page"
    assert found["json"] == "[1]"
    sent = {request.header("x-gtxn-id") for request in peer.received}
    assert sent == {found["txnid"].partition("/")[0]}
    assert sorted(int(str(request.header("x-ltxn-id"))) for request in peer.received) == list(range(1001, 1008))


@pytest.mark.row("WAS-GEN-05")
def test_a_result_that_a_template_waits_for(serve: Servers, peers: Peers) -> None:
    peer = peers.saying(b'{"city": "Oslo"}', "200 OK", "Content-Type: application/json")
    template = "<p>{% set result = request.getwait(2) %}{{ result.data.city }}</p>"

    def page(path: str) -> str:
        return flask.render_template_string(template, request=was.get(peer.url()))

    assert was.get(serve(view(page))).getwait(5).text == "<p>Oslo</p>"


@pytest.mark.row("TXN-03", "TXN-05")
def test_transactions_over_three_hops(serve: Servers) -> None:
    def leaf(path: str) -> str:
        return was.txnid()

    leaf_url = serve(view(leaf))

    def middle(path: str) -> Any:
        calls = [was.get(f"{leaf_url}/{path}{n}") for n in range(2)]
        return flask.jsonify(me=was.txnid(), below=[call.getwait(5).text for call in calls])

    middle_url = serve(view(middle))

    def front(path: str) -> Any:
        calls = [was.get(f"{middle_url}/{n}") for n in range(2)]
        return flask.jsonify(me=was.txnid(), below=[call.getwait(5).data for call in calls], end=was.txnid())

    found = was.get(serve(view(front)) + "/top").getwait(5).data
    gtxnid, _, first = found["me"].partition("/")
    assert first == "1000"
    assert found["end"] == found["me"]
    assert [below["me"] for below in found["below"]] == [f"{gtxnid}/2001", f"{gtxnid}/2002"]
    assert found["below"][0]["below"] == [f"{gtxnid}/3002", f"{gtxnid}/3003"]
    assert found["below"][1]["below"] == [f"{gtxnid}/3003", f"{gtxnid}/3004"]
    gevent.sleep(0)
    serve.stop()
    lines = serve.request_log.getvalue().splitlines()
    assert len(lines) == 7
    assert sum(f" {gtxnid} 1000 " in line for line in lines) == 1
    assert sum(f" {gtxnid} 2001 " in line for line in lines) == 1


def test_ids_that_a_client_brings_are_kept(serve: Servers) -> None:
    url = serve(view(lambda path: was.txnid()))
    assert was.get(url, headers={"x-GTXN-id": "GTID-C5-R5", "X-LTXN-ID": "1001"}).getwait(5).text == "GTID-C5-R5/2001"
    assert was.get(url, headers={"X-Gtxn-Id": "GTID-C5-R5", "X-Ltxn-Id": "x"}).getwait(5).text == "GTID-C5-R5/1000"


def test_many_pages_at_once_do_not_mix(serve: Servers, peers: Peers) -> None:
    peer = peers.http(lambda received, link: link.reply(received.target.encode()))

    def page(path: str) -> str:
        before = was.txnid()
        threads: list[str] = []

        def in_thread() -> None:
            threads.append(was.get(peer.url(f"/{path}/thread")).getwait(5).text)

        thread = threading.Thread(target=in_thread)
        thread.start()
        calls = [was.get(peer.url(f"/{path}/{n}")) for n in range(3)]
        answers = [call.getwait(5).text for call in calls]
        thread.join()
        assert was.txnid() == before
        assert answers + threads == [f"/{path}/0", f"/{path}/1", f"/{path}/2", f"/{path}/thread"]
        return before

    url = serve(view(page))
    calls = [was.get(f"{url}/{n}") for n in range(40)]
    transactions = [call.getwait(10).text for call in calls]
    assert len(set(transactions)) == 40
    assert all(transaction.startswith("GTID-C") for transaction in transactions)


def test_a_greenlet_that_outlives_its_request_still_has_it(serve: Servers, peers: Peers) -> None:
    peer = peers.saying(b"ok")
    go_on, found = gevent.event.Event(), []

    def later() -> None:
        go_on.wait()
        was.get(peer.url()).getwait(5)
        found.append(was.txnid())

    greenlets = []

    def page(path: str) -> str:
        greenlets.append(gevent.spawn(later))
        return was.txnid()

    transaction = was.get(serve(view(page))).getwait(5).text
    go_on.set()
    gevent.joinall(greenlets)
    assert found == [transaction]
    assert peer.received[0].header("x-ltxn-id") == "1001"


@pytest.mark.row("MAP-06")
def test_single_thread_mode_in_an_app(serve: Servers, peers: Peers) -> None:
    peer = peers.saying(b"ok")
    wasc.numthreads = 0

    def page(path: str) -> Any:
        errors = []
        for work in (lambda: was.get(peer.url()), lambda: was.get.map(peer.url())):
            try:
                work()
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
        return flask.jsonify(errors)

    assert was.get(serve(view(page))).getwait(5).data == [
        "RuntimeError: Should have callback in Main thread",
        "AttributeError: Cannot use Map-Reduce with Single Thread",
    ]


def test_log_lines_of_an_app_carry_the_transaction(serve: Servers, capfd: pytest.CaptureFixture[str]) -> None:
    def page(path: str) -> str:
        was.log("from the app")
        return was.txnid()

    transaction = was.get(serve(view(page))).getwait(5).text
    logs.current().flush()
    assert f"[info:{transaction}] from the app" in capfd.readouterr().out


@pytest.mark.row("CONST-21")
def test_producers_are_bodies(serve: Servers, tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100_000)
    closed = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        made: dict[str, Any] = {
            "/simple": lambda: producers.simple_producer("simple"),
            "/list": lambda: producers.list_producer([b"a", b"b"]),
            "/iter": lambda: producers.iter_producer(str(n) for n in range(3)),
            "/file": lambda: producers.file_producer(path.open("rb")),
            "/closing": lambda: producers.closing_stream_producer(path.open("rb"), callback=closed.append),
        }
        return made[environ["PATH_INFO"]]()

    url = serve(app)
    found = {
        name: was.get(url + name).getwait(5).content for name in ("/simple", "/list", "/iter", "/file", "/closing")
    }
    big = b"x" * 100_000
    assert found == {"/simple": b"simple", "/list": b"ab", "/iter": b"012", "/file": big, "/closing": big}
    assert len(closed) == 1
