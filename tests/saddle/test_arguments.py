"""Arguments of functions from URL, query and form; their types; what a client is told when they do not fit."""

# ruff: noqa: UP031 - the documents' own code

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest

from skitai.saddle.errors import SetupError


@pytest.mark.row("SAD-ROUTE-10")
def test_url_query_and_form_are_arguments_by_name(app, visit) -> None:
    @app.route("/hello/<name>")
    def hello(was, name, num=8, comment="none"):
        return f"{name!r} {num!r} {comment!r}"

    client = visit(app)
    assert client.get("/hello/Hans").text == "'Hans' 8 'none'"
    assert client.get("/hello/Hans?num=100").text == "'Hans' '100' 'none'"
    assert client.post("/hello/Hans?num=100", {"comment": "hi all"}).text == "'Hans' '100' 'hi all'"


@pytest.mark.row("SAD-ROUTE-10")
def test_the_documents_own_sample(app, visit) -> None:
    # fmt: off
    @app.route ("/hello")
    def hello_world (was, num = 8):
      return num
    # http://127.0.0.1:5000/hello?num=100

    @app.route ("/hello/<int:num>")
    def hello_world (was, num = 8):  # noqa: F811
      return str (num)
      # http://127.0.0.1:5000/hello/100
    # fmt: on
    client = visit(app)
    assert client.get("/hello?num=100").text == "100"
    assert client.get("/hello/100").text == "100"


@pytest.mark.row("SAD-ROUTE-10")
def test_an_argument_that_is_not_expected_is_ignored_or_400_and_named(app, visit, written) -> None:
    @app.route("/index")
    def index(was, a="1"):
        return a

    @app.route("/open")
    def everything(was, **kw):
        return repr(sorted(kw))

    client = visit(app)
    for target in ("/index?t=1", "/index?t=1&a=1", "/index?a=1&t=1&t=2"):
        assert client.get(target).text == "1"
    assert client.post("/index", {"t": "1", "a": "2"}).text == "2"
    assert client.get("/open?t=1&u=2").text == "['t', 'u']"
    app.config.strict_arguments = True
    answer = client.get("/index?t=1")
    assert answer.status == 400
    assert client.post("/index", {"t": "1", "a": "2"}).status == 400
    assert "argument &#x27;t&#x27; is not one that is expected here" in answer.text
    assert "argument 't'" in written.app
    assert client.get("/open?t=1&u=2").text == "['t', 'u']"


@pytest.mark.row("SAD-ROUTE-11")
def test_a_missing_argument_is_400_and_named(app, visit, written) -> None:
    @app.route("/add")
    def add(was, num1, num2):
        return str(int(num1) + int(num2))

    client = visit(app)
    assert client.get("/add?num1=1&num2=2").text == "3"
    answer = client.get("/add?num1=1")
    assert answer.status == 400
    assert "argument &#x27;num2&#x27; is missing" in answer.text
    assert "argument 'num2' is missing" in written.app


@pytest.mark.row("SAD-REQ-21")
def test_form_parameters(app, visit) -> None:
    # fmt: off
    @app.route ("/hello")
    def hello (was, **form):
      return "Post %s %s" % (form.get ("userid", ""), form.get ("comment", ""))

    @app.route ("/hello2")
    def hello_world (was, userid, **form):
      return "Post %s %s" % (userid, form.get ("comment", ""))
    # fmt: on
    client = visit(app)
    form = {"userid": "hans", "comment": "ä & b"}
    assert client.post("/hello", form).text == "Post hans ä & b"
    assert client.post("/hello2", form).text == "Post hans ä & b"


@pytest.mark.row("SAD-ROUTE-15")
def test_typed_names_of_a_query(app, visit) -> None:
    @app.route("/typed")
    def typed(was, num, a, x, f, y):
        return repr((num, a, x, f, y))

    client = visit(app)
    assert client.get('/typed?int:num=3&list:a=1,2&json:x={"k":1}&bit:f=yes&float:y=1.5'.replace('"', "%22")).text == (
        "(3, ['1', '2'], {'k': 1}, True, 1.5)"
    )
    assert client.get("/typed?int:num=x&list:a=1&json:x={}&bit:f=yes&float:y=1").status == 400
    assert client.get("/typed?int:num=1&list:a=1&json:x={&bit:f=yes&float:y=1").status == 400


def test_annotations_convert(app, visit) -> None:
    @app.route("/add")
    def add(was, a: int, b: float = 0.5, on: bool = False, ids: list[int] = ()):
        return repr((a, b, on, ids))

    client = visit(app)
    assert client.get("/add?a=1").text == "(1, 0.5, False, ())"
    assert client.get("/add?a=-1&b=2&on=yes&ids=1&ids=2").text == "(-1, 2.0, True, [1, 2])"
    assert client.get("/add?a=1&on=off&ids=7").text == "(1, 0.5, False, [7])"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("a=x", "argument 'a' is not a whole number"),
        ("a=1.5", "argument 'a' is not a whole number"),
        ("a=1_0", "argument 'a' is not a whole number"),
        ("a=" + "9" * 5000, "argument 'a' is not a whole number"),
        ("a=1&a=2", "argument 'a' is given more than once"),
        ("a=1&b=nan", "argument 'b' is not a finite number"),
        ("a=1&b=", "argument 'b' is not a number"),
        ("a=1&on=maybe", "argument 'on' is neither true nor false"),
        ("a=1&ids=1&ids=x", "argument 'ids' is not a whole number"),
        ("b=1", "argument 'a' is missing"),
    ],
)
def test_a_value_of_the_wrong_type_is_400_with_the_reason(app, written, query, reason) -> None:
    @app.route("/add")
    def add(was, a: int, b: float = 0.5, on: bool = False, ids: list[int] = ()):
        raise AssertionError("never called")

    assert app.test_client().get("/add?" + query).status == 400
    assert reason in written.app


class Colour(Enum):
    RED = "r"
    BLUE = "b"


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Decimal, "1.10", Decimal("1.10")),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (date, "2026-01-31", date(2026, 1, 31)),
        (Colour, "r", Colour.RED),
        (Colour, "BLUE", Colour.BLUE),
        (Literal["up", "down"], "up", "up"),
        (Literal[1, 2], "2", 2),
        (int | None, "", None),
        (int | None, "5", 5),
        (int | str, "x", "x"),
        (Annotated[int, "a number"], "5", 5),
        (str, "x", "x"),
        (list[str], "x", ["x"]),
        (set[int], "3", {3}),
        (dict, "x", "x"),
    ],
)
def test_more_annotations(app, annotation, text, value) -> None:
    seen = []

    def function(was, a):
        seen.append(a)
        return "ok"

    function.__annotations__ = {"a": annotation}
    app.route("/f")(function)
    assert app.test_client().get(f"/f?a={text}").status == 200
    assert seen == [value]


@pytest.mark.parametrize(
    ("annotation", "text"),
    [(Decimal, "inf"), (Decimal, "x"), (UUID, "x"), (date, "x"), (Colour, "green"), (Literal["up"], "down")],
)
def test_more_annotations_refuse(app, annotation, text) -> None:
    def function(was, a):
        raise AssertionError("never called")

    function.__annotations__ = {"a": annotation}
    app.route("/f")(function)
    assert app.test_client().get(f"/f?a={text}").status == 400


def test_variables_of_the_url_are_converted_as_annotated(app, visit) -> None:
    @app.route("/<day>/<int:n>")
    def show(was, n: int, day: date):
        return f"{day.month} {n}"

    client = visit(app)
    assert client.get("/2026-01-31/5").text == "1 5"
    assert client.get("/31.1.2026/5").status == 400


def test_an_annotation_that_does_not_exist_is_an_error_at_start(app) -> None:
    def function(was, a):
        return a

    function.__annotations__ = {"a": "Missing"}
    app.route("/")(function)
    with pytest.raises(SetupError, match="an annotation of function cannot be evaluated"):
        app.begin()


def test_a_function_without_was_is_an_error_at_start(app) -> None:
    app.route("/")(lambda: "x")
    with pytest.raises(SetupError, match="the first one is was"):
        app.begin()


def test_too_many_fields_and_huge_names_are_400(app) -> None:
    @app.route("/f")
    def f(was, **form):
        return str(len(form))

    client = app.test_client()
    many = "&".join(f"n{i}=1" for i in range(10_000))
    assert client.get("/f?" + many).status == 400
    assert client.post("/f", many, headers={"Content-Type": "application/x-www-form-urlencoded"}).status == 400
    assert client.get("/f?" + "n" * 5000 + "=1").status == 400
    assert client.get("/f?" + "&".join(f"n{i}=1" for i in range(1000))).text == "1000"
    app.config.max_form_fields = 20_000
    assert client.get("/f?" + many).text == "10000"


@pytest.mark.parametrize("body", [b"a=%zz", b"a=%ff", b"a=\xff", b"%c3%28=1"])
def test_a_malformed_form_is_400(app, body) -> None:
    @app.route("/f")
    def f(was, **form):
        raise AssertionError("never called")

    answer = app.test_client().post("/f", body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 400
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("rest", [{}, {"num": "1"}])
def test_nobody_can_give_was_a_second_value(app, visit, written, rest) -> None:
    @app.route("/f")
    def f(was, num="0", **form):
        return repr(sorted(form))

    client = visit(app)
    assert client.get("/f?self=1&num=2").text == "['self']"
    for answer in (client.post("/f", {"was": "1", **rest}), client.get("/f?was=1"), client.get("/f?json:was=1")):
        assert answer.text == "[]"
    app.config.strict_arguments = True
    assert client.post("/f", {"was": "1", **rest}).status == 400
    assert client.get("/f?was=1").status == 400
    assert client.get("/f?json:was=1").status == 400
    assert "argument 'was' is not one that is expected here" in written.app
    assert "TypeError" not in written.app


def test_a_first_argument_of_its_own_kind_leaves_the_name_was_free(app) -> None:
    @app.route("/any")
    def any_arguments(*args, **form):
        return repr(sorted(form))

    @app.route("/only")
    def only(was, /, **form):
        return repr(sorted(form))

    client = app.test_client()
    assert client.get("/any?was=1&args=2").text == "['args', 'was']"
    assert client.get("/only?was=1").text == "['was']"


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "1" * 401])
def test_a_decimal_that_would_fill_the_memory_is_400(app, text) -> None:
    @app.route("/f")
    def f(was, a: Decimal):
        return str(a.adjusted())

    client = app.test_client()
    assert client.get("/f?a=1e300").text == "300"
    assert client.get(f"/f?a={text}").status == 400
