"""Every example runs, and shows what its first lines say."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.browser import Browser, needs_browser
from tests.scripts import PATIENCE, Answer, Script, clean_environment
from tests.servers import Address
from tests.websocket_clients import get, talk

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
Start = Callable[..., Script]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start an example on a free port; the processes end with the test."""
    scripts: list[Script] = []

    def start_one(name: str, **env: Any) -> Script:
        script = Script(EXAMPLES / name)
        scripts.append(script)
        return script.start(**{"PORT": "0", **env})

    yield start_one
    for script in scripts:
        script.clean_up()


def read(answer: Answer) -> Any:
    """The JSON of an answer."""
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def addresses(*members: Script) -> str:
    """What an alias calls these members."""
    return ",".join(f"127.0.0.1:{member.port}" for member in members)


def finish(script: str, *arguments: str) -> tuple[int, str]:
    """Run a program to its end; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * PATIENCE, env=clean_environment(),
    )  # fmt: skip
    return done.returncode, done.stdout


# The search cluster


def test_the_search_cluster_checks_itself() -> None:
    code, output = finish("search_cluster/demo.py", "--check")
    assert code == 0, output
    assert "0 failed." in output
    for what in (
        "/search asks every member",
        "/search merges what they found",
        "/one asks 3 members in turn, none fails",
        "/fanout makes 6 calls of 100 ms at once",
        "/search answers with what 2 members have",
        "/search says which member failed",
        "/one asks 2 members in turn, none fails",
    ):
        assert f"  ok   {what}" in output, output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_the_search_cluster_ends_with_everything_it_started(number: signal.Signals, code: int) -> None:
    demo = Script(EXAMPLES / "search_cluster/demo.py").start("--port", "0")
    try:
        demo.line("Ctrl-C ends it")
        demo.signal(number)
        assert demo.end() == code
    finally:
        demo.clean_up()
    # Its output is at its end, so no server that writes into it is left; and each said that it was asked.
    for name in ("member 1", "member 2", "member 3", "front"):
        assert any(line.startswith(name) and "stopped, exit code 0" in line for line in demo.output), demo.text


def test_a_demo_that_cannot_start_says_why_and_leaves_nothing(start: Start) -> None:
    taken = start("hello_wsgi.py")
    code, output = finish("search_cluster/demo.py", "--port", str(taken.port))
    assert code == 1
    assert "already in use" in output
    assert output.count("stopped, exit code 0") == 3, output


def test_a_member_runs_alone(start: Start) -> None:
    member = start("search_cluster/member.py", SHARD="2/3")
    found = read(member.get("/search?q=generator&limit=2"))
    assert (found["shard"], found["shards"], len(found["hits"])) == (2, 3, 2)
    assert found["total"] > 2


def test_the_front_answers_without_its_members(start: Start) -> None:
    front = start("search_cluster/front.py", MEMBERS="127.0.0.1:1,127.0.0.1:2")
    answer = front.get("/search?q=generator")
    assert answer.status == 503
    assert answer.headers.get_content_type() == "text/html"
    assert answer.text.count("did not answer: 714 Connection Failure") == 2
    assert json.loads(front.get("/one?q=generator&format=json").text)["failed"][0]["code"] == 714


# The others


@pytest.mark.row("RUN-39")
def test_hello_wsgi(start: Start) -> None:
    answer = start("hello_wsgi.py").get()
    assert (answer.status, answer.text) == (200, "Hello World\n")


@pytest.mark.row("RUN-38", "WSGI-14", "WAS-GEN-03")
def test_flask_fanout(start: Start) -> None:
    server = start("flask_fanout.py")
    at_once, serial = read(server.get("/")), read(server.get("/serial"))
    assert [answer["number"] for answer in at_once["answers"]] == [0, 1, 2, 3, 4]
    assert [answer["number"] for answer in serial["answers"]] == [0, 1, 2, 3, 4]
    # One after another they cannot take less than five delays; at once they take one, and have four to spare.
    assert serial["seconds"] >= 1.0
    assert at_once["seconds"] < serial["seconds"] - 0.2
    # One transaction: its calls are numbered, and the next request has another.
    ids = [answer["transaction"].split("/") for answer in at_once["answers"]]
    assert [number for _, number in ids] == ["2001", "2002", "2003", "2004", "2005"]
    assert len({transaction for transaction, _ in ids}) == 1
    assert ids[0][0] != serial["answers"][0]["transaction"].split("/")[0]


def test_load_balance(start: Start) -> None:
    members = [start("hello_wsgi.py"), start("hello_wsgi.py")]
    names = addresses(*members).split(",")
    balancer = start("load_balance.py", MEMBERS=",".join(names))
    answers = [read(balancer.get()) for _ in range(6)]
    assert [answer["said"] for answer in answers] == ["Hello World"] * 6
    assert sorted(answer["member"] for answer in answers) == sorted(names * 3)
    assert members[0].stop() == 0
    assert [read(balancer.get())["member"] for _ in range(6)] == [names[1]] * 6
    assert members[1].stop() == 0
    lost = balancer.get()
    assert (lost.status, json.loads(lost.text)) == (503, {"error": "714 Connection Failure"})


@pytest.mark.row("WAS-RPC-03", "WAS-RPC-04", "LB-06", "MAP-02", "MAP-03")
def test_map_reduce_xmlrpc(start: Start) -> None:
    whole = start("xmlrpc_member.py", SHARE="1/1")
    members = [start("xmlrpc_member.py", SHARE=f"{number}/2") for number in (1, 2)]
    alone = [start("map_reduce_xmlrpc.py", MEMBERS=addresses(each)) for each in (whole, *members)]
    expected, first, second = (read(each.get("/count?word=object")) for each in alone)
    together = start("map_reduce_xmlrpc.py", MEMBERS=addresses(*members))
    counted = read(together.get("/count?word=object"))
    assert counted["members"] == first["members"] + second["members"]  # in the order of the alias
    assert (counted["times"], counted["texts"]) == (expected["times"], expected["texts"])
    assert counted["times"] > counted["texts"] > 0
    assert (counted["codes"], counted["missing"]) == ([200, 200], [])
    assert {"count", "system.listMethods"} <= set(read(together.get("/methods")))
    lost = addresses(members[0])
    members[0].stop()
    counted = read(together.get("/count?word=object"))
    assert (counted["codes"], counted["missing"]) == ([714, 200], [lost])
    assert counted["members"] == second["members"]


@pytest.mark.row("SAD-GRPC-06", "WAS-GRPC-01")
def test_grpc_route_guide(start: Start) -> None:
    pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")
    server = start("grpc_route_guide.py")
    page = read(server.get())
    first = "Berkshire Valley Management Area Trail"
    assert (page["feature"], page["points"], len(page["features"])) == (first, 3, 3)
    assert page["heard"] == ["one", "one", "two"]
    assert page["wrong"] == "there is no such latitude"
    code, output = finish("grpc_route_guide.py", "client", f"http://127.0.0.1:{server.port}")
    assert (code, output.strip()) == (0, str(page))


@pytest.mark.row("MNT-05", "MNT-11", "MNT-14", "MNT-15", "RUN-32")
def test_static_and_apps(start: Start) -> None:
    server = start("static_and_apps.py")
    index = server.get("/")
    assert (index.status, index.headers.get_content_type()) == (200, "text/html")
    assert "This page is a file" in index.text
    assert index.headers["Cache-Control"] == "max-age=300"
    assert index.headers["Expires"]
    style = server.get("/style.css")
    assert (style.headers.get_content_type(), style.headers["Cache-Control"]) == ("text/css", "max-age=3600")
    assert read(server.get("/time"))["served_at"] == "/time"
    assert server.get("/raw/x").text == "mounted at '/raw', asked for '/x'\n"
    assert server.get("/hello/").text == "Hello World\n"
    assert server.get("/rawx").status == 404
    redirect = server.get("/hello?a=b")
    assert (redirect.status, redirect.headers["Location"]) == (308, "/hello/?a=b")


@pytest.mark.row("VHOST-01", "VHOST-02", "VHOST-03", "VHOST-04", "VHOST-06")
def test_virtual_hosts(start: Start) -> None:
    server = start("virtual_hosts.py")
    for name in ("www.example.com", "example.com", "EXAMPLE.com", f"example.com:{server.port}"):
        assert server.get(host=name).text == "About the company\n", name
    for name, shop in (("books.example.org", "books"), ("example.org", "example")):
        assert server.get(host=name).text == f"A shop called {shop}\n"
    for name in ("mail.example.com", "anexample.org", "127.0.0.1"):
        assert server.get(host=name).text == "No site has this name\n"
    assert server.get("/hello/").text == "Hello World\n"
    assert server.get("/hello/", host="example.com").status == 404


@pytest.mark.row("PREF-05", "PREF-07", "MNT-20")
def test_prefs_bootstrap(start: Start) -> None:
    server = start("prefs_bootstrap/serve.py")
    assert read(server.get("/v1/")) == {
        "greeting": "Welcome",
        "links": [["Python", "https://www.python.org/"], ["Flask", "https://flask.palletsprojects.com/"]],
        "page_size": 20,
        "debug": True,
    }
    assert server.get("/v1-notes/read.txt").text == "Mounted by the app's own package.\n"


@pytest.mark.row("CACHE-01", "CACHE-13")
def test_caching(start: Start) -> None:
    server = start("caching.py")
    seen = [read(server.get(path)) for path in ("/", "/", "/?new=1", "/")]
    assert [(each["number"], each["is_cached"]) for each in seen] == [(1, False), (1, True), (2, False), (2, True)]


# The smallest PNG: one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63d0a8d80700022a"
    "015f14bd7be60000000049454e44ae426082"
)


@pytest.mark.row("SAD-MBOX-13", "SAD-UPLOAD-01", "SAD-SESS-04")
def test_saddle_site(start: Start) -> None:
    site = f"http://127.0.0.1:{start('saddle_site.py').port}"
    with requests.Session() as client:
        client.trust_env = False

        def post(path: str, **options: Any) -> str:
            answer = client.post(site + path, timeout=PATIENCE, **options)
            assert answer.status_code == 200, answer.text
            return answer.text

        assert "There is no note yet" in client.get(site, timeout=PATIENCE).text
        assert "Sign in before you write." in post("/notes", data={"text": "x"})
        for name, password in (("ann", "chess"), ("nobody", ""), ("<b>", "ä")):
            assert "do not belong together" in post("/login", data={"name": name, "password": password})
        assert "Welcome, ann." in post("/login", data={"name": "ann", "password": "music"})
        page = post("/notes", data={"text": "<script>alert(1)</script>"}, files={"picture": ("<b>.png", PNG)})
        assert "Your note is on the board." in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script>" not in page
        picture = client.get(site + page.partition('<img src="')[2].partition('"')[0], timeout=PATIENCE)
        assert (picture.content, picture.headers["Content-Type"]) == (PNG, "image/png")
        assert "on the board." not in client.get(site, timeout=PATIENCE).text  # a message is shown once
        page = post("/notes", data={"text": "x"}, files={"picture": ("<i>.png", b"<svg onload=alert(1)>")})
        assert "_i_.png is no picture" in page
        assert "A note has 1 to 500 letters." in post("/notes", data={"text": "x" * 501})
        large = client.post(site + "/notes", files={"picture": ("a.png", PNG + bytes(2_000_000))}, timeout=PATIENCE)
        assert large.status_code == 413
        assert "You are signed out." in post("/logout")
        assert "Sign in before you write." in post("/notes", data={"text": "x"})


@needs_browser
def test_saddle_site_in_a_browser(start: Start, tmp_path: Path) -> None:
    site = f"http://127.0.0.1:{start('saddle_site.py').port}"
    (tmp_path / "sea.png").write_bytes(PNG)
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(site)
        assert browser.text("h1") == "Board"
        browser.follow("header a")
        browser.fill("#name", "ann")
        browser.fill("#password", "wrong")
        browser.follow("form.card button")
        assert browser.url == f"{site}/login"
        assert browser.text(".message.bad") == "This name and password do not belong together."
        browser.fill("#name", "ann")
        browser.fill("#password", "music")
        browser.follow("form.card button")
        assert (browser.url, browser.text(".message.good")) == (f"{site}/", "Welcome, ann.")
        browser.fill("#text", "The sea.\n<b>Blue</b> & calm.")
        browser.fill("#picture", str(tmp_path / "sea.png"))
        browser.follow("form.card button")
        assert browser.text(".message.good") == "Your note is on the board."
        assert browser.text("article p") == "The sea.\n<b>Blue</b> & calm."
        assert browser.run("return document.querySelector('article img').naturalWidth") == 1
        # The policy of the site keeps its own style, and the session is none of a script's business.
        assert browser.run("return getComputedStyle(document.querySelector('.good')).backgroundColor") == (
            "rgb(220, 239, 224)"
        )
        assert browser.run("return document.cookie") == ""
        browser.open(site)
        assert not browser.has(".message")
        browser.follow("header form button")
        assert browser.text(".message.good") == "You are signed out."
        assert not browser.has("form.card")
    finally:
        browser.close()


def test_embedded_server() -> None:
    code, output = finish("embedded_server.py")
    assert code == 0, output
    for number in range(5):
        assert f"'square': {number * number}" in output
    assert output.splitlines()[-1] == "stopped"


def sign(server: Script, name: str, text: str) -> int:
    """Write into the guest book; the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/sign", urlencode({"name": name, "text": text}), form)
        return connection.getresponse().status
    finally:
        connection.close()


def test_database_on_sqlite_alone(start: Start, tmp_path: Path) -> None:
    server = start("database.py", FILE=str(tmp_path / "guests.db"))
    assert read(server.get())["latest"] == []
    assert [sign(server, name, "It's; -- \x00") for name in ("Kim", "Lee", "Kim")] == [303] * 3
    page = read(server.get())
    assert page.pop("seconds") >= 0
    assert page == {
        "latest": [{"name": name, "text": "It's; -- \x00"} for name in ("Kim", "Lee", "Kim")],
        "count": [{"entries": 3}],
        "names": [{"name": "Kim", "entries": 2}, {"name": "Lee", "entries": 1}],
    }
    assert server.stop() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["guests.db"]  # closed in the end, with all that was written


def test_database_with_postgresql(start: Start, tmp_path: Path, postgres: Address) -> None:
    server = start("database.py", FILE=str(tmp_path / "guests.db"), PG=postgres.member)
    assert sign(server, "Kim", "Hello") == 303
    page = read(server.get())
    assert page["latest"] == [{"name": "Kim", "text": "Hello"}]
    assert {"name": "Kim", "text": "Hello"} in page["postgresql"]


def test_database_with_all_of_them(
    start: Start, tmp_path: Path, postgres: Address, redis_address: Address, mongo: Address
) -> None:
    server = start(
        "database.py", FILE=str(tmp_path / "guests.db"), PG=postgres.member, REDIS=redis_address.member,
        MONGO="/".join([mongo.where, mongo.dbname or "guests", mongo.user, mongo.password]).rstrip("/"),
    )  # fmt: skip
    assert sign(server, "Lou", "Hello, all") == 303
    page = read(server.get())
    assert page["latest"] == [{"name": "Lou", "text": "Hello, all"}]
    assert {"name": "Lou", "text": "Hello, all"} in page["postgresql"]
    assert page["redis"][0] == "Lou: Hello, all"
    assert [{**each, "_id": ""} for each in page["mongodb"]["data"]] == [
        {"_id": "", "name": "Lou", "text": "Hello, all"}
    ]


def test_a_database_that_is_down_leaves_a_gap(start: Start, tmp_path: Path) -> None:
    server = start("database.py", FILE=str(tmp_path / "guests.db"), PG="127.0.0.1:1/a/b/c")
    page = read(server.get())
    assert (page["count"], page["postgresql"][:3]) == ([{"entries": 0}], "714")


def test_websocket_chat(start: Start) -> None:
    port = start("websocket_chat.py").port
    with talk(port, "/chat?room=tea&name=Kim") as kim, talk(port, "/chat?room=tea&name=Lee") as lee:
        assert json.loads(get(kim)) == {"text": "Kim has entered"}
        assert json.loads(get(kim)) == json.loads(get(lee)) == {"text": "Lee has entered"}
        lee.send('{"text": "hello"}')
        assert json.loads(get(kim)) == json.loads(get(lee)) == {"who": "Lee", "text": "hello"}


@needs_browser
def test_websocket_chat_in_two_windows_of_a_browser(start: Start, tmp_path: Path) -> None:
    port = start("websocket_chat.py").port
    with ExitStack() as closing:
        kim, lee = Browser(tmp_path / "kim"), Browser(tmp_path / "lee")
        closing.callback(kim.close)
        leaving = ExitStack()
        leaving.callback(lee.close)
        closing.push(leaving)
        kim.open(f"http://127.0.0.1:{port}/?room=tea&name=Kim")
        kim.wait_for("said.textContent.includes('Kim has entered')")
        lee.open(f"http://127.0.0.1:{port}/?room=tea&name=Lee")
        kim.wait_for("said.textContent.includes('Lee has entered')")
        lee.wait_for("said.textContent.includes('Lee has entered')")
        lee.run("say('Hello from Lee')")
        kim.wait_for("said.textContent.includes('Lee: Hello from Lee')")
        kim.run("say('<b>Hi</b> Lee, \u65e5\u672c')")
        lee.wait_for("said.textContent.includes('Kim: <b>Hi</b> Lee, \u65e5\u672c')")
        if folder := os.environ.get("SKITAI_SCREENSHOTS"):
            kim.screenshot(Path(folder) / "kim.png")
            lee.screenshot(Path(folder) / "lee.png")
        leaving.close()
        kim.wait_for("said.textContent.includes('Lee has left')")


def test_the_list_of_examples_is_complete() -> None:
    text = (EXAMPLES / "README.md").read_text()
    names = {path.name for path in EXAMPLES.glob("*.py")} | {path.parent.name for path in EXAMPLES.glob("*/serve.py")}
    assert [name for name in sorted(names) if name not in text] == []
