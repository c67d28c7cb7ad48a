"""Routing: rules, priorities, methods, content types, trailing slashes, and arguments out of the URL."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import Saddle, Saddlery
from skitai.saddle.errors import SetupError
from skitai.saddle.rules import TEXT, parse_rule
from skitai.saddle.table import _Pattern


@pytest.mark.row("SAD-ROUTE-01")
def test_a_function_is_registered_under_a_rule(app, visit) -> None:
    @app.route("/hello")
    def hello_world(was):
        return "hello"

    @app.route("/again")
    @app.route("/more")
    def several(was):
        return "several"

    with pytest.raises(AssertionError):
        app.route("hello")(hello_world)
    assert callable(hello_world)
    client = visit(app)
    assert client.get("/hello").text == "hello"
    assert client.get("/again").text == client.get("/more").text == "several"
    assert client.get("/nowhere").status == 404


@pytest.mark.row("SAD-ROUTE-02")
def test_other_methods_are_405_with_allow(app, visit) -> None:
    @app.route("/hello", methods=["GET"])
    def hello(was):
        return "hello"

    @app.route("/all")
    def every(was):
        return was.request.method

    client = visit(app)
    assert client.get("/hello").status == 200
    refused = client.post("/hello")
    assert refused.status == 405
    assert refused.headers["Allow"] == "GET, HEAD"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.request(method, "/all").text == method


@pytest.mark.row("SAD-ROUTE-03")
def test_other_content_types_are_415(app, visit) -> None:
    @app.route("/hello", methods=["POST"], content_types=["text/plain"])
    def hello(was):
        return was.request.body

    client = visit(app)
    assert client.post("/hello", b"x", headers={"Content-Type": "text/plain; charset=utf-8"}).text == "x"
    refused = client.post("/hello", json={})
    assert refused.status == 415
    assert "text/plain" in refused.text


def test_the_content_type_chooses_among_routes_of_one_rule(app, visit) -> None:
    @app.route("/x", methods=["POST"], content_types=["application/json"])
    def documents(was):
        return "json"

    @app.route("/x", methods=["POST"])
    def others(was, **form):
        return "other"

    client = visit(app)
    assert client.post("/x", json={}).text == "json"
    assert client.post("/x", {"a": "b"}).text == "other"


def test_the_method_chooses_among_routes_of_one_rule(app, visit) -> None:
    @app.route("/x", methods=["GET"])
    def show(was):
        return "show"

    @app.route("/x", methods=["POST"])
    def store(was):
        return "store"

    client = visit(app)
    assert (client.get("/x").text, client.post("/x").text) == ("show", "store")
    assert client.delete("/x").headers["Allow"] == "GET, HEAD, POST"


def test_a_rule_that_matches_without_the_method_does_not_hide_one_with_it(app, visit) -> None:
    @app.route("/<int:number>", methods=["GET"])
    def by_number(was, number):
        return f"number {number}"

    @app.route("/<name>", methods=["POST"])
    def by_name(was, name):
        return f"name {name}"

    client = visit(app)
    assert client.get("/5").text == "number 5"
    assert client.post("/5").text == "name 5"
    assert client.delete("/5").headers["Allow"] == "GET, HEAD, POST"


def test_head_is_get_without_a_body(app, visit) -> None:
    @app.route("/hello", methods=["GET"])
    def hello(was):
        return "hello"

    answer = visit(app).head("/hello")
    assert (answer.status, answer.content) == (200, b"")


def test_options_of_a_route_that_lists_it_says_what_is_allowed(app, visit) -> None:
    @app.route("/post", methods=["POST", "OPTIONS"])
    def post(was):
        raise AssertionError("not for OPTIONS")

    @app.route("/own", methods=["OPTIONS"])
    def own(was):
        return "mine"

    client = visit(app)
    answer = client.options("/post")
    assert (answer.status, answer.headers["Allow"]) == (200, "OPTIONS, POST")
    assert client.options("/own").text == "mine"


@pytest.mark.row("SAD-ROUTE-06")
def test_an_int_of_the_url(app, visit) -> None:
    @app.route("/hello/<int:num>")
    def hello_world(was, num=8):
        return repr(num)

    client = visit(app)
    assert client.get("/hello/100").text == "100"
    assert client.get("/hello/007").text == "7"
    for other in ("x", "1.5", "-1", "", "%C2%B2", "9" * 5000):
        assert client.get(f"/hello/{other}").status == 404


@pytest.mark.row("SAD-ROUTE-07")
def test_a_float_of_the_url(app, visit) -> None:
    @app.route("/scale/<float:x>")
    def scale(was, x):
        return repr(x)

    client = visit(app)
    assert client.get("/scale/1.5").text == "1.5"
    assert client.get("/scale/2").text == "2.0"
    assert client.get("/scale/.5").text == "0.5"
    for other in ("x", "1.2.3", ".", "nan", "1e5"):
        assert client.get(f"/scale/{other}").status == 404


@pytest.mark.row("SAD-ROUTE-08")
def test_a_text_of_the_url_is_one_segment_and_its_underscores_are_blanks(app, visit) -> None:
    @app.route("/hello/<name>")
    def hello(was, name="Hans Roh"):
        return f"Hello, {name}"

    client = visit(app)
    assert client.get("/hello/Hans_Roh").text == "Hello, Hans Roh"
    assert client.get("/hello/Hans+Roh").text == "Hello, Hans Roh"
    assert client.get("/hello/Hans%20Roh").text == "Hello, Hans Roh"
    assert client.get("/hello/%ED%95%9C").text == "Hello, 한"
    assert client.get("/hello/a/b").status == 404
    assert client.get("/hello/").status == 404


def test_an_encoded_slash_stays_in_its_segment(app) -> None:
    @app.route("/hello/<name>")
    def hello(was, name):
        return name

    assert app.test_client().get("/hello/a%2Fb").text == "a/b"


@pytest.mark.row("SAD-ROUTE-09")
def test_a_path_takes_the_rest_of_the_url(app, visit) -> None:
    @app.route("/download/<int:major_ver>/<path>")
    def download(was, major_ver, path):
        return f"{major_ver!r} {path}"

    @app.route("/files/<path:name>")
    def files(was, name):
        return name

    client = visit(app)
    assert client.get("/download/1/version/1.1/win32").text == "1 version/1.1/win32"
    assert client.get("/files/a_b/c.txt").text == "a_b/c.txt"
    assert client.get("/files/").text == ""
    with pytest.raises(SetupError, match="last segment"):
        Saddle(__name__).route("/<path>/more")(download)
        _ = _built("/<path>/more", download)


def _built(rule, function):
    app = Saddle(__name__)
    app.route(rule)(function)
    return app.table


@pytest.mark.row("SAD-ROUTE-12")
def test_a_missing_trailing_slash_is_redirected(app, visit) -> None:
    @app.route("/hello/")
    def hello(was, a=""):
        return f"hello {a}"

    @app.route("/bare")
    def bare(was):
        return "bare"

    client = visit(app)
    answer = client.get("/hello?a=1")
    assert (answer.status, answer.headers["Location"]) == (301, "/hello/?a=1")
    assert client.get("/hello?a=1", follow=True).text == "hello 1"
    assert client.post("/hello", {"a": "1"}).status == 308
    assert client.get("/bare/").status == 404


def test_a_missing_slash_below_a_mount_point_never_leads_to_another_host(app, visit) -> None:
    @app.route("/<path>")
    def anything(was, path):
        return path if path.endswith("/") else was.response("404 Not Found")

    @app.route("/a/")
    def a(was):
        return "a"

    client = visit(app, "/math")
    assert client.get("/math/a/").text == "a"
    answer = visit(_only("/<name>/"), "").get("//evil.example")
    assert answer.status == 404 or answer.headers["Location"].startswith("/evil")


def _only(rule):
    app = Saddle(__name__)

    @app.route(rule)
    def found(was, name):
        return name

    return app


@pytest.mark.row("SAD-ROUTE-13")
def test_exact_rules_come_first_then_longer_texts(app, visit) -> None:
    part = Saddlery()

    @part.route("/exact")
    def exact_of_part(was):
        return "exact of part"

    @part.route("/<name>")
    def name_of_part(was, name):
        return f"part {name}"

    @app.route("/<path>")
    def rest(was, path):
        return f"rest {path}"

    @app.route("/<name>")
    def name(was, name):
        return f"name {name}"

    @app.route("/<int:number>")
    def number(was, number):
        return f"number {number}"

    @app.route("/page-<name>")
    def page(was, name):
        return f"page {name}"

    @app.route("/page-one-<name>")
    def page_one(was, name):
        return f"page one {name}"

    @app.route("/a/<name>")
    def longer(was, name):
        return f"a {name}"

    @app.route("/a/b")
    def exact(was):
        return "exact"

    app.mount("/", part)
    client = visit(app)
    for url, text in {
        "/a/b": "exact",
        "/a/c": "a c",
        "/5": "number 5",
        "/x": "name x",  # the app's, although the part has such a rule as well
        "/page-one-two": "page one two",
        "/page-two": "page two",
        "/x/y": "rest x/y",
        "/exact": "exact of part",
        "/a/c/d": "rest a/c/d",
    }.items():
        assert client.get(url).text == text


@pytest.mark.row("SAD-ROUTE-13")
def test_rules_match_the_whole_path(app, visit) -> None:
    @app.route("/a/<int:n>/b")
    def found(was, n):
        return "found"

    client = visit(app)
    assert client.get("/a/1/b").status == 200
    for other in ("/a/1/bc", "/x/a/1/b", "/a/1/b/c", "/a/1"):
        assert client.get(other).status == 404


@pytest.mark.row("SAD-ROUTE-14")
def test_a_path_that_was_resolved_keeps_its_part(app, visit) -> None:
    part = Saddlery()

    @part.route("/<name>")
    def hello(was, name):
        return f"{was.subapp is part} {was.app is app}"

    @app.route("/")
    def index(was):
        return f"{was.subapp is app}"

    app.mount("/admin", part)
    client = visit(app)
    for _ in range(2):
        assert client.get("/admin/x").text == "True True"
        assert client.get("/").text == "True"


@pytest.mark.row("SAD-ROUTE-16")
def test_a_number_is_no_content_for_http(app, visit, written) -> None:
    @app.route("/hello")
    def hello_world(was, num=8):
        return num

    client = visit(app)
    # In a query it is a text, so the seed's sample works; the default is a number.
    assert client.get("/hello?num=100").text == "100"
    assert client.get("/hello").status == 500
    assert "a function returned int" in written.app


def test_a_route_after_the_first_request_is_an_error_that_says_so(app) -> None:
    @app.route("/")
    def index(was):
        return "index"

    app.test_client().get("/")
    with pytest.raises(SetupError, match=r"route\('/late'\) came after the first request"):
        app.route("/late")(index)
    with pytest.raises(SetupError, match="@before_request came after"):
        app.before_request(index)
    with pytest.raises(SetupError, match="mount"):
        app.mount("/part", Saddlery())


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("/<nothing:x>", "kind 'nothing'"),
        ("/<int:1x>", "no name for an argument"),
        ("/<a>/<a>", "same name"),
        ("/<a", "belongs to no variable"),
        ("/<int:missing>", "does not take 'missing'"),
    ],
)
def test_a_rule_that_cannot_work_is_an_error_at_start(app, rule, reason) -> None:
    @app.route(rule)
    def function(was, a=1):
        return "x"

    with pytest.raises(SetupError, match=reason):
        app.begin()


def test_an_unknown_option_and_a_coroutine_are_errors(app) -> None:
    with pytest.raises(SetupError, match="nobody knows: method"):
        app.route("/", method=["GET"])(lambda was: "x")

    async def later(was):
        return "x"

    with pytest.raises(SetupError, match="coroutine"):
        app.route("/")(later)


@pytest.mark.parametrize("path", ["/%zz", "/%", "/a%2", "/%ff", "/hello/%c3%28", "/x?a=%zz", "/x?a=%ff"])
def test_percent_encoding_that_is_none_is_400(app, path) -> None:
    @app.route("/hello/<name>")
    def hello(was, name):
        return name

    @app.route("/x")
    def x(was, a=""):
        return a

    assert app.test_client().get(path).status == 400


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/<a>-<b>-<c>-<d>.html", "-" * 7000),
        ("/<a>-<int:n>-<b>-<c>.html", "-1" * 3500),
        ("/<a>-<b>-<c>-<int:n>", "-1" * 3500 + "x"),
    ],
)
def test_no_path_is_tried_in_all_the_ways_to_cut_it(app, rule, path) -> None:
    # There are ten billion and more of them: without an end of its own this would never come back.
    app.route(rule)(lambda was, **values: repr(values))
    assert app.test_client().get(f"/{path}").status == 404


@given(
    st.sampled_from(["/<a>-<b>", "/<a>-<b>.<c>", "/<a>-<int:n>-<b>", "/a<float:x>-<b>1", "/<int:n>-<a>-<float:x>-<b>"]),
    st.text("a1-.", max_size=16),
)
def test_no_way_to_read_a_segment_is_lost(rule, segment) -> None:
    pattern = _Pattern(parse_rule(rule).segments[0])
    every_way = re.fullmatch(pattern.key.replace("(?>", "(?:"), segment)
    values = pattern.read(segment)
    assert (values is None) == (every_way is None)
    assert values is None or [str(value) for value in values if isinstance(value, str)] == [
        text for text, kind in zip(every_way.groups(), pattern.kinds, strict=True) if kind is TEXT
    ]


@pytest.mark.parametrize(
    ("rule", "path", "values"),
    [
        ("/<a>-<b>.html", "x-y-z.html", {"a": "x", "b": "y-z"}),
        ("/<a>-<int:n>-<b>", "x-y-5-z-6-u", {"a": "x-y", "n": 5, "b": "z-6-u"}),
        ("/<a>-<int:n>", "x-1-2", {"a": "x-1", "n": 2}),
        ("/<float:x>.<b>", "1.5.txt", {"x": 1.5, "b": "txt"}),
        ("/<float:x>.<b>", "1.txt", {"x": 1.0, "b": "txt"}),
    ],
)
def test_what_variables_of_one_segment_get(app, rule, path, values) -> None:
    app.route(rule)(lambda was, **values: repr(values))
    assert app.test_client().get(f"/{path}").text == repr(values)


@pytest.mark.parametrize("path", ["/app%2Fx", "/app%2fx", "/%61pp%2Fx", "/%61pp/x"])
def test_an_encoded_slash_behind_the_mount_point_is_one(app, visit, path) -> None:
    app.route("/<name>")(lambda was, name: name)
    assert visit(app, "/app").get(path).text == "x"


def test_no_backslash_in_a_redirection(app) -> None:
    app.route("/<name>/")(lambda was, name: name)
    answer = app.test_client().get("/\\evil.example")
    assert (answer.status, answer.headers["Location"]) == (301, "/%5Cevil.example/")
