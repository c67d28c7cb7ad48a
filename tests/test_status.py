"""``was.status()``, ``was.restart()`` and ``was.shutdown()`` over real processes, in any framework."""

from __future__ import annotations

import json
from signal import SIGTERM

import gevent
import pytest

from skitai import was
from skitai.errors import LaunchError
from tests.scripts import PATIENCE, children

SERVER = """
import os, gevent
from skitai import was

def app(env, start_response):
    path = env["PATH_INFO"]
    if path == "/restart":
        was.restart()
        gevent.sleep(0.3)
    elif path == "/shutdown":
        was.shutdown()
        gevent.sleep(0.3)
    elif path == "/again":
        was.shutdown()
        was.shutdown()
    elif path == "/thread":
        gevent.get_hub().threadpool.apply(was.wasc.shutdown)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["the response of %d" % os.getpid()]

if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.run(port=0{more})
"""


@pytest.mark.row("UTIL-01")
def test_status_of_a_server(workplace) -> None:
    script = workplace.serve(
        """
        import json
        from skitai import was

        class Pool:
            def __repr__(self):
                return "<script>alert(1)</script>"

        def app(env, start_response):
            was.wasc.unregister("pool") if hasattr(was, "pool") else None
            was.wasc.register("pool", Pool())
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            if env["PATH_INFO"] == "/dict":
                return [json.dumps(was.status(fancy=False))]
            if env["PATH_INFO"] == "/some":
                some = was.status("rcache", False), was.status(["apps", "nope"], fancy=False)
                return [json.dumps([list(each) for each in some])]
            return [was.status()]

        import skitai
        skitai.alias("@search", skitai.PROTO_HTTP, ["127.0.0.1:5000 2", "127.0.0.1:5001"])
        skitai.alias("@db", skitai.DB_PGSQL, "127.0.0.1/name/joe/a-hidden-password")
        skitai.mount("/", app)
        skitai.run(port=0, gw_secret_key="the-hidden-key")
        """,
        MY_SECRET_KEY="hidden-in-the-environment",
        MARKUP="<b>bold</b>",
        DATABASE_URL="postgres://joe:hidden-in-a-url@db/x",
    )
    page = script.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!DOCTYPE html>")
    assert "hidden" not in page.text
    assert "&lt;b&gt;bold&lt;/b&gt;" in page.text
    assert "<script>" not in page.text
    facts = was.fromjson(script.get("/dict").text)
    assert {"server", "apps", "process", "clusters", "connections", "rcache", "environ", "request"} <= set(facts)
    assert (facts["server"]["requests"], facts["server"]["slots busy"], facts["server"]["slots"]) == (2, 1, 1000)
    assert facts["apps"]["default"]["/"]["name"] == "app"
    assert facts["clusters"]["@search"]["members"] == {
        "127.0.0.1:5000 x2": "0 in flight, 0 failures",
        "127.0.0.1:5001": "0 in flight, 0 failures",
    }
    assert facts["environ"]["MY_SECRET_KEY"] == "********"
    assert facts["registered"] == {"was.pool": "Pool"}
    assert facts["request"]["path"] == "/dict"
    assert script.get("/some").text == '[["rcache"], ["apps"]]'
    assert script.stop() == 0


@pytest.mark.row("UTIL-01")
def test_status_without_a_server() -> None:
    facts = was.status(fancy=False)
    assert facts["request"] == {}
    assert facts["rcache"]["at most"] > 0


def test_there_is_no_page_by_itself(workplace) -> None:
    script = workplace.serve(SERVER.format(more=""))
    for path in ("/status", "/skitai/status", "/server-status"):
        assert script.get(path).text.startswith("the response of ")


FRAMEWORKS = """
import os
from flask import Flask
from skitai import was
from skitai.saddle import Saddle


class Message:
    data = b""

    def SerializeToString(self):
        return self.data

    def ParseFromString(self, data):
        self.data = data


def use(name):
    if "UTILITY" in os.environ:
        getattr(was, os.environ["UTILITY"])()
    document = was.toxml((name,))
    was.log(f"a line of {name}", "note")
    try:
        1 / 0
    except ZeroDivisionError:
        was.traceback(name)
    return was.tojson(
        [
            was.fromjson(was.tojson([name])),
            was.fromxml(document),
            was.togrpc(was.fromgrpc(Message(), b"message")).decode(),
            was.status("request", fancy=False)["request"]["path"],
            was.status().startswith("<!"),
        ]
    )


flask, saddle = Flask(__name__), Saddle(__name__)
flask.get("/")(lambda: use("flask"))
saddle.route("/")(lambda own: use("saddle"))


def plain(env, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [use("plain").encode()]


if __name__ == "__main__":
    import skitai

    for name in ("flask", "saddle", "plain"):
        skitai.mount(f"/{name}", globals()[name])
    skitai.run(port=0, workers=0)
"""


@pytest.mark.row("UTIL-10")
def test_utilities_in_every_framework(workplace) -> None:
    script = workplace.serve(FRAMEWORKS)
    for name in ("flask", "saddle", "plain"):
        answer = script.get(f"/{name}/")
        assert json.loads(answer.text) == [[name], [[name], None], "message", f"/{name}/", True], name
        script.line(rf"\[note:\S+\] a line of {name}")
        script.line(rf"\[expt:{name}\] <class 'ZeroDivisionError'>")
    assert script.stop() == 0


@pytest.mark.row("UTIL-10")
@pytest.mark.parametrize("kind", ["flask", "saddle"])
@pytest.mark.parametrize(("utility", "code"), [("shutdown", 0), ("restart", 3)])
def test_restart_and_shutdown_in_every_framework(workplace, kind: str, utility: str, code: int) -> None:
    script = workplace.serve(FRAMEWORKS, UTILITY=utility)
    assert json.loads(script.get(f"/{kind}/").text)[0] == [kind]
    assert script.end() == code


@pytest.mark.row("UTIL-08")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("path", ["/shutdown", "/again", "/thread"])
def test_shutdown_stops_the_whole_server_of_one_worker(workplace, workers: int, path: str) -> None:
    script = workplace.serve(SERVER.format(more=f", workers={workers}"))
    answer = script.get(path)
    assert answer.status == 200
    assert answer.text.startswith("the response of ")
    assert script.end() == 0


@pytest.mark.row("UTIL-07")
def test_restart_without_a_supervisor_is_exit_code_3(workplace) -> None:
    script = workplace.serve(SERVER.format(more=", workers=0"))
    assert script.get("/restart").text.startswith("the response of ")
    assert script.end() == 3


def test_restart_under_f_begins_anew(workplace) -> None:
    script = workplace.serve(SERVER.format(more=", workers=0"), "-f")
    former = script.get("/restart").text
    script.next_line("ended with exit code 3; it starts again in 0 s")
    port = int(script.next_line(r"started on \S+:(\d+)")[1])
    assert script.get("/", port=port).text != former
    script.signal(SIGTERM)
    assert script.end() == 0


@pytest.mark.row("UTIL-07")
def test_restart_with_one_worker_exchanges_it_without_refusing_anybody(workplace) -> None:
    script = workplace.serve(SERVER.format(more=""))
    former = script.get("/").text
    assert script.get("/restart").text == former
    answers = set()
    with gevent.Timeout(PATIENCE):
        while answers <= {former}:
            answers.add(script.get("/").text)
    script.next_line("new workers are ready: stopping the old ones")
    assert script.stop() == 0


@pytest.mark.row("UTIL-07", "UTIL-08")
@pytest.mark.parametrize(("path", "code"), [("/restart", 3), ("/shutdown", 0)])
def test_of_several_workers_it_is_the_one(workplace, path: str, code: int) -> None:
    script = workplace.serve(SERVER.format(more=", workers=2"))
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    workers = set(children(script.process.pid))
    pid = int(script.get(path).text.split()[-1])
    end = script.next_line(r"worker \d \(pid (\d+)\) ended with exit code (\d)")
    assert (int(end[1]), int(end[2])) == (pid, code)
    script.next_line(r"\(worker \d\) started")
    assert workers & set(children(script.process.pid)) == workers - {pid}
    assert script.stop() == 0


def test_an_embedded_server_is_not_ours_to_stop() -> None:
    for call in (was.restart, was.shutdown):
        with pytest.raises(LaunchError, match="call stop"):
            call()
