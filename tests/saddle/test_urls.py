"""Building URLs, and that what was built is routed back."""

# ruff: noqa: UP031 - the documents' own code

from __future__ import annotations

from ast import literal_eval

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import Saddle, Saddlery


@pytest.fixture
def math(app):
    # fmt: off
    @app.route ("/add")
    def add (was, num1, num2):
      return int (num1) + int (num2)

    @app.route ("/hello/<name>")
    def hello (was, name = "Hans Roh"):
      return "Hello, %s" % name
    # fmt: on

    @app.route("/download/<int:major_ver>/<path>")
    def download(was, major_ver, path):
        return f"{major_ver} {path}"

    return app


def built(app, visit, point="/math"):
    """Return what ``was.ab`` of a function gives, by a function that is called in a request."""
    calls = []

    @app.route("/build")
    def build(was):
        return repr([call(was) for call in calls])

    client = visit(app, point)

    def ask(*wanted):
        calls[:] = wanted
        return literal_eval(client.get(f"{point}/build").text)

    return ask


@pytest.mark.row("SAD-URL-01", "SAD-APP-13")
def test_a_function_and_its_arguments(math, visit) -> None:
    ask = built(math, visit)
    assert ask(
        lambda was: was.app.build_url("add", 10, 40),
        lambda was: was.ab("add", 10, 40),
        lambda was: math.build_url("add", 10, 40),
        lambda was: was.app.url_for("add", num2=1, num1=2),
    ) == ["/math/add?num1=10&num2=40"] * 3 + ["/math/add?num2=1&num1=2"]


@pytest.mark.row("SAD-URL-02")
def test_positional_and_keyword_arguments(math, visit) -> None:
    ask = built(math, visit)
    assert ask(lambda was: was.ab("add", 10, num2=60)) == ["/math/add?num1=10&num2=60"]
    assert ask(lambda was: was.ab("add", 10, num2=60, more="a b")) == ["/math/add?num1=10&num2=60&more=a+b"]
    for wrong in (lambda: math.ab("add", 1, 2, 3), lambda: math.ab("add", 1, num1=2)):
        with pytest.raises(AssertionError):
            wrong()


@pytest.mark.row("SAD-URL-03")
def test_variables_of_the_rule(math, visit) -> None:
    ask = built(math, visit)
    assert ask(
        lambda was: was.ab("hello", "Your Name"),
        lambda was: was.ab("download", 1, "version/1.1/win 32"),
        lambda was: was.ab("hello", "a/b&c"),
    ) == ["/math/hello/Your_Name", "/math/download/1/version/1.1/win%2032", "/math/hello/a%2Fb%26c"]
    for wrong in (("download", 1), ("download", "x", "y"), ("hello", "")):
        with pytest.raises(AssertionError):
            math.ab(*wrong)


@pytest.mark.row("SAD-URL-04")
def test_a_path_below_the_mount_point(math, visit) -> None:
    assert built(math, visit)(lambda was: was.ab("/css/home.css"), lambda was: was.ab("/?mode=echo")) == [
        "/math/css/home.css",
        "/math/?mode=echo",
    ]


@pytest.mark.row("SAD-URL-05")
def test_functions_of_the_app_and_of_its_parts_find_each_other(app, visit) -> None:
    part, other = Saddlery(), Saddlery()

    # fmt: off
    @part.route ("/<name>")
    def hello (was, name):
      # can build other module's method url
      return was.ab ("index", 1, 2)

    @app.route ("/")
    def index (was, num1 = 0, num2 = 0):
      return was.ab ("hello", "Hans Roh") # url building
    # fmt: on

    @other.route("/other")
    def elsewhere(was):
        return was.ab("hello", "x")

    @other.route("/")
    def show(was):
        return was.ab("elsewhere")

    app.mount("/admin", part)
    app.mount("/other", other)
    client = visit(app, "/point")
    assert client.get("/point/?num1=1&num2=2").text == "/point/admin/Hans_Roh"
    assert client.get("/point/admin/Hans_Roh").text == "/point/?num1=1&num2=2"
    assert client.get("/point/other/other").text == "/point/admin/x"
    assert client.get("/point/other/").text == "/point/other/other"


def test_a_part_means_its_own_function_first(app, visit) -> None:
    part = Saddlery()

    @app.route("/")
    def index(was):
        return was.ab("index")

    @part.route("/of-part")
    def index(was):  # noqa: F811
        return was.ab("index")

    app.mount("/part", part)
    client = visit(app)
    assert client.get("/").text == "/"
    assert client.get("/part/of-part").text == "/part/of-part"


@pytest.mark.row("SAD-URL-06")
def test_defaults_are_not_added_but_stand_in_for_variables(math) -> None:
    @math.route("/list/<int:page>")
    def listing(was, page=1, size=20):
        return ""

    assert math.ab("listing") == "/list/1"
    assert math.ab("listing", 2, 20) == "/list/2?size=20"
    assert math.ab("hello") == "/hello/Hans_Roh"


@pytest.mark.row("SAD-URL-07")
def test_an_unknown_name_is_none_and_logged(math, written) -> None:
    assert math.ab("nothing") is None
    assert "no URL for 'nothing'" in written.app


def test_lists_repeat_their_name_and_none_is_left_out(math) -> None:
    assert math.ab("add", [1, 2], None) == "/add?num1=1&num1=2"
    assert math.ab(next(iter(math.routes())).function, 1, 2) == "/add?num1=1&num2=2"


def every() -> Saddle:
    app = Saddle(__name__)

    @app.route("/t/<text>/x")
    def text(was, text):
        return repr(text)

    @app.route("/i/<int:n>")
    def whole(was, n):
        return repr(n)

    @app.route("/f/<float:n>")
    def number(was, n):
        return repr(n)

    @app.route("/p/<path:rest>")
    def rest(was, rest):
        return repr(rest)

    @app.route("/mixed-<int:n>-<name>.html")
    def mixed(was, n, name):
        return repr((n, name))

    @app.route("/q")
    def query(was, a, b):
        return repr((a, b))

    return app


APP = every()
CLIENT = APP.test_client()
# An underscore is the one character that a text of a URL cannot carry: it means a blank.
TEXT = st.text(st.characters(exclude_characters="_", exclude_categories=["Cs"]), min_size=1)


def round_trip(name, *values):
    answer = CLIENT.get(APP.ab(name, *values))
    assert answer.status == 200
    return literal_eval(answer.text)


@given(TEXT)
def test_any_text_comes_back(text) -> None:
    assert round_trip("text", text) == text


@given(st.integers(min_value=0))
def test_any_int_comes_back(number) -> None:
    assert round_trip("whole", number) == number


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_any_float_comes_back(number) -> None:
    assert round_trip("number", number) == number


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_path_comes_back(text) -> None:
    assert round_trip("rest", text) == text


@given(st.integers(min_value=0), TEXT)
def test_variables_that_share_a_segment_come_back(number, text) -> None:
    assert round_trip("mixed", number, text) == (number, text)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_query_comes_back(one, other) -> None:
    assert round_trip("query", one, other) == (one, other)


@given(st.text(st.sampled_from("/%<>_+.a1é ?&=;"), max_size=30))
def test_no_path_makes_routing_fail(path) -> None:
    assert CLIENT.get("/" + path.encode("ascii", "ignore").decode().replace(" ", "")).status in (200, 301, 400, 404)
