"""``skitai.run(threads=0)`` with Saddle: nobody waits in an app, and apps call services all the same."""

from __future__ import annotations

import json

import gevent
import pytest

from tests.scripts import Script, Workplace

APP = """
import gevent
import skitai
from skitai import was as the_was
from skitai.saddle import Saddle

app = Saddle(__name__)
app.debug = True
running = []
called_back = []


def own(was, path):
    return "http://127.0.0.1:%s%s" % (was.env["SERVER_PORT"], path)


def attempt(call):
    try:
        call()
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)
    return "allowed"


@app.route("/data/<name>")
def data(was, name):
    return name


@app.route("/refused")
def refused(was):
    url, proxy = own(was, "/data/x"), was.aresponse(print)
    calls = [
        lambda: was.get(url), lambda: was.get.map("@members/"), lambda: was.rpc(url).add(1),
        lambda: proxy.get.map("one", "@members/"), lambda: was.get(url, callback=called_back.append),
    ]
    return was.jstream([attempt(call) for call in calls])


@app.route("/called-back")
def called(was):
    return was.jstream([result.text for result in called_back])


@app.route("/page")
def page(was):
    def response_handler(response, proxy):
        proxy[response.reqid] = response.text
        if proxy.fetched_all():
            proxy.done("%s %s" % (proxy["one"], proxy["two"]))

    proxy = was.aresponse(response_handler)
    proxy.get("one", own(was, "/data/1"))
    proxy.get("two", own(was, "/data/2"))
    return proxy


@app.route("/one-at-a-time")
def one(was):
    running.append(1)
    most = len(running)
    gevent.sleep(0.02)
    running.pop()
    return str(most)


@app.route("/mode")
def mode(was):
    keys = "wsgi.multithread", "skitai.thread"
    return was.jstream([was.env[key] for key in keys] + [was.wasc.numthreads, the_was.wasc.single_threaded])


if __name__ == "__main__":
    skitai.alias("@members", skitai.PROTO_HTTP, ["127.0.0.1:1", "127.0.0.1:2"])
    skitai.mount("/", app)
    skitai.run(port=0, threads=0)
"""


@pytest.fixture
def script(workplace: Workplace) -> Script:
    return workplace.serve(APP)


@pytest.mark.row("RUN-06", "RUN-07", "MAP-06")
def test_waiting_and_maps_are_refused_and_callbacks_are_not(script: Script) -> None:
    assert json.loads(script.get("/refused").text) == [
        "RuntimeError: Should have callback in Main thread",
        "AttributeError: Cannot use Map-Reduce with Single Thread",
        "RuntimeError: Should have callback in Main thread",
        "AttributeError: Cannot use Map-Reduce with async response",
        "allowed",
    ]
    with gevent.Timeout(60):
        while json.loads(script.get("/called-back").text) != ["x"]:
            gevent.sleep(0.01)


@pytest.mark.row("RUN-07", "SAD-ASYNC-14")
def test_an_async_response_uses_services_even_of_its_own_server(script: Script) -> None:
    assert script.get("/page").text == "1 2"
    assert script.port
    asked = [gevent.spawn(script.get, "/page") for _ in range(10)]
    with gevent.Timeout(60):
        assert [each.get().text for each in asked] == ["1 2"] * 10


@pytest.mark.row("RUN-06")
def test_one_handler_at_a_time(script: Script) -> None:
    assert script.port
    asked = [gevent.spawn(script.get, "/one-at-a-time") for _ in range(5)]
    with gevent.Timeout(60):
        assert [each.get().text for each in asked] == ["1"] * 5


@pytest.mark.row("RUN-06")
def test_apps_see_the_mode(script: Script) -> None:
    assert json.loads(script.get("/mode").text) == [False, 0, 0, True]
