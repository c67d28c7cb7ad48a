"""was.aresponse(): what is sent and when, who waits for whom, and what happens when something fails or goes away."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai import was as the_was
from skitai.saddle import Saddle
from skitai.saddle.async_response import MOST_WAITING, ResProxy
from skitai.saddle.testing import Client
from skitai.was import _engine
from skitai.wire import clusters
from tests import servers

Until = Callable[[Callable[[], object]], None]


class Service:
    """A server that the requests of responses go to.

    Attributes:
        seen: the targets that were asked for. go: what ``/wait/...`` waits for. end: what ``/never`` waits for.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self.seen: list[str] = []
        self.transactions: list[str] = []
        self.go = Event()
        self.end = Event()
        app = Saddle("service")

        @app.route("/<path:path>")
        def answer(was, path, **rest):
            self.seen.append(was.request.uri)
            self.transactions.append(was.txnid().partition("/")[2])
            if path.startswith("wait"):
                self.go.wait()
            if path.startswith("never"):
                self.end.wait()
            if path.startswith("error"):
                return was.response("500 Failed", "failed")
            body = was.request.body
            return f"{was.request.method} {path}{' ' + body.decode() if body else ''}"

        @app.route("/add")
        def add(was, a=0, b=0):
            return a + b

        self.port = run({"/": app}).port

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def service(run: Callable[..., Any]) -> Iterator[Service]:
    service = Service(run)
    yield service
    service.end.set()
    _engine.current().close()  # or the servers would wait for the end of the connections that are kept


def join(proxy: ResProxy, response: Any) -> None:
    """Most tests want to see what came."""
    proxy[response.reqid] = response.text


def connect(port: int, request: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(request)
    return sock


def read_all(sock: socket.socket) -> bytes:
    found = b""
    while data := sock.recv(65536):
        found += data
    return found


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    found = b""
    while mark not in found:
        data = sock.recv(65536)
        assert data, found
        found += data
    return found


# The examples of the documents, with addresses that exist


@pytest.mark.row("SAD-ASYNC-01", "SAD-ASYNC-02", "SAD-ASYNC-04", "SAD-ASYNC-05", "SAD-ASYNC-08", "SAD-ASYNC-10")
def test_two_requests_in_one_response(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    def response_handler(resp, proxy):
        if resp.status_code == 200:
            proxy[resp.reqid] = f"<div>{resp.text}</div>"
        else:
            proxy[resp.reqid] = f"<div>Error in {resp.reqid}</div>"

        if proxy.fetched_all():
            assert proxy["other"] is None
            # just join response data
            proxy.done(proxy["skitai"] + "<hr>" + proxy["aquests"])

    @app.route("/aresponse_example")
    def aresponse_example(was):
        proxy = was.aresponse(response_handler)
        proxy.get("skitai", service.url("pypi/skitai"))
        proxy.get("aquests", service.url("error/aquests"))
        return proxy

    answer = visit(app).get("/aresponse_example")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.text == "<div>GET pypi/skitai</div><hr><div>Error in aquests</div>"


@pytest.mark.row("SAD-ASYNC-09", "SAD-ASYNC-12", "SAD-ASYNC-13")
def test_meta_and_fields(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    def response_handler(response, proxy):
        due = time.time() - response.meta["created"]
        proxy.push(response.content)
        proxy.push("\n\nFetch in %2.3f seconds" % due)  # noqa: UP031
        proxy.done()  # Should call

    @app.route("/aresponse_example")
    def aresponse_example(was):
        proxy = was.aresponse(response_handler)
        proxy.get("req-0", service.url(), meta={"created": time.time()})
        return was.response("200 OK", proxy, [("Content-Type", "text/plain")])

    answer = visit(app).get("/aresponse_example")
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.text.startswith("GET \n\nFetch in 0.")


def test_requests_to_redis(app: Saddle, redis_address: servers.Address, visit: Callable[..., Client]) -> None:
    the_was.redis(redis_address.where, "", redis_address.auth).set("greeting", "hello").wait(5)

    def response_handler(response, proxy):
        proxy[response.reqid] = str(response.data)
        if proxy.fetched_all():
            proxy.done(proxy["one"] + " " + proxy["several"])

    @app.route("/redis")
    def ask(was):
        proxy = was.aresponse(response_handler)
        proxy.redis("one", redis_address.where, "", redis_address.auth).get("greeting")
        pipeline = proxy.redis("several", redis_address.where, "", redis_address.auth).pipeline()
        pipeline.get("greeting").strlen("greeting").execute()
        return proxy

    assert visit(app).get("/redis").text == "hello ['hello', 5]"


@pytest.mark.row("SAD-ASYNC-03")
def test_a_request_without_a_name(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    def response_handler(response, proxy):
        assert response.reqid is None
        proxy.done(response.content)

    @app.route("/index")
    def aresponse_example(was):
        proxy = was.aresponse(response_handler)
        proxy.get(None, service.url("pypi/skitai"))
        return proxy

    assert visit(app).get("/index").text == "GET pypi/skitai"


# Templates


@pytest.fixture
def templates(app: Saddle, tmp_path: Path) -> Saddle:
    """The app, with the templates of the documents and some more."""
    files = {
        "skitai.html": "<div>{{ r.url }} </div> \n<div>{{ r.text }}</div>",
        "aquests.html": "<div>{{ r.url }} </div> \n<div>{{ r.text }}</div>",
        "example.html": "<div>{{ skitai }}</div>\n<hr>\n<div>{{ aquests }}</div>",
        "page.html": "{{ was.request.args.name }} {{ was.g.name }} {{ was.ab('index', 'x') }} {{ was.app.debug }} "
        "{{ was.cookie.colour }} {{ text }}",
        "plain.txt": "{{ x }}",
        "late.html": "{{ was.cookie.set('colour', 'red') }}",
        "calls.html": "{{ was.get('http://127.0.0.1/') }}",
    }
    for name, text in files.items():
        (tmp_path / "templates").mkdir(exist_ok=True)
        (tmp_path / "templates" / name).write_text(text)
    app.home = str(tmp_path)
    return app


@pytest.mark.row("SAD-ASYNC-06", "SAD-ASYNC-07")
@pytest.mark.parametrize("join", [False, True])
def test_the_templates_of_the_documents(
    templates: Saddle, service: Service, visit: Callable[..., Client], join: bool
) -> None:
    def response_handler(resp, proxy):
        if resp.status_code == 200:
            proxy[resp.reqid] = proxy.render("%s.html" % resp.reqid, r=resp)  # noqa: UP031
        else:
            proxy[resp.reqid] = "<div>Error in %s</div>" % resp.reqid  # noqa: UP031

        if proxy.fetched_all():
            if join:
                # or just join response data
                proxy.done(proxy["skitai"] + "<hr>" + proxy["aquests"])
            proxy.done(proxy.render_all("example.html"))

    @templates.route("/aresponse_example")
    def aresponse_example(was):
        proxy = was.aresponse(response_handler)
        proxy.get("skitai", service.url("skitai"))
        proxy.get("aquests", service.url("aquests"))
        return proxy

    first, second = (f"<div>{service.url(name)} </div> \n<div>GET {name}</div>" for name in ("skitai", "aquests"))
    together = f"{first}<hr>{second}" if join else f"<div>{first}</div>\n<hr>\n<div>{second}</div>"
    assert visit(templates).get("/aresponse_example").text == together


@pytest.mark.row("SAD-ASYNC-07")
def test_parts_that_no_template_made_are_escaped(templates: Saddle, service: Service) -> None:
    @templates.route("/")
    def index(was):
        proxy = was.aresponse(lambda resp, proxy: proxy.done(proxy.render_all("example.html")))
        proxy.get("one", service.url())
        proxy["skitai"] = "<script>"
        proxy["aquests"] = proxy.render("plain.txt", x="<b>")
        return proxy

    text = templates.test_client().get("/").text
    assert text == "<div>&lt;script&gt;</div>\n<hr>\n<div>&lt;b&gt;</div>"


@pytest.mark.row("SAD-ASYNC-06", "SAD-ASYNC-11")
def test_was_in_templates(templates: Saddle, service: Service, visit: Callable[..., Client], written: Any) -> None:
    @templates.route("/<name>")
    def index(was, name, template="page.html"):
        was.g.name = name.upper()
        proxy = was.aresponse(lambda resp, proxy: proxy.done(proxy.render(template, {"text": resp.text})))
        proxy.get("one", service.url("x"))
        return proxy

    client = visit(templates)
    cookie = {"Cookie": "colour=blue"}
    assert client.get("/oslo", headers=cookie).text == "oslo OSLO /x False blue GET x"
    for template in ("late.html", "calls.html"):
        assert "The response is not complete" in client.get(f"/oslo?template={template}", headers=cookie).text
    assert "comes too late" in written.app
    assert "start requests with proxy.get(reqid, ...)" in written.app


# What is sent


@pytest.mark.row("SAD-ASYNC-01")
@pytest.mark.parametrize("pushed", [[], ["a"], [b"a", "ä"]])
def test_prolog_and_epilog(
    app: Saddle, service: Service, visit: Callable[..., Client], pushed: list[str | bytes]
) -> None:
    def handler(response, proxy):
        for each in pushed:
            proxy.push(each)
        proxy.done("!")

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler, "<html>", b"</html>")
        proxy.get("one", service.url())
        return proxy

    middle = "".join(each.decode() if isinstance(each, bytes) else each for each in pushed)
    assert visit(app).get("/").text == f"<html>{middle}!</html>"


@pytest.mark.row("SAD-ASYNC-09", "SAD-ASYNC-10")
def test_what_comes_after_the_end_is_ignored(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    def handler(response, proxy):
        proxy.push("first")
        proxy.done()
        proxy.push("late")
        proxy.done("late")

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler, epilog=".")
        proxy.get("one", service.url())
        return proxy

    assert visit(app).get("/").text == "first."


def test_done_without_anything(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done(), "<", ">")
        proxy.get("one", service.url())
        return proxy

    assert visit(app).get("/").text == "<>"


@pytest.mark.row("SAD-ASYNC-01")
def test_inside_a_list(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    @app.route("/")
    def index(was):
        proxies = [was.aresponse(lambda response, proxy: proxy.done(response.text)) for _ in range(2)]
        for number, proxy in enumerate(proxies):
            proxy.get(None, service.url(str(number)))
        return ["<html>", proxies[0], "<hr>", proxies[1], "</html>"]

    assert visit(app).get("/").text == "<html>GET 0<hr>GET 1</html>"


def test_what_the_function_pushes_itself_comes_first(
    app: Saddle, service: Service, visit: Callable[..., Client]
) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done(response.text), "prolog ")
        proxy.get("one", service.url())
        proxy.push("x" * 3 * MOST_WAITING)
        gevent.sleep(0.05)  # the result is there before the response has begun
        proxy.push(" ")
        return proxy

    assert visit(app).get("/").text == "prolog " + "x" * 3 * MOST_WAITING + " GET "


def test_parts_arrive_when_they_are_pushed(app: Saddle, service: Service, run: Callable[..., Any]) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.push(response.text) or proxy.done("."))
        proxy.push("at once")
        proxy.get("one", service.url("wait"))
        return was.response("200 OK", proxy, [("X-Mark", "1")])

    sock = connect(run({"/": app}).port, b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    head = read_until(sock, b"at once\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Encoding" not in head
    service.go.set()
    assert read_until(sock, b"0\r\n\r\n") == b"9\r\nGET wait.\r\n0\r\n\r\n"
    sock.close()


def test_the_head_goes_out_before_there_is_a_result(app: Saddle, service: Service, run: Callable[..., Any]) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done(response.text))
        proxy.get("one", service.url("wait"))
        return proxy

    sock = connect(run({"/": app}).port, b"GET / HTTP/1.0\r\n\r\n")
    assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    service.go.set()
    assert read_all(sock) == b"GET wait"
    sock.close()


def test_head_has_no_body(app: Saddle, service: Service, visit: Callable[..., Client], until: Until) -> None:
    handled = []

    def handler(response, proxy):
        proxy.done("body")
        handled.append(response.text)

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler)
        proxy.get("one", service.url("x"))
        return proxy

    answer = visit(app).head("/")
    assert (answer.status, answer.content) == (200, b"")
    until(lambda: handled == ["GET x"])


@pytest.mark.parametrize("content", [7, ["a"], {"a": 1}, object()])
def test_what_cannot_be_pushed(app: Saddle, service: Service, written: Any, content: Any) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.push(content))
        proxy.get("one", service.url())
        return proxy

    assert "The response is not complete" in app.test_client().get("/").text
    assert "a part of a response is str or bytes" in written.app


# Requests


@pytest.mark.row("SAD-ASYNC-02")
@pytest.mark.parametrize("name", ["get", "delete", "options", "post", "postjson", "postform", "put", "patch", "upload"])
def test_services(app: Saddle, service: Service, name: str) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done(response.method + ": " + response.text))
        getattr(proxy, name)("one", service.url("x"), {"a": "b"})
        return proxy

    found = app.test_client().get("/").text
    method = name.upper() if name in ("get", "delete", "options", "put", "patch") else "POST"
    assert found.startswith(f"{method}: {method} x")


@pytest.mark.row("SAD-ASYNC-02")
def test_a_member_of_a_cluster(
    app: Saddle, service: Service, visit: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "definitions", dict(clusters.definitions))
    clusters.define("async-members", "http", [f"127.0.0.1:{service.port}"])

    @app.route("/")
    def index(was):
        def handler(response, proxy):
            proxy[response.reqid] = response.text
            if proxy.fetched_all():
                proxy.done(f"{proxy['one']}, {proxy['two']}")

        proxy = was.aresponse(handler)
        proxy.get("one", "@async-members/x")
        proxy.post.lb("two", "@async-members/y", "body")
        return proxy

    assert visit(app).get("/").text == "GET x, POST y body"


@pytest.mark.row("SAD-ASYNC-02")
def test_xml_rpc(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    @app.route("/")
    def index(was):
        def handler(response, proxy):
            proxy.push(f"{response.reqid}={response.data} ")
            if proxy.fetched_all():
                proxy.done()

        proxy = was.aresponse(handler)
        stub = proxy.rpc("sum", service.url())
        assert proxy.fetched_all()  # a stub is no request
        stub.add(1, 2)
        assert not proxy.fetched_all()
        stub.add(3, 4)
        return proxy

    assert sorted(visit(app).get("/").text.split()) == ["sum=3", "sum=7"]


@pytest.mark.row("SAD-ASYNC-03")
@pytest.mark.parametrize("reqid", ["req-0", "1a", "", "a b", "class"])
def test_names_that_no_template_can_use_are_logged(
    app: Saddle, service: Service, reqid: str, written: Any, tmp_path: Path
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "all.html").write_text("{{ good }}")
    app.home = str(tmp_path)

    def response_handler(response, proxy):
        proxy[response.reqid] = response.reqid
        if proxy.fetched_all():
            proxy.done(proxy[reqid] + "/" + proxy.render_all("all.html"))

    @app.route("/")
    def index(was):
        proxy = was.aresponse(response_handler)
        proxy.get(reqid, service.url())
        proxy.get("good", service.url())
        return proxy

    assert app.test_client().get("/").text == f"{reqid}/good"
    assert f"reqid {reqid!r} is no Python identifier" in written.app
    assert "'good'" not in written.app


@pytest.mark.parametrize("reqid", [7, b"a"])
def test_names_that_are_no_text(app: Saddle, service: Service, reqid: Any) -> None:
    @app.route("/")
    def index(was):
        with pytest.raises(TypeError, match="a reqid is a str or None"):
            was.aresponse(print).get(reqid, service.url())
        return "refused"

    assert app.test_client().get("/").text == "refused"
    assert service.seen == []


@pytest.mark.row("SAD-ASYNC-12")
def test_the_reserved_name_of_meta(app: Saddle, service: Service) -> None:
    metas = []

    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: metas.append(response.meta) or proxy.done("sent"))
        with pytest.raises(ValueError, match="__reqid"):
            proxy.get("one", service.url(), meta={"__reqid": "two"})
        mine = {"created": 1}
        proxy.get("one", service.url(), meta=mine)
        assert mine == {"created": 1}
        return proxy

    assert app.test_client().get("/").text == "sent"
    assert metas == [{"created": 1, "__reqid": "one"}]


@pytest.mark.row("SAD-ASYNC-15", "MAP-06")
def test_no_map(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(print)
        for each in ("get", "post", "rpc"):
            with pytest.raises(AttributeError, match="Map-Reduce"):
                getattr(proxy, each).map("one", "@members/")
        return "refused"

    assert visit(app).get("/").text == "refused"


def test_a_callback_of_ones_own(app: Saddle, service: Service) -> None:
    @app.route("/")
    def index(was):
        with pytest.raises(TypeError, match="callback"):
            was.aresponse(print).get("one", service.url(), callback=print)
        with pytest.raises(TypeError, match="response handler"):
            was.aresponse("handler")
        with pytest.raises(RuntimeError, match="callback"):
            was.aresponse(print).get("one", service.url()).getwait()
        return "refused"

    assert app.test_client().get("/").text == "refused"


def test_a_handler_may_start_more(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    def handler(response, proxy):
        join(proxy, response)
        if response.reqid == "first":
            proxy.get("second", service.url(response.text.replace(" ", "-")))
        if proxy.fetched_all():
            proxy.done(proxy["second"])

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler)
        proxy.get("first", service.url("x"))
        return proxy

    assert visit(app).get("/").text == "GET GET-x"


@pytest.mark.row("TXN-03")
def test_transactions_over_three_hops(app: Saddle, service: Service, run: Callable[..., Any]) -> None:
    middle, arrived = Saddle("middle"), []

    @middle.route("/<path:path>")
    def pass_on(was, path):
        arrived.append(was.txnid())
        calls = [was.get(service.url(path)) for _ in range(2)]
        return [call.getwait(5).text for call in calls]

    middle_port = run({"/": middle}).port

    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done(was.txnid()) if proxy.fetched_all() else None)
        proxy.get("one", f"http://127.0.0.1:{middle_port}/1")
        proxy.get("two", f"http://127.0.0.1:{middle_port}/2")
        return proxy

    answer = app.test_client().get("/", headers={"X-Gtxn-Id": "GTID-C4676-R67"})
    assert answer.text == "GTID-C4676-R67/1000"
    assert sorted(arrived) == ["GTID-C4676-R67/2001", "GTID-C4676-R67/2002"]
    assert sorted(service.transactions) == ["3002", "3003", "3003", "3004"]


# The handler


@pytest.mark.row("SAD-ASYNC-04")
def test_failed_requests_come_as_well(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]

    def handler(response, proxy):
        proxy[response.reqid] = f"{response.status} {response.code}"
        if proxy.fetched_all():
            proxy.done("; ".join(proxy[name] for name in ("refused", "silent", "wrong", "fine")))

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler)
        proxy.get("refused", f"http://127.0.0.1:{nobody}/")
        proxy.get("silent", service.url("never"), timeout=0.2)
        proxy.get("wrong", "http://:::/")
        proxy.get("fine", service.url("error"))
        return proxy

    assert visit(app).get("/").text == "2 714; 2 702; 2 731; 3 500"


@pytest.mark.row("SAD-ASYNC-04", "SAD-ASYNC-08")
def test_handlers_run_one_at_a_time(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    running, most, complete = [], [], []

    def handler(response, proxy):
        running.append(response.reqid)
        most.append(len(running))
        gevent.sleep(0.002)
        complete.append(proxy.fetched_all())
        running.clear()
        if complete[-1]:
            proxy.done("all")

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler)
        assert proxy.fetched_all()
        for number in range(10):
            proxy.get(f"r{number}", service.url(str(number)))
        assert not proxy.fetched_all()
        return proxy

    assert visit(app).get("/").text == "all"
    assert most == [1] * 10
    assert complete == [False] * 9 + [True]


@pytest.mark.row("SAD-ASYNC-16")
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, SystemExit])
def test_an_error_of_the_handler(
    app: Saddle, service: Service, visit: Callable[..., Client], written: Any, error: type[BaseException]
) -> None:
    def handler(response, proxy):
        proxy.push("<p>half")
        raise error("<secret>")

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler, "<html>", "</html>")
        proxy.get("one", service.url())
        return proxy

    client = visit(app)
    answer = client.get("/")
    assert answer.status == 200
    assert answer.text.startswith("<html><p>half<div ")
    assert answer.text.endswith("</div></html>")
    assert "The response is not complete. The error was logged under GTID-C" in answer.text
    assert "secret" not in answer.text
    assert error.__name__ in written.app
    assert "&lt;secret" not in written.app
    assert client.get("/").status == 200


@pytest.mark.row("SAD-ASYNC-16")
def test_in_debug_mode_the_box_has_the_traceback(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    def handler(response, proxy):
        raise ZeroDivisionError("<secret>")

    @app.route("/")
    def index(was, kind="text/html"):
        proxy = was.aresponse(handler)
        proxy.get("one", service.url())
        return was.response("200 OK", proxy, [("Content-Type", kind)])

    app.debug = True
    client = visit(app)
    assert "ZeroDivisionError: &lt;secret&gt;\n</pre></div>" in client.get("/").text
    assert "ZeroDivisionError: <secret>\n" in client.get("/?kind=text/plain").text


def test_a_handler_that_forgets_to_end_the_response(
    app: Saddle, service: Service, visit: Callable[..., Client], written: Any
) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.push("half "), timeout=0.05)
        proxy.get("one", service.url())
        return proxy

    assert "half <div" in visit(app).get("/").text
    assert "its handler did not call proxy.done()" in written.app


def test_the_time_for_that_begins_when_no_request_is_under_way(
    app: Saddle, service: Service, visit: Callable[..., Client]
) -> None:
    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: gevent.sleep(0.1) or proxy.done(response.text), timeout=0.02)
        proxy.get("one", service.url("wait"))
        gevent.spawn_later(0.1, service.go.set)
        return proxy

    assert visit(app).get("/").text == "GET wait"


@pytest.mark.parametrize("timeout", [60, None])
def test_another_greenlet_may_push(app: Saddle, visit: Callable[..., Client], timeout: float | None) -> None:
    def write(proxy):
        for number in range(3):
            gevent.sleep(0.001)
            proxy.push(f"{number} ")
        proxy.done("end")

    @app.route("/")
    def index(was):
        proxy = was.aresponse(print, timeout=timeout)
        gevent.spawn(write, proxy)
        return proxy

    assert visit(app).get("/").text == "0 1 2 end"


def test_a_function_that_fails_after_it_started_requests(
    app: Saddle, service: Service, visit: Callable[..., Client], until: Until
) -> None:
    handled = []

    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: handled.append(1))
        proxy.get("one", service.url())
        raise KeyError("failed")

    assert visit(app).get("/").status == 500
    until(lambda: service.seen)
    gevent.sleep(0.01)
    assert handled == []


# What was is meanwhile


@pytest.mark.row("SAD-ASYNC-11")
def test_was_in_a_handler(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    found: dict[str, Any] = {}
    app.securekey = "secret-key-of-the-test"

    def attempt(change: Callable[[], object]) -> str:
        try:
            change()
        except Exception as error:
            return type(error).__name__
        return "allowed"

    def handler(response, proxy):
        was = the_was
        found["same"] = was.request.args.name, was.g.name, was.app is app, was.ab("index", "x"), was.txnid() != ""
        found["read"] = was.cookie.get("colour"), was.session.get("user"), was.mbox.get()
        found["late"] = [
            attempt(change)
            for change in (
                lambda: was.cookie.set("colour", "red"),
                lambda: was.session.set("user", "other"),
                lambda: was.mbox.send("hello", "info"),
                lambda: was.response.set_header("X-Late", "1"),
                lambda: was.get(service.url()),
                lambda: was.rpc(service.url()),
                lambda: was.postgresql("@db"),
            )
        ]
        proxy.done("done")

    @app.route("/login")
    def login(was):
        was.session.set("user", "hans")
        was.cookie.set("colour", "blue")
        return "in"

    @app.route("/page/<name>")
    def index(was, name):
        was.g.name = name.upper()
        was.cookie.set("seen", "yes")
        proxy = was.aresponse(handler)
        proxy.get("one", service.url())
        return proxy

    client = visit(app)
    client.get("/login")
    answer = client.get("/page/oslo")
    assert answer.text == "done"
    assert "seen=yes" in answer.headers["Set-Cookie"]
    assert found["same"] == ("oslo", "OSLO", True, "/page/x", True)
    assert found["read"] == ("blue", "hans", [])
    assert found["late"] == ["RuntimeError"] * 7
    assert len(service.seen) == 1
    assert client.get("/login").text == "in"


def test_each_handler_has_the_was_of_its_own_request(app: Saddle, service: Service, run: Callable[..., Any]) -> None:
    def handler(response, proxy):
        before = the_was.request.args.number
        gevent.sleep(0.001)
        proxy.done(f"{before} {the_was.request.args.number} {response.text}")

    @app.route("/<int:number>")
    def index(was, number):
        proxy = was.aresponse(handler)
        proxy.get("one", service.url(str(number)))
        return proxy

    running = run({"/": app})
    asked = [gevent.spawn(running.request, "GET", f"/{number}", [("Host", "a")]) for number in range(30)]
    found = [each.get().content.decode() for each in asked]
    assert found == [f"{number} {number} GET {number}" for number in range(30)]


def test_the_request_ends_with_the_response(app: Saddle, service: Service, visit: Callable[..., Client]) -> None:
    events = []

    def handler(response, proxy):
        events.append("handled")
        the_was.at_end(lambda: events.append("later"))
        proxy.done("x")

    @app.route("/")
    def index(was):
        was.at_end(lambda: events.append("ended"))
        proxy = was.aresponse(handler)
        proxy.get("one", service.url())
        return proxy

    assert visit(app).get("/").text == "x"
    assert events == ["handled", "ended", "later"]


# Slots, clients and their pace


@pytest.mark.row("SAD-ASYNC-01")
def test_the_slot_is_free_while_the_response_streams(app: Saddle, service: Service, run: Callable[..., Any]) -> None:
    @app.route("/slow")
    def slow(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done(response.text))
        proxy.get("one", service.url("wait"))
        return proxy

    @app.route("/quick")
    def quick(was):
        return "quick"

    running = run({"/": app}, threads=1)
    waiting = [gevent.spawn(running.request, "GET", "/slow", [("Host", "a")]) for _ in range(5)]
    assert running.request("GET", "/quick", [("Host", "a")]).content == b"quick"
    assert not any(each.ready() for each in waiting)
    service.go.set()
    assert [each.get().content for each in waiting] == [b"GET wait"] * 5
    assert running.request("GET", "/quick", [("Host", "a")]).content == b"quick"


@pytest.mark.row("SAD-ASYNC-14")
@pytest.mark.parametrize("threads", [0, 1, 1000])
def test_in_every_mode(app: Saddle, run: Callable[..., Any], threads: int) -> None:
    """The requests go to the server that waits for them: with one slot it must be free again."""
    port = []

    @app.route("/data/<int:number>")
    def data(was, number):
        return str(number)

    @app.route("/")
    def index(was):
        def handler(response, proxy):
            join(proxy, response)
            if proxy.fetched_all():
                proxy.done(proxy["one"] + proxy["two"])

        proxy = was.aresponse(handler)
        proxy.get("one", f"http://127.0.0.1:{port[0]}/data/1")
        proxy.get("two", f"http://127.0.0.1:{port[0]}/data/2")
        return proxy

    running = run({"/": app}, threads=threads)
    port.append(running.port)
    assert running.request("GET", "/", [("Host", "a")]).content == b"12"


def test_a_slow_client_slows_the_handler_down(
    app: Saddle, service: Service, run: Callable[..., Any], until: Until
) -> None:
    piece, count, pushed, proxies = b"x" * 65536, 400, [], []

    def handler(response, proxy):
        proxies.append(proxy)
        for _ in range(count):
            proxy.push(piece)
            pushed.append(1)
        proxy.done()

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler)
        proxy.get("one", service.url())
        return proxy

    running = run({"/": app})
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.connect(("127.0.0.1", running.port))
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")

    def has_stalled() -> bool:
        before = len(pushed)
        gevent.sleep(0.05)
        return bool(proxies) and before == len(pushed)

    until(has_stalled)
    assert len(pushed) < count / 2
    assert proxies[0]._size < MOST_WAITING + 2 * len(piece)
    body = read_all(sock).partition(b"\r\n\r\n")[2]
    assert len(body) == count * len(piece)
    assert len(pushed) == count
    sock.close()


def test_a_client_that_stops_reading_is_left(
    app: Saddle, service: Service, run: Callable[..., Any], until: Until, written: Any
) -> None:
    ended = []

    def handler(response, proxy):
        for _ in range(400):
            proxy.push(b"x" * 65536)
        ended.append("handler")

    @app.route("/")
    def index(was):
        was.at_end(lambda: ended.append("response"))
        proxy = was.aresponse(handler)
        proxy.get("one", service.url())
        return proxy

    sock = connect(run({"/": app}, limits={"write_time": 0.2}).port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: len(ended) == 2)
    assert sorted(ended) == ["handler", "response"]
    assert "Error" not in written.app
    sock.close()


@pytest.mark.row("SAD-ASYNC-17")
@pytest.mark.parametrize("pushes", [1, 100])
def test_a_client_that_goes_away(
    app: Saddle, service: Service, run: Callable[..., Any], until: Until, written: Any, pushes: int
) -> None:
    events: list[str] = []

    def handler(response, proxy):
        for _ in range(pushes):
            proxy.push("x" * 65536)
        events.append(f"{response.reqid} {response.text}")
        if proxy.fetched_all():
            proxy.done("end")

    @app.route("/")
    def index(was):
        was.at_end(lambda: events.append("ended"))
        proxy = was.aresponse(handler)
        for name in ("one", "two", "three"):
            proxy.get(name, service.url(f"wait/{name}"))
        return proxy

    running = run({"/": app})
    sock = connect(running.port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    read_until(sock, b"\r\n\r\n")
    until(lambda: len(service.seen) == 3)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    service.go.set()
    until(lambda: len(events) == 4)
    assert sorted(events) == ["ended", "one GET wait/one", "three GET wait/three", "two GET wait/two"]
    assert written.app == ""
    assert running.request("GET", "/", [("Host", "a")]).content.endswith(b"xend")


@pytest.mark.row("SAD-ASYNC-17")
def test_a_client_of_the_test_client_that_goes_away(app: Saddle, service: Service, until: Until, written: Any) -> None:
    handled = []

    def handler(response, proxy):
        proxy.push("x" * 100)
        handled.append(response.reqid)

    @app.route("/")
    def index(was):
        proxy = was.aresponse(handler)
        proxy.get("one", service.url())
        proxy.get("two", service.url("wait"))
        return proxy

    answer = app.test_client().get("/", patience=50)
    assert answer.exchange.is_aborted
    service.go.set()
    until(lambda: len(handled) == 2)
    assert written.app == ""


def test_its_state_can_be_seen(app: Saddle, service: Service) -> None:
    found = []

    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.push("abc") or found.append(repr(proxy)) or proxy.done())
        proxy.get("one", service.url())
        found.append(repr(proxy))
        found.append(repr(proxy.get))
        return proxy

    app.test_client().get("/")
    assert found == [
        "<ResProxy new, 0 of 1 responses, 0 bytes waiting>",
        "<<was.get> of <ResProxy new, 0 of 1 responses, 0 bytes waiting>>",
        "<ResProxy open, 1 of 1 responses, 3 bytes waiting>",
    ]


def test_nothing_of_an_ended_response_is_kept(app: Saddle, service: Service, run: Callable[..., Any]) -> None:
    import gc
    import weakref

    proxies: list[weakref.ref[ResProxy]] = []

    @app.route("/")
    def index(was):
        proxy = was.aresponse(lambda response, proxy: proxy.done("x"))
        proxies.append(weakref.ref(proxy))
        proxy.get("one", service.url())
        return proxy

    running = run({"/": app})
    for _ in range(3):
        assert running.request("GET", "/", [("Host", "a")]).content == b"x"
    gevent.sleep(0.01)
    gc.collect()
    assert [each() for each in proxies] == [None] * 3
