"""Hooks around requests and around the life of an app, ``was.g``, and errors."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from skitai import was as imported_was
from skitai.saddle import HttpError, Saddle, Saddlery
from skitai.was._context import wasc


def hooked(part, name, trail, *, before=None, failed=None):
    """Give a part hooks that write into ``trail``."""

    @part.before_request
    def before_request(was):
        trail.append(f"{name}.before")
        return before

    @part.finish_request
    def finish_request(was):
        trail.append(f"{name}.finish")
        return "ignored"

    @part.failed_request
    def failed_request(was, exc_info):
        trail.append(f"{name}.failed {exc_info[0].__name__}")
        assert exc_info[1] is sys.exc_info()[1]
        return failed

    @part.teardown_request
    def teardown_request(was):
        trail.append(f"{name}.teardown")


@pytest.mark.row("SAD-EVT-01", "SAD-EVT-02", "SAD-EVT-04")
def test_before_finish_and_teardown(app, visit) -> None:
    trail = []
    hooked(app, "app", trail)

    @app.route("/")
    def view_account(was, userid="x"):
        trail.append("function")
        return "content"

    client = visit(app)
    assert client.get("/?userid=1").text == "content"
    assert trail == ["app.before", "function", "app.finish", "app.teardown"]


@pytest.mark.row("SAD-EVT-01")
def test_what_before_request_returns_is_the_response(app, visit) -> None:
    trail = []
    hooked(app, "app", trail, before="Not Authorized")
    app.route("/")(lambda was: trail.append("function"))
    assert visit(app).get("/").text == "Not Authorized"
    assert trail == ["app.before", "app.teardown"]


def test_what_is_not_true_lets_the_function_run(app) -> None:
    app.before_request(lambda was: "")
    app.route("/")(lambda was: "content")
    assert app.test_client().get("/").text == "content"


@pytest.mark.row("SAD-EVT-03", "SAD-EVT-04")
def test_failed_request_answers_or_lets_it_fail(app, visit, written) -> None:
    trail = []
    hooked(app, "app", trail)

    # fmt: off
    @app.failed_request
    def failed_request (was, exc_info):
      # releasing resources
      trail.append (exc_info [0])
      if was.request.args.get ("handle"):
        return was.response (
          "501 Server Error",
          "We're sorry but something's going wrong"
        )
      return None
    # fmt: on

    @app.route("/")
    def function(was, handle=""):
        raise KeyError("missing")

    client = visit(app)
    answer = client.get("/?handle=1")
    assert (answer.status, answer.reason, answer.text[:11]) == (501, "Server Error", "We're sorry")
    assert trail == ["app.before", KeyError, "app.teardown"]
    trail.clear()
    answer = client.get("/")
    assert answer.status == 500
    assert "KeyError" not in answer.text
    assert trail == ["app.before", KeyError, "app.teardown"]
    assert "KeyError" in written.app


@pytest.mark.row("SAD-EVT-05")
def test_the_sequence_is_that_of_the_documents(app) -> None:
    """The documents' own pseudo code, run beside the framework with every combination of what can fail."""

    def documented(before_request, view_account, failed_request, finish_request, teardown_request, was):
        try:
            try:
                content = before_request(was)
                if content:
                    return content
                content = view_account(was)
            except Exception:
                content = failed_request(was, sys.exc_info())
                if content is None:
                    raise
            else:
                finish_request(was)
        finally:
            teardown_request(was)
        return content

    kinds = (None, "content", ZeroDivisionError)
    trail = []
    chosen = {}

    def step(name):
        def run(was, *exc_info):
            trail.append(name)
            result = chosen[name]
            if isinstance(result, type):
                raise result
            return result

        return run

    names = ("before_request", "function", "failed_request", "finish_request", "teardown_request")
    steps = [step(name) for name in names]
    for name, run in zip(names, steps, strict=True):
        (app.route("/") if name == "function" else getattr(app, name))(run)
    endpoint = app.table.statics["/"]["GET"]
    for number in range(3**5):
        chosen.update({name: kinds[number // 3**place % 3] for place, name in enumerate(names)})
        outcomes = []
        for way in (lambda: documented(*steps, None), lambda: endpoint._run(_Was())):
            trail.clear()
            try:
                outcome = way()
            except ZeroDivisionError:
                outcome = "raised"
            outcomes.append((outcome, tuple(trail)))
        assert outcomes[0] == outcomes[1], chosen


class _Was:
    """Enough of a request for a call without arguments."""

    request = SimpleNamespace(args={})


@pytest.mark.row("SAD-EVT-06")
def test_hooks_of_parts_nest(app, visit) -> None:
    trail = []
    part, inner = Saddlery(), Saddlery()
    hooked(app, "app", trail)
    hooked(part, "part", trail)
    hooked(inner, "inner", trail, failed="handled")
    app.route("/")(lambda was: "app")
    part.route("/<name>")(lambda was, name: trail.append("function") or "part")

    @part.route("/fail/now")
    def fail(was):
        raise KeyError

    @inner.route("/fail")
    def fail_inside(was):
        raise KeyError

    part.mount("/inner", inner)
    app.mount("/admin", part)
    client = visit(app)
    client.get("/admin/x")
    assert trail == [
        "app.before",
        "part.before",
        "function",
        "part.finish",
        "part.teardown",
        "app.finish",
        "app.teardown",
    ]
    trail.clear()
    assert client.get("/admin/fail/now").status == 500
    assert trail == [
        "app.before",
        "part.before",
        "part.failed KeyError",
        "part.teardown",
        "app.failed KeyError",
        "app.teardown",
    ]
    trail.clear()
    assert client.get("/admin/inner/fail").text == "handled"
    assert trail == [
        "app.before",
        "part.before",
        "inner.before",
        "inner.failed KeyError",
        "inner.teardown",
        "part.finish",
        "part.teardown",
        "app.finish",
        "app.teardown",
    ]
    trail.clear()
    client.get("/")
    assert trail == ["app.before", "app.finish", "app.teardown"]


@pytest.mark.row("SAD-EVT-07")
def test_the_last_registration_wins(app) -> None:
    trail = []
    for name in "ab":
        app.before_request(lambda was, name=name: trail.append(name))
    app.route("/")(lambda was: "x")
    app.test_client().get("/")
    assert trail == ["b"]


@pytest.mark.row("SAD-EVT-08")
def test_g_belongs_to_one_request(app, visit) -> None:
    seen = []

    @app.before_request
    def before(was):
        with pytest.raises(AttributeError):
            _ = was.g.user_id
        was.g.user_id = "jerry"

    @app.finish_request
    def finish(was):
        seen.append(was.g)

    @app.route("/")
    def view(was):
        return was.g.user_id

    client = visit(app)
    assert [client.get("/").text for _ in range(2)] == ["jerry", "jerry"]
    assert seen[0] is not seen[1]


@pytest.mark.row("SAD-EVT-09", "SAD-EVT-11", "SAD-EVT-12", "SAD-EVT-18")
def test_startup_and_shutdown_run_with_the_server(app, run, written) -> None:
    trail = []
    part = Saddlery()
    for each, name in ((app, "app"), (part, "part")):

        @each.startup
        def startup(wasc, name=name):
            trail.append(f"{name}.startup {wasc.numthreads == 1000}")
            wasc.register(f"engine_of_{name}", name)

        @each.shutdown
        def shutdown(wasc, name=name):
            trail.append(f"{name}.shutdown {wasc.unregister(f'engine_of_{name}')}")
            raise RuntimeError("logged, and the others go on")

        @each.onreload
        def onreload(wasc):
            raise AssertionError("there was no reload")

    app.route("/")(lambda was: was.engine_of_app + was.engine_of_part)
    app.mount("/part", part)
    server = run({"": app, "/again": app})
    assert trail == ["app.startup True", "part.startup True"]
    assert server.request("GET", "/", [("Host", "test")]).content == b"apppart"
    server.stop()
    assert trail[2:] == ["part.shutdown part", "app.shutdown app"]
    assert written.app.count("logged, and the others go on") == 2
    assert wasc.numthreads == 1000


@pytest.mark.row("SAD-EVT-10")
def test_onreload_runs_in_place_of_startup(app) -> None:
    trail = []
    app.startup(lambda wasc: trail.append("startup"))
    app.onreload(lambda wasc: trail.append(wasc))
    app.begin("/x", is_reload=True)
    assert trail == [wasc]


def test_a_startup_that_fails_is_logged_and_the_app_serves(app, run, written) -> None:
    @app.startup
    def startup(wasc):
        raise RuntimeError("no database")

    app.route("/")(lambda was: "served")
    assert run({"": app}).request("GET", "/", [("Host", "test")]).content == b"served"
    assert "no database" in written.app


def test_an_app_that_is_put_together_wrongly_answers_500_and_the_log_says_why(app, run, written) -> None:
    app.route("/<int:missing>")(lambda was: "x")
    assert run({"": app}).request("GET", "/", [("Host", "test")]).status == 500
    assert "does not take 'missing'" in written.app


@pytest.mark.row("SAD-EVT-13", "SAD-EVT-14", "WAS-GEN-10")
def test_registered_objects_are_seen_by_all_apps_of_all_hosts(run) -> None:
    members, register, other = (Saddle(__name__) for _ in range(3))

    # fmt: off
    @members.startup
    def startup (wasc):
      wasc.register ("loginengine", "engine")

    @members.route ("/")
    def index (was):
      return was.loginengine

    @register.route ("/")
    def index (was):  # noqa: F811
      return was.loginengine

    @other.route ("/")
    def index (was):  # noqa: F811
      return was.loginengine
    # fmt: on
    server = run({("abc.com", "/members"): members, ("abc.com", "/register"): register, ("def.com", "/"): other})
    try:
        for host, path in (("abc.com", "/members/"), ("abc.com", "/register/"), ("def.com", "/")):
            assert server.request("GET", path, [("Host", host)]).content == b"engine"
        assert wasc.loginengine == imported_was.loginengine == "engine"
    finally:
        wasc.unregister("loginengine")
    assert server.request("GET", "/", [("Host", "def.com")]).status == 500


@pytest.mark.row("SAD-EVT-09", "SAD-EVT-11", "SAD-EVT-13", "SAD-EVT-14", "SAD-EVT-15", "SAD-EVT-16", "SAD-EVT-17")
def test_the_app_decorators_of_the_documents(app, run, written) -> None:
    """As they are written there, with apps at the three places that they name."""
    trail = []

    class SNSLoginEngine:
        def __init__(self, logger):
            self.logger = logger

        def get_user_info(self):
            self.logger("somebody asks", "info")

        def check_user_to(self, service):
            trail.append(service)

        def reset(self):
            trail.append("reset")

    class FulltextSearcher:
        def __init__(self, numthreads):
            trail.append(numthreads)

        def query(self, words):
            return f"found {words}"

        def close(self):
            trail.append("closed")

    # fmt: off
    @app.startup
    def startup (wasc):
      logger = wasc.logger.get ("app")
      # OR
      logger = wasc.logger.make_logger ("login", "daily")
      config = wasc.config  # noqa: F841
      wasc.register ("loginengine", SNSLoginEngine (logger))
      wasc.register ("searcher", FulltextSearcher (wasc.numthreads))

    @app.onreload
    def onreload (wasc):
      wasc.loginengine.reset ()

    @app.shutdown
    def shutdown (wasc):
      wasc.searcher.close ()

      wasc.unregister ("loginengine")
      wasc.unregister ("searcher")

    # app mounted to 'abc.com/members'
    @app.route ("/")
    def index (was):
      was.loginengine.get_user_info ()
      return was.searcher.query ("ipad")
    # fmt: on
    register, other = Saddle(__name__), Saddle(__name__)

    # fmt: off
    # app mounted to 'abc.com/register'
    @register.route ("/")
    def index (was):  # noqa: F811
      was.loginengine.check_user_to ("facebook")
      return was.searcher.query ("ipad")

    # app mounted to 'def.com/'
    @other.route ("/")
    def index (was):  # noqa: F811
      return was.searcher.query ("news")
    # fmt: on
    server = run({("abc.com", "/members"): app, ("abc.com", "/register"): register, ("def.com", "/"): other})
    found = [
        server.request("GET", path, [("Host", host)]).content.decode()
        for host, path in (("abc.com", "/members/"), ("abc.com", "/register/"), ("def.com", "/"))
    ]
    assert found == ["found ipad", "found ipad", "found news"]
    onreload(wasc)  # that it is called after a reload is shown where apps are reloaded
    server.stop()
    assert trail == [1000, "facebook", "reset", "closed"]
    assert not hasattr(imported_was, "loginengine") and not hasattr(imported_was, "searcher")
    assert "[info] somebody asks" in written.app


def test_was_is_passed_and_is_what_is_imported(app, visit) -> None:
    seen = []

    def look(was, *more):
        current = import_module("skitai.was._context").current()
        seen.append(current is was and imported_was.request is was.request and imported_was.app is app)

    for hook in (app.before_request, app.finish_request, app.teardown_request):
        hook(look)
    app.route("/")(lambda was: look(was) or "x")
    visit(app).get("/")
    assert seen == [True] * 4


@pytest.mark.row("SAD-APP-02")
def test_tracebacks_are_shown_in_debug_mode_only(app, visit, written) -> None:
    @app.route("/")
    def fail(was, text=""):
        raise RuntimeError("<b>secret</b>")

    client = visit(app)
    answer = client.get("/")
    assert answer.status == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert "secret" in written.app
    transaction = answer.text.partition("Request: ")[2].partition("<")[0]
    assert f"[expt:{transaction}]" in written.app
    app.debug = True
    answer = client.get("/")
    assert "RuntimeError: &lt;b&gt;secret&lt;/b&gt;" in answer.text
    assert "<b>secret" not in answer.text
    assert written.app.count("secret") == 2


def test_an_http_error_is_a_response(app, visit) -> None:
    @app.route("/")
    def teapot(was):
        raise HttpError(418, "no <coffee>", [("X-Pot", "tea")])

    answer = visit(app).get("/")
    assert (answer.status, answer.headers["X-Pot"]) == (418, "tea")
    assert "no &lt;coffee&gt;" in answer.text


def test_what_failed_changes_nothing_of_the_response(app, visit) -> None:
    @app.route("/")
    def fail(was):
        was.response.set_header("Set-Cookie", "a=b")
        was.response.set_status("201 Created")
        raise RuntimeError

    answer = visit(app).get("/")
    assert answer.status == 500
    assert "Set-Cookie" not in answer.headers


def test_sys_exit_in_a_function_does_not_leave_the_client_waiting(app, run) -> None:
    trail = []
    app.teardown_request(lambda was: trail.append("teardown"))
    app.route("/")(lambda was: sys.exit(1))
    server = run({"": app})
    for _ in range(2):
        assert server.request("GET", "/", [("Host", "test")]).status == 500
    assert trail == ["teardown", "teardown"]
    assert server.server.slots.busy == 0


def test_what_waits_for_the_end_of_a_request_is_called_once(app, visit, written) -> None:
    trail = []

    @app.route("/<kind>")
    def function(was, kind):
        was.at_end(lambda: trail.append(kind))
        if kind == "fails":
            raise RuntimeError
        if kind == "streams":
            return (trail.append("piece") or "x" for _ in range(2))
        return "x"

    client = visit(app)
    for kind in ("plain", "fails", "streams"):
        trail.clear()
        client.get(f"/{kind}")
        assert trail == (["piece", "piece", "streams"] if kind == "streams" else [kind])


@pytest.mark.parametrize("failing", ["finish_request", "teardown_request"])
@pytest.mark.parametrize("returned", ["alone", "in a list", "by a hook"])
def test_content_is_closed_when_a_hook_fails_after_it(app, visit, written, failing, returned) -> None:
    closed = []

    class Content(io.BytesIO):
        def close(self):
            closed.append(True)

    content = Content(b"page")

    @app.route("/")
    def function(was):
        return ["x", content] if returned == "in a list" else content

    if returned == "by a hook":
        app.before_request(lambda was: content)
    getattr(app, failing)(lambda was: 1 // 0)
    answer = visit(app).get("/")
    if (failing, returned) == ("finish_request", "by a hook"):
        assert (answer.status, answer.content) == (200, b"page")  # there was nothing to finish
    else:
        assert answer.status == 500
        assert "ZeroDivisionError" in written.app
    assert closed == [True]
