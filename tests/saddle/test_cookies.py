"""``was.cookie``."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.saddle import Saddle, cookies
from skitai.saddle.errors import CookieTooLarge

NOW = 1_800_000_000


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(time=lambda: NOW)
    monkeypatch.setattr(cookies, "time", clock)
    return clock


@pytest.fixture
def ask(app, visit):
    """``ask(function)`` returns what a function of ``was`` returns in a request, and the Set-Cookie fields."""
    calls = []

    @app.route("/")
    def call(was):
        ask.result = calls[-1](was)
        return "done"

    client = visit(app)

    def ask(function, **options):
        calls.append(function)
        answer = client.get("/", **options)
        assert answer.status == 200, answer.text
        return ask.result, [value for name, value in answer.fields if name == "Set-Cookie"]

    ask.client = client
    return ask


def lines(ask, function, **options):
    return ask(function, **options)[1]


def kept(line):
    """The attributes of a Set-Cookie field."""
    pairs = (each.strip().partition("=") for each in line.split(";")[1:])
    return {name: value for name, _, value in pairs}


@pytest.mark.row("SAD-COOKIE-01")
def test_set(ask) -> None:
    assert lines(ask, lambda was: was.cookie.set("user_id", "hansroh")) == ["user_id=hansroh; Path=/; SameSite=Lax"]
    assert ask(lambda was: was.cookie.get("user_id")) == ("hansroh", [])


@pytest.mark.row("SAD-COOKIE-01", "SAD-COOKIE-06")
def test_the_documented_example(app, visit) -> None:
    @app.route("/set")
    def set_it(was):
        if "user_id" not in was.cookie:
            was.cookie.set("user_id", "hansroh")
        return "set"

    @app.route("/item")
    def item(was):
        if "user_id" not in was.cookie:
            # or
            was.cookie["user_id"] = "hansroh"
        return "set"

    for path in ("/set", "/item"):
        client = visit(app)
        assert client.get(path).headers["Set-Cookie"] == "user_id=hansroh; Path=/; SameSite=Lax"
        assert "Set-Cookie" not in client.get(path).headers


@pytest.mark.row("SAD-COOKIE-01")
def test_all_parameters_by_place_and_name(ask) -> None:
    by_place = lines(ask, lambda was: was.cookie.set("a", "1", None, "/x", "localhost", True, True))
    by_name = lines(
        ask,
        lambda was: was.cookie.set(
            "a", "1", expires=None, path="/x", domain="localhost", secure=True, http_only=True, same_site="Lax"
        ),
    )
    assert by_place == by_name == ["a=1; Path=/x; Domain=localhost; Secure; HttpOnly; SameSite=Lax"]


@pytest.mark.row("SAD-COOKIE-02")
def test_expires(ask, clock) -> None:
    def expires(value):
        (line,) = lines(ask, lambda was: was.cookie.set("a", "1", value))
        return kept(line).get("Expires"), kept(line).get("Max-Age")

    def date_of(value):
        return parsedate_to_datetime(expires(value)[0]).timestamp()

    assert expires(None) == (None, None)
    assert date_of(60) == NOW + 60 and expires(60)[1] == "60"
    assert date_of(0.5) == NOW + 1
    for now in (0, "now", -5):
        assert date_of(now) == 0 and expires(now)[1] == "0"
    assert date_of("never") == NOW + 36525 * 24 * 3600


@pytest.mark.row("SAD-COOKIE-02")
def test_one_that_expires_now_cannot_be_read_any_more(ask) -> None:
    def expire(was):
        was.cookie.set("a", "2", expires="now")
        return was.cookie.get("a"), "a" in was.cookie

    ask.client.cookies.set("a", "1")
    assert ask(expire)[0] == (None, False)
    assert ask.client.cookies.get("a") is None


@pytest.mark.row("SAD-COOKIE-03", "SAD-COOKIE-04")
def test_the_path_is_the_mount_point(app, visit) -> None:
    val = "x"

    @app.route("/")
    def index(was):
        was.cookie.set("private_cookie", val)

        was.cookie.set("public_cookie", val, path="/")
        return "set"

    client = visit(app, "/admin")
    client.get("/admin/")
    assert {each.name: each.path for each in client.cookies} == {"private_cookie": "/admin", "public_cookie": "/"}


@pytest.mark.row("SAD-COOKIE-03")
def test_the_path_of_a_root_app(ask) -> None:
    assert kept(*lines(ask, lambda was: was.cookie.set("a", "1")))["Path"] == "/"


@pytest.mark.row("SAD-COOKIE-04")
def test_two_apps_share_a_cookie_of_the_root(run) -> None:
    admin, front = Saddle(__name__), Saddle(__name__)

    @admin.route("/")
    def sign_in(was):
        was.cookie.set("private_cookie", "1")
        was.cookie.set("public_cookie", "2", path="/")
        return "set"

    @front.route("/")
    def show(was):
        return repr(was.cookie.items())

    running = run({"/admin": admin, "/": front})
    sent = running.request("GET", "/admin/", [("Host", "localhost")]).headers.get_all("Set-Cookie")
    assert [kept(line)["Path"] for line in sent] == ["/admin", "/"]
    # Which of them a browser sends to "/" follows from their paths.
    cookies = [line.partition(";")[0] for line in sent if kept(line)["Path"] == "/"]
    fields = [("Host", "localhost"), ("Cookie", "; ".join(cookies))]
    assert running.request("GET", "/", fields).content == b"[('public_cookie', '2')]"


@pytest.mark.row("SAD-COOKIE-05")
def test_secure_and_http_only(ask) -> None:
    assert lines(ask, lambda was: was.cookie.set("a", "1", secure=True)) == ["a=1; Path=/; Secure; SameSite=Lax"]
    assert lines(ask, lambda was: was.cookie.set("a", "1", http_only=True)) == ["a=1; Path=/; HttpOnly; SameSite=Lax"]


def test_same_site(ask) -> None:
    assert lines(ask, lambda was: was.cookie.set("a", "1", same_site="Strict")) == ["a=1; Path=/; SameSite=Strict"]
    assert lines(ask, lambda was: was.cookie.set("a", "1", same_site=None)) == ["a=1; Path=/"]


@pytest.mark.row("SAD-COOKIE-06")
def test_items(ask) -> None:
    def work(was):
        was.cookie["k"] = "v"
        there = "k" in was.cookie, was.cookie["k"]
        del was.cookie["sent"]
        del was.cookie["never there"]
        return there, "sent" in was.cookie

    ask.client.cookies.set("sent", "1")
    assert ask(work)[0] == ((True, "v"), False)
    assert [(each.name, each.value) for each in ask.client.cookies] == [("k", "v")]


@pytest.mark.row("SAD-COOKIE-07")
def test_missing_ones(ask) -> None:
    assert ask(lambda was: (was.cookie.get("x"), was.cookie.get("x", 5), was.cookie["x"]))[0] == (None, 5, None)


@pytest.mark.row("SAD-COOKIE-08")
def test_remove(ask) -> None:
    ask.client.cookies.set("a", "1")
    ask.client.cookies.set("b", "2")
    removed, sent = ask(lambda was: (was.cookie.remove("a"), was.cookie.keys())[1])
    assert removed == ["b"]
    assert sent == ["a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax"]
    assert [each.name for each in ask.client.cookies] == ["b"]
    (line,) = lines(ask, lambda was: was.cookie.remove("b", "/x", "localhost"))
    assert kept(line)["Path"] == "/x" and kept(line)["Domain"] == "localhost"


@pytest.mark.row("SAD-COOKIE-08")
def test_clear_leaves_sessions_and_messages(app, ask) -> None:
    app.securekey = "ds8fdsflksdjf9879dsf;?<>Asda"

    def fill(was):
        was.cookie["a"] = was.cookie["b"] = "1"
        was.session["n"] = 1
        was.mbox.send("later", "info")

    ask(fill)
    assert {each.name for each in ask.client.cookies} == {"a", "b", "SESS_", "MBOX_"}
    ask(lambda was: was.cookie.clear())
    assert {each.name for each in ask.client.cookies} == {"SESS_", "MBOX_"}
    ask.client.cookies.set("c", "1", "/")
    sent = lines(ask, lambda was: was.cookie.clear("/x", "localhost"))
    assert [(kept(line)["Path"], kept(line)["Domain"]) for line in sent] == [("/x", "localhost")]


@pytest.mark.row("SAD-COOKIE-09")
def test_dictionary_methods(ask) -> None:
    def use(was):
        cookie = was.cookie
        lists = cookie.keys(), cookie.values(), cookie.items()
        iterators = cookie.iterkeys(), cookie.itervalues(), cookie.iteritems()
        assert all(iter(each) is each for each in iterators)
        assert cookie.has_key("a") and not cookie.has_key("c")
        assert list(cookie) == ["a", "b"] and len(cookie) == 2
        return lists, tuple(list(each) for each in iterators)

    ask.client.cookies.set("a", "1")
    ask.client.cookies.set("b", "2")
    wanted = ["a", "b"], ["1", "2"], [("a", "1"), ("b", "2")]
    assert ask(use)[0] == (wanted, wanted)


@pytest.mark.row("SAD-COOKIE-10")
def test_read_after_write(ask) -> None:
    def work(was):
        was.cookie["a"] = "1"
        was.cookie.set("a", 2)
        was.cookie["b"] = "3"
        was.cookie.remove("b")
        return was.cookie.items()

    assert ask(work)[0] == [("a", "2")]
    assert ask.client.cookies.get("a") == "2" and ask.client.cookies.get("b") is None


@pytest.mark.row("SAD-COOKIE-11")
def test_an_exception_changes_nothing(app, visit, written) -> None:
    app.securekey = "ds8fdsflksdjf9879dsf;?<>Asda"

    @app.route("/fill")
    def fill(was):
        was.cookie["a"] = "1"
        was.session["n"] = 1
        was.mbox.send("later", "info")
        return "filled"

    @app.route("/fail")
    def fail(was):
        was.cookie["a"] = "2"
        was.session["n"] = 2
        was.mbox.get()
        was.mbox.send("never sent", "info")
        raise RuntimeError("broken")

    client = visit(app)
    assert client.get("/fail").status == 500
    assert list(client.cookies) == []
    client.get("/fill")
    before = sorted((each.name, each.value) for each in client.cookies)
    answer = client.get("/fail")
    assert answer.status == 500 and "Set-Cookie" not in answer.headers
    assert sorted((each.name, each.value) for each in client.cookies) == before
    assert "broken" in written.app


@pytest.mark.row("SAD-COOKIE-11")
def test_the_order_of_commits(app, ask) -> None:
    app.securekey = "ds8fdsflksdjf9879dsf;?<>Asda"

    def work(was):
        was.mbox.send("later", "info")
        was.session["n"] = 1

    assert [line.partition("=")[0] for line in lines(ask, work)] == ["SESS_", "MBOX_"]


@pytest.mark.row("SAD-COOKIE-12")
def test_names_and_values_are_quoted(ask) -> None:
    (line,) = lines(ask, lambda was: was.cookie.set("a b=;", "é, ;\r\nX: y"))
    assert line == "a+b%3D%3B=%C3%A9%2C+%3B%0D%0AX%3A+y; Path=/; SameSite=Lax"
    assert ask(lambda was: was.cookie.items())[0] == [("a b=;", "é, ;\r\nX: y")]


@settings(max_examples=50)
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4))
def test_any_text_comes_back(texts) -> None:
    app = Saddle(__name__)
    seen = []

    @app.route("/set")
    def set_all(was):
        for name, value in texts.items():
            was.cookie[name] = value
        return "set"

    @app.route("/get")
    def get_all(was):
        seen.extend(was.cookie.items())
        return "got"

    client = app.test_client()
    answer = client.get("/set")
    assert client.get("/get").status == 200
    assert answer.status == 200 and dict(seen) == texts


@pytest.mark.row("SAD-TPL-05")
def test_attributes_in_templates(ask) -> None:
    def show(was):
        template = jinja2.Template('{{ was.cookie.username }} {{ was.cookie.none or "nobody" }}')
        return template.render(was=was), was.cookie.username, was.cookie.none

    ask.client.cookies.set("username", "hans")
    assert ask(show)[0] == ("hans nobody", "hans", None)


def test_of_several_of_a_name_the_first_counts(ask) -> None:
    result, _ = ask(lambda was: (was.cookie["a"], was.cookie.get_all("a")), headers={"Cookie": "a=1; a=2"})
    assert result == ("1", ["1", "2"])


# Hostile and broken


def test_cookies_that_cannot_be_read_are_ignored(app, ask, written) -> None:
    field = 'good=1; bad=%ff; lonely; =; ;;; also="2"'
    assert ask(lambda was: was.cookie.items(), headers={"Cookie": field})[0] == [("good", "1"), ("also", "2")]
    assert "[warn:" in written.app and "2 cookies of the request are ignored" in written.app
    assert ask(lambda was: was.cookie.items())[0] == []  # nothing of it in the next request


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/a; HttpOnly"},
        {"path": "/a\r\nX-Evil: 1"},
        {"path": "/é"},
        {"domain": "example.com; Path=/"},
        {"domain": "a\nb"},
        {"val": "\ud800"},
        {"key": "\ud800"},
    ],
)
def test_attributes_that_would_break_out_are_refused(app, visit, written, arguments) -> None:
    @app.route("/")
    def index(was):
        was.cookie.set(**{"key": "a", "val": "1"} | arguments)
        return "set"

    answer = visit(app).get("/")
    assert answer.status == 400
    assert "Set-Cookie" not in answer.headers and "X-Evil" not in answer.headers
    assert "Traceback" not in answer.text and "[warn:" in written.app


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"key": ""}, ValueError),
        ({"val": None}, TypeError),
        ({"val": b"1"}, TypeError),
        ({"expires": "soon"}, ValueError),
        ({"path": "admin"}, ValueError),
        ({"domain": "a b"}, ValueError),
        ({"same_site": "None"}, ValueError),
        ({"same_site": "lax"}, ValueError),
    ],
)
def test_mistakes_are_told(app, arguments, error) -> None:
    @app.route("/")
    def index(was):
        with pytest.raises(error):
            was.cookie.set(**{"key": "a", "val": "1"} | arguments)
        return repr(was.cookie.items())

    answer = app.test_client().get("/")
    assert answer.text == "[]" and "Set-Cookie" not in answer.headers


def test_one_that_browsers_would_drop_is_an_error(app) -> None:
    @app.route("/")
    def index(was):
        was.cookie["fits"] = "x" * 4000
        with pytest.raises(CookieTooLarge, match=r"'large' would have 4\d\d\d bytes, and browsers drop") as caught:
            was.cookie["large"] = "x" * 4096
        assert (caught.value.name, caught.value.most) == ("large", 4096)
        return repr(was.cookie.keys())

    assert app.test_client().get("/").text == "['fits']"


def test_one_that_comes_too_late_is_an_error(app, visit) -> None:
    errors = []

    @app.route("/")
    def index(was):
        was.cookie["early"] = "1"

        def pieces():
            yield was.cookie["early"]
            try:
                was.cookie["late"] = "1"
            except RuntimeError as error:
                errors.append(str(error))
            yield "2"

        return pieces()

    client = visit(app)
    assert client.get("/").text == "12"
    assert "too late" in errors[0]
    assert [each.name for each in client.cookies] == ["early"]
