"""``was.session``."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.saddle import Saddle, cookies, mbox, sealed_cookie
from skitai.saddle.errors import MissingSecureKey, SetupError
from skitai.saddle.fake_exchange import FakeExchange
from skitai.saddle.sealing import seal

KEY = "ds8fdsflksdjf9879dsf;?<>Asda"
SECUREKEY_STRING = "another random string of its own"


@pytest.fixture
def clock(monkeypatch):
    """``clock.now`` is what time it is."""
    clock = SimpleNamespace(now=1_800_000_000.0)
    clock.time = lambda: clock.now
    for module in (cookies, sealed_cookie, mbox):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def address(monkeypatch):
    """``address("10.0.0.1")``: clients of the test have it from now on."""

    def change(text):
        monkeypatch.setattr(FakeExchange, "peer", (text, 40000))

    return change


class Asking:
    """``ask(function)`` returns what a function of ``was`` returns in a request, and the Set-Cookie fields."""

    def __init__(self, app, client=None):
        self.app = app
        if not app.declarations:
            app.securekey = KEY
            app.route("/")(self.call)
            app.route("/admin")(self.call)
        self.client = client or app.test_client()

    def call(self, was):
        # A function of the app is the same for each client of it.
        type(self).result = type(self).function(was)
        return "done"

    def __call__(self, function, path="/", **options):
        type(self).function = staticmethod(function)
        answer = self.client.get(path, **options)
        assert answer.status == 200, answer.text
        return type(self).result, [value for name, value in answer.fields if name == "Set-Cookie"]


@pytest.fixture
def ask(app):
    """In memory, for what has nothing to do with the way to the app."""
    return Asking(app)


@pytest.fixture
def ask_by(app, visit):
    """Over each way to the app."""
    app.securekey = KEY
    asking = Asking(app)
    asking.client = visit(app)
    return asking


def put(name, value):
    return lambda was: was.session.set(name, value)


def show(was):
    return dict(was.session.items())


def kept(line):
    pairs = (each.strip().partition("=") for each in line.split(";")[1:])
    return {name: value for name, _, value in pairs}


@pytest.mark.row("SAD-SESS-01")
def test_without_a_key_there_is_an_error_that_says_how_to_make_one(app, written) -> None:
    @app.route("/")
    def index(was):
        was.session["a"] = 1
        return "set"

    answer = app.test_client().get("/")
    assert answer.status == 500 and "securekey" not in answer.text
    assert "app.securekey" in written.app and "secrets.token_urlsafe" in written.app
    assert issubclass(MissingSecureKey, AssertionError) and issubclass(MissingSecureKey, SetupError)


def test_without_a_key_all_else_works(app) -> None:
    @app.route("/")
    def index(was):
        was.cookie["a"] = "1"
        return repr(was.session)  # not used yet

    assert app.test_client().get("/").text == "<Session SESS_ unread>"


@pytest.mark.row("SAD-SESS-01")
def test_keys_are_rotated_by_a_list(ask) -> None:
    ask(put("n", 1))
    ask.app.securekey = ["the new key", KEY]
    assert ask(show)[0] == {"n": 1}
    ask(put("n", 2))
    ask.app.securekey = "the new key"
    assert ask(show)[0] == {"n": 2}


@pytest.mark.row("SAD-SESS-02", "SAD-SESS-04", "SAD-SESS-05")
def test_it_lasts_over_requests(ask_by) -> None:
    _, (line,) = ask_by(put("user_id", "hansroh"))
    assert line.startswith("SESS_=") and "hansroh" not in line
    assert kept(line)["Path"] == "/" and kept(line)["SameSite"] == "Lax" and "HttpOnly" in kept(line)
    assert "Secure" not in kept(line)
    assert ask_by(lambda was: was.session["user_id"]) == ("hansroh", [])


@pytest.mark.row("SAD-SESS-04")
def test_the_documented_example(app, visit) -> None:
    app.securekey = "ds8fdsflksdjf9879dsf;?<>Asda"
    app.session_timeout = 1200  # sec

    @app.route("/session")
    def hello_world(was, **form):
        if "login" not in was.session:
            was.session.set("user_id", form.get("hansroh"))
            # or
            was.session["user_id"] = form.get("hansroh")
        return repr(was.session.items())

    client = visit(app)
    assert client.get("/session?hansroh=yes").text == "[('user_id', 'yes')]"
    assert client.cookies.get("SESS_")


@pytest.mark.row("SAD-SESS-02")
def test_apps_with_the_same_key_share_it(ask) -> None:
    def other_app(key):
        app = Saddle("other")
        other = Asking(app)
        app.securekey = key
        other.client.cookies = ask.client.cookies
        return other

    ask(put("n", 1))
    assert other_app(KEY)(show)[0] == {"n": 1}
    assert other_app("a different key")(show)[0] == {}


def test_secure_under_tls(ask) -> None:
    _, (line,) = ask(put("n", 1), is_tls=True)
    assert "Secure" in kept(line)
    assert ask(show)[0] == {}
    assert ask(show, is_tls=True)[0] == {"n": 1}


@pytest.mark.row("SAD-SESS-03", "SAD-APP-06")
def test_the_timeout(ask, clock) -> None:
    assert (Saddle("plain").securekey, ask.app.session_timeout) == (None, None)
    _, (line,) = ask(put("n", 1))
    assert kept(line)["Max-Age"] == "1200"
    ask.app.session_timeout = 60
    ask.client.cookies.clear()
    _, (line,) = ask(put("n", 1))
    assert kept(line)["Max-Age"] == "60"
    clock.now += 59
    assert ask(show)[0] == {"n": 1}
    clock.now += 60
    assert ask(show)[0] == {}


@pytest.mark.row("SAD-SESS-03")
def test_each_use_renews_it(ask, clock) -> None:
    ask(put("n", 1))
    for _ in range(5):
        clock.now += 1000
        result, (line,) = ask(show)
        assert result == {"n": 1} and kept(line)["Max-Age"] == "1200"
    # A request that does not use it leaves it alone; so does one right after another.
    assert ask(lambda was: None)[1] == []
    assert ask(show)[1] == []
    clock.now += 11
    assert ask(show)[1] == []
    clock.now += 1
    assert len(ask(show)[1]) == 1


def test_a_timeout_that_none_can_meet(ask, written) -> None:
    ask.app.session_timeout = 0
    Asking.function = staticmethod(show)
    assert ask.client.get("/").status == 500
    assert "session_timeout" in written.app


@pytest.mark.row("SAD-SESS-04")
def test_names_are_text(ask) -> None:
    def work(was):
        for key in (1, None, b"a"):
            with pytest.raises(TypeError):
                was.session.set(key, "x")
            with pytest.raises(TypeError):
                was.session[key] = "x"

    assert ask(work)[1] == []


@pytest.mark.row("SAD-SESS-05")
def test_missing_ones(ask) -> None:
    def work(was):
        session = was.session
        return session.get("x"), session.get("x", 5), session["x"], "x" in session

    assert ask(work) == ((None, 5, None, False), [])


@pytest.mark.row("SAD-SESS-06", "SAD-SESS-07")
def test_whether_the_address_is_that_of_the_last_use(ask, address) -> None:
    def verify(was):
        session = was.session
        return session.source_verified(), session.getv("n"), session.getv("n", "default"), session.get("n")

    assert ask(verify)[0] == (False, None, "default", None)  # there is none yet
    ask(put("n", 1))
    assert ask(verify)[0] == (True, 1, 1, 1)
    address("10.9.9.9")
    result, sent = ask(verify)
    assert result == (False, None, "default", 1)  # nothing is wiped
    assert len(sent) == 1
    assert ask(verify)[0] == (True, 1, 1, 1)  # the last use was from there


@pytest.mark.row("SAD-SESS-06")
def test_one_that_begins_is_from_here(ask) -> None:
    def begin(was):
        before = was.session.source_verified()
        was.session["n"] = 1
        return before, was.session.source_verified(), was.session.getv("n")

    assert ask(begin)[0] == (False, True, 1)


@pytest.mark.row("SAD-SESS-08")
def test_dictionary_methods(ask_by) -> None:
    def fill(was):
        was.session["a"] = 1
        was.session["b"] = 2
        was.session["c"] = 3

    def use(was):
        session = was.session
        session.remove("c")
        session.remove("never there")
        del session["nor this"]
        lists = session.keys(), session.values(), session.items()
        iterators = session.iterkeys(), session.itervalues(), session.iteritems()
        assert all(iter(each) is each for each in iterators)
        assert session.has_key("a") and not session.has_key("c")
        assert list(session) == ["a", "b"] and len(session) == 2
        return lists, tuple(list(each) for each in iterators)

    wanted = ["a", "b"], [1, 2], [("a", 1), ("b", 2)]
    ask_by(fill)
    assert ask_by(use)[0] == (wanted, wanted)
    assert ask_by(show)[0] == {"a": 1, "b": 2}


@pytest.mark.row("SAD-SESS-08")
def test_clear_removes_the_cookie(ask_by) -> None:
    ask_by(put("n", 1))
    assert ask_by.client.cookies.get("SESS_")
    result, (line,) = ask_by(lambda was: (was.session.clear(), was.session.items())[1])
    assert result == [] and kept(line)["Max-Age"] == "0" and kept(line)["Path"] == "/"
    assert ask_by.client.cookies.get("SESS_") is None
    assert ask_by(lambda was: was.session.clear()) == (None, [])  # there is none to remove


def test_changes_inside_of_values_are_kept(ask) -> None:
    ask(put("cart", {"items": []}))
    ask(lambda was: was.session["cart"]["items"].append("book"))
    assert ask(show)[0] == {"cart": {"items": ["book"]}}


def test_values_keep_their_types(ask) -> None:
    value = [1, 2.5, None, True, "é", b"\x00\xff", (1, (2,)), {"$date": "no date"}, datetime(2026, 1, 31, tzinfo=UTC)]
    ask(put("all", value))
    assert ask(show)[0] == {"all": value}


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=9), st.recursive(st.text(max_size=9) | st.integers(), st.lists, max_leaves=5)))
def test_whatever_fits_comes_back(values) -> None:
    ask = Asking(Saddle("any"))
    ask(lambda was: [was.session.set(key, each) for key, each in values.items()])
    assert ask(show)[0] == values


# What is ignored


@pytest.mark.row("SAD-SESS-09")
def test_an_expired_one_is_empty_also_when_it_is_sent_again(ask, clock, written) -> None:
    ask(put("n", 1))
    kept_by_thief = ask.client.cookies.get("SESS_")
    clock.now += 1200
    assert ask(show) == ({}, [])
    assert "[warn:" in written.app and "cookie SESS_ is ignored: it has expired" in written.app
    assert kept_by_thief not in written.app


def changed(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


def living_longer(raw):
    return raw[:1] + struct.pack(">Q", struct.unpack(">Q", raw[1:9])[0] + 30) + raw[9:]


@pytest.mark.row("SAD-SESS-09")
@pytest.mark.parametrize("tamper", [changed, living_longer, lambda raw: raw[:30], lambda raw: raw[:-1], lambda _: b""])
def test_a_tampered_one_is_empty(ask_by, written, tamper) -> None:
    ask_by(put("n", 1))
    text = ask_by.client.cookies.get("SESS_")
    raw = tamper(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    ask_by.client.cookies.set("SESS_", urlsafe_b64encode(raw).rstrip(b"=").decode())
    assert ask_by(show) == ({}, [])
    assert "cookie SESS_ is ignored" in written.app
    # It is no hindrance to a new one, and the next request knows nothing of it.
    ask_by(put("m", 2))
    assert ask_by(show)[0] == {"m": 2}


@pytest.mark.row("SAD-SESS-09")
@pytest.mark.parametrize(
    "foreign",
    ["x", "", "a" * 3000, "gASVCgAAAAAAAAB9lIwBYZRLAXMu", "eyJhIjogMX0=.sig", "%00%ff", "%E2%82%AC", '"quoted"'],
)
def test_a_foreign_one_is_empty(ask_by, written, foreign) -> None:
    assert ask_by(show, headers={"Cookie": f"SESS_={foreign}"}) == ({}, [])
    assert "ignored" in written.app


@pytest.mark.row("SAD-SESS-09")
def test_one_that_lasts_longer_than_the_timeout_is_empty(ask, written) -> None:
    ask.app.session_timeout = 5000
    ask(put("n", 1))
    ask.app.session_timeout = 60
    assert ask(show)[0] == {}
    assert "longer than it may" in written.app


def test_one_of_another_name_is_empty(ask) -> None:
    ask(lambda was: was.session.mount("ADM", path="/").set("n", 1))
    ask.client.cookies.set("SESS_", ask.client.cookies.get("SESS__ADM"))
    assert ask(show)[0] == {}
    ask(lambda was: was.mbox.send("hello", "info"))
    ask.client.cookies.set("SESS_", ask.client.cookies.get("MBOX_"))
    assert ask(show)[0] == {}


@pytest.mark.parametrize("document", [b"{}", b"1", b"[1]", b'["a", 1]', b'["a", [1]]', b"no json", b"\xff"])
def test_one_with_another_content_is_empty(ask, written, document, clock) -> None:
    ask.client.cookies.set("SESS_", seal(document, "SESS_", int(clock.now) + 60, [KEY.encode()]))
    assert ask(show)[0] == {}
    assert "cookie SESS_ is ignored" in written.app


def test_of_several_the_one_that_opens_counts(ask) -> None:
    ask(put("n", 1))
    good = ask.client.cookies.get("SESS_")
    assert ask(show, headers={"Cookie": f"SESS_=planted; SESS_={good}"})[0] == {"n": 1}


def test_a_flood_of_them_is_one_line_of_the_log(ask, written) -> None:
    field = "; ".join(f"SESS_=planted{number}" for number in range(500))
    assert ask(show, headers={"Cookie": field})[0] == {}
    assert written.app.count("ignored") == 1


# Errors


def test_one_that_is_too_large_is_an_error(ask, written) -> None:
    ask(put("n", 1))
    Asking.function = staticmethod(put("n", "x" * 4000))
    answer = ask.client.get("/")
    assert answer.status == 500 and "Set-Cookie" not in answer.headers
    assert "cookie 'SESS_' would have" in written.app and "browsers drop one of more than 4096" in written.app
    assert ask(show)[0] == {"n": 1}


def test_what_cannot_be_kept_is_an_error_that_names_it(ask, written) -> None:
    Asking.function = staticmethod(put("cart", {"owner": object()}))
    answer = ask.client.get("/")
    assert answer.status == 500 and "Set-Cookie" not in answer.headers
    assert "SESS_ cannot be kept in a cookie: cart: owner: object is no type" in written.app


def test_a_change_that_comes_too_late_is_an_error(app, visit) -> None:
    app.securekey = KEY
    errors = []

    @app.route("/")
    def index(was):
        was.session["early"] = 1

        def pieces():
            yield repr(was.session.items())
            for change in (lambda: was.session.set("late", 1), was.session.clear, lambda: was.mbox.send("late")):
                try:
                    change()
                except RuntimeError as error:
                    errors.append(str(error))
            _ = was.mbox  # was not there before

        return pieces()

    assert visit(app).get("/").text == "[('early', 1)]"
    assert len(errors) >= 2 and "too late" in errors[0]


# Named sessions


@pytest.mark.row("SAD-SESS-10", "SAD-SESS-13", "SAD-SESS-14")
def test_the_documented_example_of_a_named_one(app, visit) -> None:
    app.securekey = KEY

    @app.route("/")
    def index(was):
        was.session.mount("ADM", SECUREKEY_STRING, path="/admin")
        was.session.set("admin_login", True)

        was.mbox.mount("ADM", SECUREKEY_STRING, path="/admin")
        was.mbox.send("10 data has been deleted", "warning")
        return "done"

    @app.route("/admin/page")
    @app.route("/other")
    def page(was):
        was.session.mount("ADM", SECUREKEY_STRING, path="/admin")
        was.mbox.mount("ADM", SECUREKEY_STRING, path="/admin")
        return repr((was.session.get("admin_login"), [message[4] for message in was.mbox.get()]))

    client = visit(app)
    client.get("/")
    assert {(each.name, each.path) for each in client.cookies} == {("SESS__ADM", "/admin"), ("MBOX__ADM", "/admin")}
    assert client.get("/other").text == "(None, [])"
    assert client.get("/admin/page").text == "(True, ['10 data has been deleted'])"
    assert client.get("/admin/page").text == "(True, [])"


@pytest.mark.row("SAD-SESS-13")
def test_a_named_one_of_the_root_is_for_all_apps(run) -> None:
    def make(name):
        app = Saddle(name)

        @app.route("/")
        def index(was, login=""):
            was.session.mount("ADM", SECUREKEY_STRING, path="/")
            if login:
                was.session.set("admin_login", True)
            return repr(was.session.get("admin_login"))

        return app

    running = run({"/a": make("a"), "/b": make("b")})
    sent = running.request("GET", "/a/?login=1", [("Host", "localhost")]).headers["Set-Cookie"]
    assert kept(sent)["Path"] == "/"
    fields = [("Host", "localhost"), ("Cookie", sent.partition(";")[0])]
    assert running.request("GET", "/b/", fields).content == b"True"


@pytest.mark.row("SAD-SESS-13")
def test_the_path_of_a_named_one_is_the_mount_point(app) -> None:
    app.securekey = KEY

    @app.route("/")
    def index(was):
        was.session.mount("ADM").set("n", 1)
        return "done"

    client = app.test_client("/shop")
    client.get("/shop/")
    assert [(each.name, each.path) for each in client.cookies] == [("SESS__ADM", "/shop")]


@pytest.mark.row("SAD-SESS-10", "SAD-SESS-14")
def test_mount_switches(ask) -> None:
    def work(was):
        was.session["n"] = 1
        was.session.mount("adm", SECUREKEY_STRING, None, "localhost", True, True, 60)
        inner = was.session.items()
        was.session["n"] = 2
        was.session.mount(None, KEY)
        outer = was.session.items()
        was.session.mount("ADM", SECUREKEY_STRING, None, "localhost", True, True, 60)
        return inner, outer, was.session.items()

    result, sent = ask(work)
    assert result == ([], [("n", 1)], [("n", 2)])
    assert [line.partition("=")[0] for line in sent] == ["SESS_", "SESS__ADM"]
    attributes = kept(sent[1])
    assert attributes["Domain"] == "localhost" and attributes["Max-Age"] == "60" and attributes["Path"] == "/"
    assert "Secure" in attributes and "HttpOnly" in attributes


def test_mount_alone_makes_no_cookie(ask) -> None:
    assert ask(lambda was: was.session.mount("ADM").get("n")) == (None, [])


def test_a_named_one_needs_no_key_of_the_app(ask, written) -> None:
    ask.app.securekey = None
    ask(lambda was: was.session.mount("ADM", SECUREKEY_STRING).set("n", 1))
    assert ask(lambda was: was.session.mount("ADM", SECUREKEY_STRING)["n"])[0] == 1
    assert ask(lambda was: was.session.mount("ADM", "a wrong key")["n"])[0] is None
    assert "another securekey" in written.app


@pytest.mark.row("SAD-SESS-11")
def test_mounting_the_default_one(ask) -> None:
    ask(put("n", 1))
    assert ask(lambda was: was.session.mount(None, KEY).get("n"))[0] == 1
    assert ask(lambda was: was.session.mount(None, KEY, path="/").get("n"))[0] == 1
    assert ask(lambda was: was.session.mount().get("n"))[0] == 1

    def wrong(was):
        with pytest.raises(AssertionError, match="securekey"):
            was.session.mount(None, "another key")
        with pytest.raises(AssertionError, match="path"):
            was.session.mount(None, KEY, path="/admin")

    ask(wrong)
    ask.app.securekey = ["new key", KEY]
    assert ask(lambda was: was.session.mount(None, ["new key", KEY]).get("n"))[0] == 1
    assert ask(lambda was: was.session.mount(None, "new key").get("n"))[0] == 1


def test_a_used_one_cannot_be_mounted_otherwise(ask) -> None:
    def work(was):
        was.session.mount("ADM", path="/a")
        was.session.mount("ADM", path="/b").set("n", 1)  # it was not used yet
        was.session.mount("adm", path="/b")
        with pytest.raises(AssertionError, match="SESS__ADM already"):
            was.session.mount("ADM", path="/a")
        return was.session.get("n")

    result, (line,) = ask(work)
    assert result == 1 and kept(line)["Path"] == "/b"


@pytest.mark.row("SAD-SESS-12")
def test_exists(ask_by, written) -> None:
    def exist(was):
        return was.session.exists(None), was.session.exists("ADM"), repr(was.session)

    assert ask_by(exist)[0] == (False, False, "<Session SESS_ unread>")
    ask_by(put("n", 1))
    assert ask_by(exist)[0][:2] == (True, False)
    ask_by(lambda was: was.session.mount("ADM", SECUREKEY_STRING).set("n", 1))
    assert ask_by(exist)[0] == (True, True, "<Session SESS_ unread>")
    for name in ("SESS_", "SESS__ADM"):
        ask_by.client.cookies.set(name, changed(ask_by.client.cookies.get(name).encode()).decode())
    assert ask_by(exist)[0][:2] == (False, False)


@pytest.mark.row("SAD-SESS-12")
def test_the_documented_example_of_exists(app, visit) -> None:
    app.securekey = KEY

    @app.route("/login")
    def login(was):
        was.session.set("n", 1)
        return "done"

    @app.route("/admin_login")
    def admin_login(was):
        was.session.mount("ADM", SECUREKEY_STRING)
        was.session.set("n", 1)
        return "done"

    @app.route("/")
    def index(was):
        if not was.session.exists(None):
            return "Your session maybe expired or signed out, please sign in again"

        if not was.session.exists("ADM"):
            return "Your admin session maybe expired or signed out, please sign in again"

        return "welcome"

    client = visit(app)
    assert client.get("/").text == "Your session maybe expired or signed out, please sign in again"
    client.get("/login")
    assert client.get("/").text == "Your admin session maybe expired or signed out, please sign in again"
    client.get("/admin_login")
    assert client.get("/").text == "welcome"


@pytest.mark.row("SAD-SESS-12")
def test_exists_after_changes_of_the_same_request(ask) -> None:
    def work(was):
        was.session["n"] = 1
        after_set = was.session.exists()
        was.session.clear()
        return after_set, was.session.exists()

    assert ask(work) == ((True, False), [])


def test_exists_of_an_expired_one(ask, clock) -> None:
    ask(put("n", 1))
    clock.now += 1300
    assert ask(lambda was: was.session.exists())[0] is False


def test_exists_where_no_page_has_mounted_it(ask, written) -> None:
    ask(lambda was: was.session.mount("ADM", SECUREKEY_STRING).set("n", 1))
    other = Asking(Saddle("another process"))
    other.client.cookies = ask.client.cookies
    assert other(lambda was: was.session.exists("ADM"))[0] is False
    assert "SESS__ADM is ignored" in written.app
    assert other(lambda was: was.session.exists("ADM", SECUREKEY_STRING))[0] is True
    other.app.securekey = None
    assert other(lambda was: was.session.exists("ADM"))[0] is False
    assert "no key of it is known in this process" in written.app
