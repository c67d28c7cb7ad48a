"""``was.mbox``."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.saddle import Saddle, cookies, mbox, sealed_cookie
from skitai.saddle.fake_exchange import FakeExchange

KEY = "ds8fdsflksdjf9879dsf;?<>Asda"
NOW = 1_800_000_000

MSG_HTM = """
Messages To {{ name }},
<ul>
	{% for message_id, category, created, valid, msg, extra in was.mbox.get () %}
		<li> {{ mtype }}: {{ msg }}</li>
	{% endfor %}
</ul>
"""

NEWS_HTM = """
News for {{ was.g.username }},
<ul>
	{% for mid, category, created, valid, msg, extra in was.mbox.get ("notice", "news") %}
		<li class="{{category}}"> {{ msg }}</li>
	{% endfor %}
</ul>
"""


@pytest.fixture
def templates(app, tmp_path):
    """The documents' own; they ask for ``mtype``, which is nothing to Jinja2 and prints nothing."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "msg.htm").write_text(MSG_HTM)
    (tmp_path / "templates" / "news.htm").write_text(NEWS_HTM)
    app.home = str(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """``clock.now`` is what time it is."""
    clock = SimpleNamespace(now=float(NOW))
    clock.time = lambda: clock.now
    for module in (cookies, sealed_cookie, mbox):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def ask(app):
    """``ask(function)`` returns what a function of ``was`` returns in a request."""
    app.securekey = KEY
    calls = []
    client = app.test_client()

    @app.route("/")
    def call(was):
        ask.result = calls[-1](was)
        return "done"

    def ask(function, **options):
        calls.append(function)
        answer = client.get("/", **options)
        assert answer.status == 200, answer.text
        ask.answer = answer
        return ask.result

    ask.client = client
    return ask


def send(*args, **extra):
    return lambda was: was.mbox.send(*args, **extra)


def texts(*wanted):
    return lambda was: [message[4] for message in was.mbox.get(*wanted)]


@pytest.mark.row("SAD-MBOX-01", "SAD-MBOX-02", "SAD-MBOX-03", "SAD-MBOX-13")
def test_the_documented_example(app, visit, clock, templates) -> None:
    app.securekey = KEY

    @app.route("/msg")
    def msg(was):
        was.mbox.send("This is Flash Message", "flash")
        was.mbox.send("This is Alert Message Kept by 60 seconds on every request", "alram", valid=60)
        return was.redirect(was.ab("showmsg", "Hans Roh"), status="302 Object Moved")

    @app.route("/showmsg")
    def showmsg(was, name):
        return was.render("msg.htm", name=name)

    client = visit(app)
    answer = client.get("/msg")
    assert answer.status == 302
    page = client.get(answer.headers["Location"]).text
    assert "Messages To Hans Roh" in page
    assert "<li> : This is Flash Message</li>" in page
    assert "<li> : This is Alert Message Kept by 60 seconds on every request</li>" in page
    clock.now += 59
    page = client.get(answer.headers["Location"]).text
    assert "This is Flash Message" not in page and "This is Alert Message" in page
    clock.now += 1
    assert "<li>" not in client.get(answer.headers["Location"]).text


@pytest.mark.row("SAD-MBOX-07", "SAD-MBOX-14", "SAD-MBOX-04")
def test_the_documented_example_of_a_hook(app, visit, templates) -> None:
    app.securekey = KEY

    def has_new_item():
        return True

    @app.before_request
    def before_request(was):
        was.g.username = "hans"
        if has_new_item():
            was.mbox.send("New Item Arrived", "notice")

    @app.route("/main")
    def main(was):
        return was.render("news.htm")

    client = visit(app)
    for _ in range(2):
        answer = client.get("/main")
        assert answer.text.count('<li class="notice"> New Item Arrived</li>') == 1
        assert "Set-Cookie" not in answer.headers  # it was shown in the request that sent it


@pytest.mark.row("SAD-MBOX-01", "SAD-MBOX-05")
def test_what_a_message_is(ask, clock) -> None:
    ask(send("hello", "flash"))
    ask(send("kept", "alarm", 60, link="/x", n=1))
    ask(send("default"))
    assert ask(lambda was: was.mbox.get()) == [
        (0, "flash", NOW, 0, "hello", {}),
        (1, "alarm", NOW, 60, "kept", {"link": "/x", "n": 1}),
        (2, "info", NOW, 0, "default", {}),
    ]


@pytest.mark.row("SAD-MBOX-02")
def test_for_one_page(ask, clock) -> None:
    ask(send("once", "flash"))
    clock.now += 99 * 365 * 24 * 3600  # it waits
    ask(lambda was: was.mbox.search("flash"))
    assert ask(lambda was: (texts()(was), texts()(was))) == (["once"], ["once"])
    assert ask(texts()) == []
    assert ask.client.cookies.get("MBOX_") is None


@pytest.mark.row("SAD-MBOX-02")
def test_a_failed_page_has_shown_nothing(app, visit, written) -> None:
    app.securekey = KEY

    @app.route("/send")
    def send_it(was):
        was.mbox.send("once", "flash")
        return "sent"

    @app.route("/show")
    def show(was, fail=""):
        messages = was.mbox.get()
        if fail:
            raise RuntimeError("broken")
        return repr([message[4] for message in messages])

    client = visit(app)
    client.get("/send")
    assert client.get("/show?fail=1").status == 500
    assert client.get("/show").text == "['once']"
    assert client.get("/show").text == "[]"


@pytest.mark.row("SAD-MBOX-03")
def test_for_a_time(ask, clock) -> None:
    ask(send("kept", "alarm", 60))
    assert "Max-Age=60;" in ask.answer.headers["Set-Cookie"]
    for _ in range(3):
        clock.now += 19
        assert ask(texts()) == ["kept"]
    clock.now += 3
    assert ask(texts()) == []


@pytest.mark.row("SAD-MBOX-03")
def test_one_that_is_over_goes_while_others_stay(ask, clock) -> None:
    ask(send("kept", "alarm", 60))
    ask(send("once", "flash"))
    clock.now += 60
    assert ask(lambda was: [was.mbox.search("alarm"), texts("none")(was), texts()(was)]) == [[], [], ["once"]]


@pytest.mark.row("SAD-MBOX-04")
def test_in_one_request_there_is_no_limit(ask) -> None:
    def work(was):
        for number in range(100):
            was.mbox.send("x" * 1000, "flash", n=number)
        return len(was.mbox.get())

    assert ask(work) == 100
    assert "Set-Cookie" not in ask.answer.headers


def test_those_that_wait_have_one(app, written) -> None:
    app.securekey = KEY

    @app.route("/")
    def index(was):
        was.mbox.send("x" * 4000, "flash")
        return "sent"

    answer = app.test_client().get("/")
    assert answer.status == 500 and "Set-Cookie" not in answer.headers
    assert "cookie 'MBOX_' would have" in written.app


@pytest.mark.row("SAD-MBOX-06")
def test_by_category(ask) -> None:
    ask(send("a", "flash"))
    ask(send("b", "alarm"))
    assert ask(texts("flash")) == ["a"]
    assert ask(texts("flash")) == []
    assert ask(texts("none")) == []
    assert ask(texts()) == ["b"]  # it stayed


@pytest.mark.row("SAD-MBOX-07")
def test_by_several_categories(ask) -> None:
    for category in ("notice", "news", "other", "more"):
        ask(send(category, category))
    assert ask(texts("notice", "news")) == ["notice", "news"]
    assert ask(texts("notice", "other", "more")) == ["other", "more"]


@pytest.mark.row("SAD-MBOX-08")
def test_by_extra(ask) -> None:
    ask(send("a", "flash", user="hans"))
    ask(send("b", "flash", user="roh"))
    ask(send("c", "flash"))
    assert ask(texts("user", "nobody")) == []
    assert ask(texts("user", None)) == []
    assert ask(texts("user", "hans")) == ["a"]
    assert ask(texts()) == ["b", "c"]


@pytest.mark.row("SAD-MBOX-09")
def test_search(ask) -> None:
    ask(send("a", "flash", user="hans"))
    ask(send("b", "alarm", user="roh"))
    ask(send("c", "flash"))
    for _ in range(2):  # nothing is removed
        assert ask(lambda was: was.mbox.search("flash")) == [0, 2]
        assert ask(lambda was: was.mbox.search("flash", None)) == [0, 2]
        assert ask(lambda was: was.mbox.search("user", "roh")) == [1]
        assert ask(lambda was: was.mbox.search("user", "nobody")) == []


@pytest.mark.row("SAD-MBOX-10")
def test_remove(ask) -> None:
    def work(was):
        was.mbox.remove(0)
        was.mbox.remove(17)
        was.mbox.send("c")
        return was.mbox.search("info")

    ask(send("a"))
    ask(send("b"))
    assert ask(work) == [1, 2]
    assert ask(texts()) == ["b", "c"]


@pytest.mark.row("SAD-MBOX-11")
def test_whether_the_address_is_that_of_the_last_use(ask, monkeypatch) -> None:
    def verify(was):
        return was.mbox.source_verified(), [message[4] for message in was.mbox.getv("alarm")]

    assert ask(verify) == (False, [])
    ask(send("a", "alarm", 60))
    assert ask(verify) == (True, ["a"])
    monkeypatch.setattr(FakeExchange, "peer", ("10.9.9.9", 40000))
    assert ask(verify) == (False, [])
    assert ask(verify) == (True, ["a"])
    assert ask(texts("alarm")) == ["a"]


@pytest.mark.row("SAD-MBOX-12")
def test_named_boxes(ask) -> None:
    def work(was):
        was.mbox.send("default")
        was.mbox.mount("adm", "another key", "/", "localhost", True, True)
        was.mbox.send("10 data has been deleted", "warning")
        with pytest.raises(AssertionError, match="session_timeout"):
            was.mbox.mount("ADM", "another key", session_timeout=60)
        return was.mbox.exists(), was.mbox.exists("ADM"), was.mbox.exists("OTHER")

    assert ask(work, is_tls=True) == (True, True, False)
    first, second = (value for name, value in ask.answer.fields if name == "Set-Cookie")
    assert first.startswith("MBOX_=") and second.startswith("MBOX__ADM=")
    assert "; Path=/; Domain=localhost; Secure; HttpOnly; SameSite=Lax" in second
    assert ask(lambda was: (was.mbox.exists(), was.mbox.exists("adm")), is_tls=True) == (True, True)
    assert ask(texts(), is_tls=True) == ["default"]

    def read(was):
        was.mbox.mount("ADM", "another key", "/", "localhost", True, True)
        return texts()(was)

    assert ask(read, is_tls=True) == ["10 data has been deleted"]
    assert ask(lambda was: (was.mbox.exists(), was.mbox.exists("ADM")), is_tls=True) == (False, False)


@pytest.mark.row("SAD-MBOX-15")
def test_the_cookie_is_sealed(ask, written) -> None:
    ask(send("a message that nobody else may read"))
    line = ask.answer.headers["Set-Cookie"]
    assert "HttpOnly; SameSite=Lax" in line and "message" not in line
    text = ask.client.cookies.get("MBOX_")
    for forged in (text[:-10], text[:40] + ("A" if text[40] != "A" else "B") + text[41:], "x", ""):
        ask.client.cookies.set("MBOX_", forged)
        assert ask(texts()) == []
    assert "cookie MBOX_ is ignored" in written.app
    ask.client.cookies.set("MBOX_", text)
    assert ask(texts()) == ["a message that nobody else may read"]


def test_without_a_key_there_is_an_error(app, written) -> None:
    @app.route("/")
    def index(was):
        was.mbox.send("hello")
        return "sent"

    assert app.test_client().get("/").status == 500
    assert "'MBOX_' needs a key: set app.securekey" in written.app


def test_a_message_is_escaped_by_templates(ask, templates) -> None:
    ask(send("<script>alert(1)</script>", "flash"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in ask(lambda was: was.render("msg.htm"))


def test_one_that_is_sent_once_the_response_has_begun_is_an_error(app, run) -> None:
    app.securekey = KEY
    errors = []

    @app.route("/")
    def index(was):
        def pieces():
            yield "1"
            for change in (lambda: was.mbox.send("late"), lambda: was.cookie.set("late", "1")):
                with pytest.raises(RuntimeError, match="too late") as caught:
                    change()
                errors.append(caught)
            yield repr(was.mbox.get())

        return pieces()

    assert run({"/": app}).request("GET", "/", [("Host", "localhost")]).content == b"1[]"
    assert len(errors) == 2


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=8), st.integers(0, 90)), max_size=6))
def test_messages_arrive_once_and_in_order(messages) -> None:
    app = Saddle("any")
    app.securekey = KEY
    got = []

    @app.route("/send")
    def send_all(was):
        for msg, category, valid in messages:
            was.mbox.send(msg, category, valid)
        return "sent"

    @app.route("/get")
    def get_all(was):
        got.append([(message[4], message[1], message[3]) for message in was.mbox.get()])
        return "got"

    client = app.test_client()
    assert [client.get(path).status for path in ("/send", "/get", "/get")] == [200] * 3
    # One second may pass between the requests, so those that are kept for one may be over.
    lasting = [each for each in messages if each[2] != 1]
    assert [each for each in got[0] if each[2] != 1] == lasting
    assert [each for each in got[1] if each[2] != 1] == [each for each in lasting if each[2]]
