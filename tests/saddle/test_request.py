"""``was.request`` and ``was.env``."""

from __future__ import annotations

from ast import literal_eval

import pytest


@pytest.fixture
def ask(app, visit):
    """``ask(function, method, path, ...)`` returns what a function of ``was`` evaluates to in a request."""
    calls = []

    @app.route("/")
    @app.route("/x")
    @app.route("/x/<name>")
    def call(was, name="nobody", num=8, **more):
        return repr([each(was) for each in calls])

    client = visit(app)

    def ask(*wanted, method="GET", path="/", **options):
        calls[:] = wanted
        answer = client.request(method, path, **options)
        assert answer.status == 200, answer.text
        return literal_eval(answer.text)

    return ask


@pytest.mark.row("SAD-REQ-01", "SAD-REQ-02")
def test_method_and_command(ask) -> None:
    wanted = (lambda was: was.request.method, lambda was: was.request.command)
    assert ask(*wanted) == ["GET", "get"]
    assert ask(*wanted, method="POST", data=b"x") == ["POST", "post"]
    assert ask(*wanted, method="PUT", data=b"x") == ["PUT", "put"]


@pytest.mark.row("SAD-REQ-03")
def test_uri_is_the_target_as_sent(ask) -> None:
    assert ask(lambda was: was.request.uri, path="/x/a%20b?num=1%2C2") == ["/x/a%20b?num=1%2C2"]


@pytest.mark.row("SAD-REQ-04")
def test_version_over_http_1(ask) -> None:
    assert ask(lambda was: was.request.version) == ["1.1"]


@pytest.mark.row("SAD-REQ-04")
def test_version_of_an_old_client(app, run) -> None:
    app.route("/")(lambda was: was.request.version)
    with run({"": app}).connect() as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"".join(iter(lambda: sock.recv(4096), b"")).endswith(b"\r\n\r\n1.0")


@pytest.mark.row("SAD-REQ-05")
def test_body(ask) -> None:
    wanted = (lambda was: was.request.body, lambda was: was.request.get_body())
    assert ask(*wanted, method="POST", data=b"\x00raw") == [b"\x00raw", b"\x00raw"]
    assert ask(*wanted) == [None, None]


@pytest.mark.row("SAD-REQ-06")
def test_headers_do_not_care_for_case(ask) -> None:
    assert ask(
        lambda was: was.request.headers["x-TEST"],
        lambda was: was.request.headers.get("X-Test"),
        lambda was: was.request.headers.get("x-none", "none"),
        lambda was: "X-TEST" in was.request.headers,
        lambda was: "x-none" in was.request.headers,
        headers={"X-Test": "yes"},
    ) == ["yes", "yes", "none", True, False]


@pytest.mark.row("SAD-REQ-07")
def test_args_has_url_query_form_and_defaults(ask) -> None:
    wanted = (lambda was: dict(was.request.args), lambda was: was.request.args.num)
    assert ask(*wanted, path="/x/Hans_Roh") == [{"name": "Hans Roh", "num": 8}, 8]
    assert ask(*wanted, path="/x/a?num=1&b=2", method="POST", data={"c": "3"}) == [
        {"name": "a", "num": "1", "b": "2", "c": "3"},
        "1",
    ]
    assert ask(*wanted, path="/x/a?name=b&b=1&b=2", method="POST", data=[("b", "3"), ("name", "c")]) == [
        {"name": ["a", "b", "c"], "num": 8, "b": ["1", "2", "3"]},
        8,
    ]
    # A JSON body is no form.
    assert ask(*wanted, path="/x", method="POST", json={"a": 1}) == [{"name": "nobody", "num": 8}, 8]


@pytest.mark.row("SAD-REQ-08")
def test_args_is_a_dictionary(ask) -> None:
    assert ask(lambda was: was.request.args.get("num", 0), path="/x?num=100") == ["100"]
    assert ask(lambda was: was.request.args.get("none", 0)) == [0]


@pytest.mark.row("SAD-REQ-09", "SAD-REQ-10")
def test_the_routed_function_and_its_options(app, visit) -> None:
    @app.route("/x", methods=["POST", "OPTIONS"], content_types=["text/xml"])
    def function(was):
        same = was.request.routed_function is was.request.routed is function
        return repr((same, was.request.routable))

    answer = visit(app).post("/x", b"<a/>", headers={"Content-Type": "text/xml"})
    assert literal_eval(answer.text) == (True, {"methods": ["POST", "OPTIONS"], "content_types": ["text/xml"]})


@pytest.mark.row("SAD-REQ-11")
def test_split_uri(ask) -> None:
    wanted = lambda was: was.request.split_uri()  # noqa: E731
    assert ask(wanted, path="/x?num=1") == [("/x", None, "?num=1", None)]
    assert ask(wanted, path="/x") == [("/x", None, None, None)]
    assert ask(wanted, path="/x/a;b=c?d") == [("/x/a", ";b=c", "?d", None)]


@pytest.mark.row("SAD-REQ-12")
def test_json(app, visit, written) -> None:
    @app.route("/json")
    def load(was):
        return repr(was.request.json())

    @app.route("/caught")
    def caught(was):
        with pytest.raises(ValueError):
            was.request.json()
        return "caught"

    client = visit(app)
    assert client.post("/json", json={"a": [1, None]}).text == "{'a': [1, None]}"
    for body in (b"{", b"\xff", b"[" * 100_000):
        assert client.post("/json", body).status == 400
    assert client.get("/json").status == 400
    assert client.post("/caught", b"{").text == "caught"
    assert "400 for POST /json: the request body is no JSON document" in written.app


@pytest.mark.row("SAD-REQ-13", "SAD-REQ-14", "SAD-REQ-17")
def test_get_header(ask) -> None:
    found = ask(
        lambda was: was.request.get_header("CONTENT-type"),
        lambda was: was.request.get_header("x-none"),
        lambda was: was.request.get_header("x-none", "default"),
        lambda was: was.request.get_user_agent(),
        lambda was: was.request.get_headers(),
        lambda was: was.request.get_header() == was.request.get_headers(),
        headers={"Content-Type": "text/plain", "User-Agent": "me/1"},
        method="POST",
        data=b"x",
    )
    assert found[:4] == ["text/plain", None, "default", "me/1"]
    assert {"Content-Type: text/plain", "User-Agent: me/1", "Content-Length: 1"} <= set(found[4])
    assert found[5] is True


@pytest.mark.row("SAD-REQ-15", "SAD-REQ-16")
def test_scheme_and_address(ask) -> None:
    assert ask(
        lambda was: was.request.get_scheme(),
        lambda was: was.request.scheme,
        lambda was: was.request.get_remote_addr(),
    ) == ["http", "http", "127.0.0.1"]


@pytest.mark.row("SAD-REQ-18")
def test_content_type(ask) -> None:
    wanted = (
        lambda was: was.request.get_content_type(),
        lambda was: was.request.get_main_type(),
        lambda was: was.request.get_sub_type(),
    )
    options = {"method": "POST", "data": b"x"}
    assert ask(*wanted, headers={"Content-Type": "text/html; charset=utf-8"}, **options) == [
        "text/html",
        "text",
        "html",
    ]
    assert ask(*wanted) == [None, None, None]


@pytest.mark.row("SAD-REQ-20")
def test_env_is_the_wsgi_environ(ask) -> None:
    # fmt: off
    def documented (was):
      if "HTTP_USER_AGENT" in was.env:
        return was.env.get ("CONTENT_TYPE")
      return None
    # fmt: on
    wanted = (
        documented,
        lambda was: was.env["REQUEST_METHOD"],
        lambda was: (was.env["SCRIPT_NAME"], was.env["PATH_INFO"], was.env["QUERY_STRING"]),
        lambda was: was.env["HTTP_USER_AGENT"],
        lambda was: isinstance(was.env, dict),
    )
    headers = {"User-Agent": "me", "Content-Type": "text/plain"}
    assert ask(*wanted, headers=headers, path="/x?num=1", method="POST", data=b"x") == [
        "text/plain",
        "POST",
        ("", "/x", "num=1"),
        "me",
        True,
    ]


@pytest.mark.row("SAD-APP-09")
def test_a_body_larger_than_the_app_takes_is_413(app, visit) -> None:
    @app.route("/x")
    def x(was):
        return str(len(was.request.body))

    assert app.config.max_post_body_size == 5 * 1024 * 1024
    app.config.max_post_body_size = 100
    client = visit(app)
    assert client.post("/x", b"x" * 100).text == "100"
    assert client.post("/x", b"x" * 101).status == 413


@pytest.mark.parametrize("body", [b'"\xff"', b'"\xed\xa0\x80"', "{}".encode("utf-16"), "{}".encode("utf-32-le"), b""])
def test_json_is_utf_8(app, visit, body) -> None:
    app.route("/", methods=["POST"])(lambda was: repr(was.request.json()))
    client = visit(app)
    assert client.post("/", '\ufeff["ü"]'.encode()).text == "['ü']"
    assert client.post("/", body).status == 400
