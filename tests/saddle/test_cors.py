"""Requests of pages of other sites."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import Saddle
from skitai.saddle.errors import SetupError

HERE, THERE, ELSEWHERE = "http://localhost", "https://there.example", "https://elsewhere.example:8080"


def ask(client, path="/post", method="POST", origin=THERE, **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    if origin is not None:
        headers["Origin"] = origin
    return client.request(method, path, data=b"{}", headers=headers)


def preflight(client, path="/post", method="POST", origin=THERE, **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method, **headers})


def cors(answer):
    """The fields that a browser looks at."""
    found = {name.lower(): value for name, value in answer.fields}
    return {name.removeprefix("access-control-"): found[name] for name in sorted(found) if "access-control" in name}


def post(app, **options):
    """The function of the documents."""
    calls = []

    @app.route("/post", methods=["POST", "OPTIONS"], **options)
    def post(was):
        args = was.request.json()
        calls.append(args)
        return was.jstream({"args": args})

    return calls


@pytest.mark.row("SAD-CORS-01", "SAD-CORS-02", "SAD-CORS-03", "SAD-CORS-04")
def test_everyone(app, visit) -> None:
    app.access_control_allow_origin = "*"
    app.access_control_max_age = 3600
    calls = post(app)
    client = visit(app)
    answer = preflight(client)
    assert (answer.status, answer.content) == (200, b"")
    assert cors(answer) == {"allow-methods": "POST, OPTIONS", "allow-origin": "*", "max-age": "3600"}
    assert calls == []
    answer = ask(client)
    assert (answer.status, answer.json()) == (200, {"args": {}})
    assert cors(answer) == {"allow-origin": "*"}
    assert calls == [{}]


@pytest.mark.row("SAD-CORS-05", "SAD-ROUTE-05")
def test_options_of_a_route(app, visit) -> None:
    app.access_control_allow_origin = [ELSEWHERE]
    app.access_control_max_age = 1
    post(app, access_control_allow_origin="*", access_control_max_age=3600)

    @app.route("/other", methods=["GET", "OPTIONS"])
    def other(was):
        return "other"

    @app.route("/mine", access_control_allow_origin=None)
    def mine(was):
        return "mine"

    client = visit(app)
    assert cors(preflight(client)) == {"allow-methods": "POST, OPTIONS", "allow-origin": "*", "max-age": "3600"}
    assert cors(ask(client)) == {"allow-origin": "*"}
    assert preflight(client, "/other", "GET").status == 403
    answer = preflight(client, "/other", "GET", ELSEWHERE)
    assert cors(answer) == {"allow-methods": "GET, OPTIONS", "allow-origin": ELSEWHERE, "max-age": "1"}
    assert ask(client, "/mine", "GET", ELSEWHERE).status == 403
    assert ask(client, "/mine", "GET", HERE).text == "mine"


@pytest.mark.row("SAD-CORS-01", "SAD-CORS-06")
@pytest.mark.parametrize(
    "allowed",
    [THERE, [ELSEWHERE, THERE], (THERE,), {THERE, ELSEWHERE}, THERE.upper()],
    ids=["text", "list", "tuple", "set", "upper case"],
)
def test_one_origin_or_several(app, visit, written, allowed) -> None:
    app.access_control_allow_origin = allowed
    calls = post(app)
    client = visit(app)
    answer = ask(client)
    assert answer.status == 200
    assert cors(answer) == {"allow-origin": THERE}
    assert answer.headers["Vary"] == "Origin"
    for origin in ("https://third.example", THERE + ".evil.example", THERE + ":444", "http://there.example", "null"):
        refused = ask(client, origin=origin)
        assert (refused.status, cors(refused)) == (403, {})
        assert (preflight(client, origin=origin).status) == 403
        assert f"403 for POST /post: pages of '{origin}' may not ask here" in written.app
    assert calls == [{}]
    alone = ask(client, origin=None)
    assert (alone.status, cors(alone)) == (200, {})
    assert alone.headers["Vary"] == "Origin"
    assert ask(client, origin=HERE).status == 200


@pytest.mark.row("SAD-CORS-01", "SAD-CORS-06")
def test_only_the_same_host_when_nothing_is_said(app, visit, written) -> None:
    calls = post(app)

    @app.route("/plain/<name>")
    def plain(was, name):
        return name

    client = visit(app)
    assert app.access_control_allow_origin is None
    assert app.access_control_max_age == 0
    assert ask(client, origin=THERE).status == 403
    assert f"pages of '{THERE}' may not ask here, at 'localhost'" in written.app
    assert ask(client, "/plain/x", "GET", THERE).status == 403
    assert preflight(client).status == 403
    assert calls == []
    for origin in (HERE, "http://LOCALHOST:80", None):
        answer = ask(client, origin=origin)
        assert (answer.status, cors(answer)) == (200, {})
        assert ask(client, "/plain/x", "GET", origin).text == "x"
        assert ask(client, "/plain/x?name=y", "GET", origin).status == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("a.example", "http://a.example", 200),
        ("a.example", "https://a.example", 200),  # a proxy ended TLS
        ("a.example:443", "https://a.example", 200),
        ("a.example:8000", "http://a.example:8000", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("[::1]", "http://[::1]", 200),
        ("a.example:8000", "http://a.example", 403),
        ("a.example", "http://b.a.example", 403),
        ("a.example", "http://a.example.evil", 403),
        ("a.example", "http://a.example@evil", 403),
        ("a.example", "http://evil/a.example", 403),
        ("a.example", "a.example", 403),
        ("a.example", "", 403),
        ("a.example", "null", 403),
        ("a.example", "file://", 403),
        ("a.example", "http://a.example, http://evil", 403),
    ],
)
def test_what_the_same_host_is(app, visit, host, origin, status) -> None:
    app.route("/")(lambda was: "in")
    assert visit(app).get("/", headers={"Host": host, "Origin": origin}).status == status


def test_a_page_that_hides_its_address(app, visit) -> None:
    app.route("/")(lambda was: "in")
    client = visit(app)
    assert client.get("/", headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"}).status == 200
    for site in ("cross-site", "same-site", "none"):
        assert client.get("/", headers={"Origin": "null", "Sec-Fetch-Site": site}).status == 403
    assert client.get("/", headers={"Origin": THERE, "Sec-Fetch-Site": "same-origin"}).status == 403


def test_null_may_be_allowed(app, visit) -> None:
    app.access_control_allow_origin = "null"
    post(app)
    assert cors(ask(visit(app), origin="null")) == {"allow-origin": "null"}


# Preflights


@pytest.mark.row("SAD-CORS-04")
def test_header_fields_are_echoed(app, visit) -> None:
    app.access_control_allow_origin = THERE
    post(app)
    client = visit(app)
    answer = preflight(client, Access_Control_Request_Headers="x-a, Content-Type")
    assert cors(answer) == {
        "allow-headers": "x-a, Content-Type",
        "allow-methods": "POST, OPTIONS",
        "allow-origin": THERE,
    }


@pytest.mark.row("SAD-CORS-04")
def test_a_method_that_the_route_has_not(app, visit) -> None:
    app.access_control_allow_origin = "*"
    calls = post(app)
    app.route("/get", methods=["GET"])(lambda was: "got")
    client = visit(app)
    for method in ("PUT", "GET", "post", "X"):
        assert preflight(client, method=method).status == 405
    assert calls == []
    assert preflight(client, "/get", "GET").status == 405  # the route must allow OPTIONS
    assert preflight(client, "/none", "GET").status == 404


@pytest.mark.row("SAD-CORS-04")
@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_a_route_with_a_login(app, visit, kind) -> None:
    app.access_control_allow_origin = [THERE]
    app.authorization, app.realm, app.users = kind, "R", {"a": "b"}
    calls = post(app, authenticate=True)
    client = visit(app)
    answer = preflight(client)
    assert answer.status == 200
    assert cors(answer) == {"allow-credentials": "true", "allow-methods": "POST, OPTIONS", "allow-origin": THERE}
    refused = ask(client)
    assert refused.status == 401
    # The page is to see that it is a login that is missing.
    assert cors(refused) == {"allow-credentials": "true", "allow-origin": THERE}
    assert ask(client, origin=ELSEWHERE).status == 403
    assert calls == []


def test_everyone_never_means_everyones_credentials(app, visit) -> None:
    app.access_control_allow_origin = "*"
    app.realm, app.users = "R", {"a": "b"}
    post(app, authenticate=True)
    # Browsers take no credentials where the origin is "*": it must never be echoed.
    assert cors(preflight(visit(app)))["allow-origin"] == "*"


def test_functions_that_share_a_rule(app, visit) -> None:
    app.access_control_allow_origin = THERE
    post(app)

    @app.route("/post", methods=["PUT", "OPTIONS"], access_control_allow_origin=ELSEWHERE)
    def put(was): ...

    @app.route("/post", methods=["DELETE"])
    def delete(was): ...

    @app.route("/post", methods=["PATCH", "OPTIONS"], content_types=["text/csv"])
    def patch(was): ...

    client = visit(app)
    assert cors(preflight(client))["allow-methods"] == "POST, OPTIONS"
    assert cors(preflight(client, method="PUT", origin=ELSEWHERE))["allow-methods"] == "PUT, OPTIONS"
    assert preflight(client, method="PUT").status == 403
    assert preflight(client, method="DELETE").status == 405
    assert cors(preflight(client, method="PATCH"))["allow-methods"] == "PATCH, OPTIONS"


def test_functions_that_take_all_methods(app, visit) -> None:
    app.access_control_allow_origin = THERE
    calls = []
    app.route("/all")(lambda was: calls.append(was) or "called")
    client = visit(app)
    answer = preflight(client, "/all", "PATCH")
    assert "PATCH" in cors(answer)["allow-methods"].split(", ")
    assert calls == []
    # Without the fields of a preflight it is a request like others.
    assert client.options("/all", headers={"Origin": THERE}).text == "called"


def test_options_without_a_preflight(app, visit) -> None:
    app.access_control_allow_origin = THERE
    calls = post(app)
    answer = visit(app).options("/post", headers={"Origin": THERE})
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert cors(answer) == {"allow-origin": THERE}
    assert calls == []


@pytest.mark.parametrize(
    "fields",
    [
        {"Access-Control-Request-Method": "GET POST"},
        {"Access-Control-Request-Method": ""},
        {"Access-Control-Request-Headers": "a b"},
        {"Access-Control-Request-Headers": "x: y"},
        {"Access-Control-Request-Headers": "\xff"},
        {"Access-Control-Request-Headers": "a,," * 500},
    ],
)
def test_a_malformed_preflight(app, visit, written, fields) -> None:
    app.access_control_allow_origin = "*"
    post(app)
    headers = {"Origin": THERE, "Access-Control-Request-Method": "POST", **fields}
    answer = visit(app).options("/post", headers=headers)
    assert answer.status == 400
    assert "Traceback" not in written.app + answer.text


@given(st.text(st.characters(max_codepoint=255, exclude_categories=("Cc",))))
def test_no_origin_is_an_error_of_ours(origin) -> None:
    app = Saddle(__name__)
    app.route("/")(lambda was: "in")
    assert app.test_client().get("/", headers={"Origin": origin}).status == 403


# Settings


@pytest.mark.parametrize(
    "origin", ["example.com", "https://a.example/", "https://a/b", "", ["*", "x"], [5], "* "], ids=str
)
def test_what_is_no_origin(app, origin) -> None:
    app.access_control_allow_origin = origin
    post(app)
    with pytest.raises(SetupError, match="access_control_allow_origin"):
        app.test_client().get("/")


@pytest.mark.parametrize("age", [-1, "3600", 1.5, None])
def test_what_is_no_age(app, age) -> None:
    post(app, access_control_max_age=age)
    with pytest.raises(SetupError, match="seconds"):
        app.test_client().get("/")


def test_errors_of_the_function_are_for_the_page_as_well(app, visit) -> None:
    app.access_control_allow_origin = THERE
    post(app)
    client = visit(app)
    answer = client.post("/post", data=b"no JSON", headers={"Origin": THERE})
    assert (answer.status, cors(answer)) == (400, {"allow-origin": THERE})
    app.debug = True
    assert cors(ask(client)) == {"allow-origin": THERE}


def test_two_requests_on_one_connection_share_nothing(app, run) -> None:
    app.access_control_allow_origin = [THERE, ELSEWHERE]
    post(app)
    connection = http.client.HTTPConnection("127.0.0.1", run({"": app}).port, timeout=10)
    allowed = []
    for origin in (THERE, ELSEWHERE, None):
        connection.request("POST", "/post", b"{}", {"Origin": origin} if origin else {})
        response = connection.getresponse()
        response.read()
        allowed.append(response.headers.get_all("Access-Control-Allow-Origin"))
    connection.close()
    assert allowed == [[THERE], [ELSEWHERE], None]
