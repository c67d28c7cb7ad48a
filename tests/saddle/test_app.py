"""The app object: its settings, its directories, and how it is served."""

from __future__ import annotations

import os
import runpy
from wsgiref.validate import validator

import pytest

from skitai.saddle import Saddle

APP_FILE = """
from skitai.saddle import Saddle

app = Saddle (__name__)

@app.route ("/")
def index (was):
  return was.app.home
"""


@pytest.mark.row("SAD-APP-01")
def test_home_is_the_directory_of_the_app_file(tmp_path, visit) -> None:
    (tmp_path / "app.py").write_text(APP_FILE)
    for name in ("__main__", "imported"):
        app = runpy.run_path(str(tmp_path / "app.py"), run_name=name)["app"]
        assert app.home == str(tmp_path)
    assert visit(app).get("/").text == str(tmp_path)


@pytest.mark.row("SAD-APP-01")
def test_home_of_an_imported_module(app) -> None:
    assert app.home == os.path.dirname(os.path.abspath(__file__))  # the fixture is in the same directory


def test_documented_defaults(app) -> None:
    assert (app.debug, app.use_reloader) == (False, False)
    assert (app.securekey, app.session_timeout) == (None, None)
    assert (app.authorization, app.authenticate, app.realm, app.users) == ("digest", False, None, {})
    assert app.users is not Saddle(__name__).users
    assert app.config == {
        "max_post_body_size": 5 * 1024 * 1024,
        "max_cache_size": 5 * 1024 * 1024,
        "max_multipart_body_size": 20 * 1024 * 1024,
        "max_upload_file_size": 20_000_000,
        "max_grpc_message_size": 4 * 1024 * 1024,
        "max_form_fields": 1000,
        "strict_arguments": False,
        "max_multicall": 1000,
    }


@pytest.mark.row("SAD-APP-05")
def test_config_has_attributes_and_items(app, visit) -> None:
    @app.route("/")
    def index(was):
        was.app.config.my_setting = 1
        was.app.config["other"] = 2
        return f"{was.app.config['my_setting']} {was.app.config.other}"

    assert visit(app).get("/").text == "1 2"


@pytest.mark.row("SAD-APP-15")
def test_get_resource(app) -> None:
    assert app.get_resource("db", "sqlite3.db") == os.path.join(app.home, "resources", "db", "sqlite3.db")


@pytest.mark.row("SAD-APP-18")
def test_any_attribute(app, visit) -> None:
    # fmt: off
    app.cache = {}
    # fmt: on
    app.cache["STATENAMES"] = {"NY": "New York"}
    app.route("/")(lambda was: was.app.cache["STATENAMES"]["NY"])
    assert visit(app).get("/").text == "New York"


@pytest.mark.row("SAD-APP-19")
def test_set_devel(app) -> None:
    app.set_devel()
    assert (app.debug, app.use_reloader) == (True, True)
    app.set_devel(debug=False, use_reloader=False)
    assert (app.debug, app.use_reloader) == (False, False)


def test_directories_to_watch_belong_to_one_app(app) -> None:
    # fmt: off
    app.add_package ('mylib', 'corplib')
    # fmt: on
    assert app.packages == ["package", "contrib", "appack", "mylib", "corplib"]
    assert Saddle(__name__).packages == ["package", "contrib", "appack"]


def test_one_app_at_two_points_builds_urls_for_each(app, run) -> None:
    @app.route("/x/<name>")
    def x(was, name):
        return was.ab("x", "a b")

    server = run({"/one": app, "/two": app})
    for point in ("/one", "/two"):
        assert server.request("GET", f"{point}/x/1", [("Host", "x")]).content.decode() == f"{point}/x/a_b"


def test_a_mount_point_that_comes_with_percent_encoding(app, run) -> None:
    app.route("/<name>")(lambda was, name: name)
    server = run({"/one": app})
    assert server.request("GET", "/%6Fne/a%20b", [("Host", "x")]).content == b"a b"


def test_a_rule_that_is_not_ascii(app, visit) -> None:
    app.route("/café/<name>")(lambda was, name: was.ab("<lambda>", name))
    app.route("/über")(lambda was: "exact")
    client = visit(app)
    assert client.get("/caf%C3%A9/x").text == "/caf%C3%A9/x"
    assert client.get("/%C3%BCber").text == "exact"


ONLY_IN_SADDLE = (
    *("ab", "app", "aresponse", "cookie", "env", "fstream", "g", "gstream", "jstream", "mbox", "redirect", "render"),
    *("render2", "render_ei", "response", "session", "subapp", "xstream"),
)


@pytest.mark.row("SAD-APP-20")
def test_its_objects_are_missing_in_other_apps_and_say_so(app, run) -> None:
    """The documents: they are "NOT WORKING in any other WSGI containers except Saddle"."""
    from flask import Flask

    from skitai import was

    def errors(here):
        found = []
        for name in ONLY_IN_SADDLE:
            try:
                getattr(here, name)
            except AttributeError as error:
                found.append(str(error))
        return "\n".join(found)

    flask = Flask(__name__)
    flask.route("/")(lambda: errors(was))
    app.route("/")(lambda was: errors(was) or "all there")

    def plain(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [errors(environ["skitai.was"]).encode()]

    server = run({"/flask": flask, "/plain": plain, "/saddle": app})
    expected = "\n".join(f"was.{name} exists only in apps of skitai.saddle" for name in ONLY_IN_SADDLE)
    for point in ("flask", "plain"):
        assert server.request("GET", f"/{point}/", [("Host", "x")]).content.decode() == expected
    assert server.request("GET", "/saddle/", [("Host", "x")]).content == b"all there"
    assert errors(was) == expected.replace("only in apps of skitai.saddle", "only while a request is served")


@pytest.mark.row("SAD-APP-20")
def test_a_foreign_wsgi_server(app) -> None:
    """What wsgiref gives: no raw path, an input that does not end, no server of ours below."""
    from io import BytesIO
    from wsgiref.util import setup_testing_defaults

    @app.route("/hello/<name>", methods=["GET", "POST"])
    def hello(was, name, comment=""):
        return f"{name} {comment} {was.request.get_remote_addr()} {was.request.uri} {was.txnid()[:4]}"

    def call(**environ):
        setup_testing_defaults(environ)
        heads = []
        body = b"".join(parts := validator(app)(environ, lambda *head: heads.append(head) or (lambda data: None)))
        parts.close()
        return heads[0], body.decode()

    form = b"comment=hi"
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/hello/H\xc3\xa4ns_Roh",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(form)),
        "wsgi.input": BytesIO(form + b"of the next request"),
        "REMOTE_ADDR": "127.0.0.9",
    }
    (status, fields), body = call(**environ)
    assert status == "200 OK"
    assert ("Content-Type", "text/html") in fields
    assert body == "Häns Roh hi 127.0.0.9 /hello/H%C3%A4ns_Roh GTID"
    (status, fields), body = call(**{**environ, "CONTENT_LENGTH": "1000", "wsgi.input": BytesIO(form)})
    assert status == "400 Bad Request"


def test_a_repr_says_what_it_is(app) -> None:
    app.route("/x")(lambda was: repr([was.request, was.response, was.g, was.endpoint]))
    assert repr(app).startswith("<Saddle ") and repr(app).endswith(" with 1 routes>")
    text = app.test_client().get("/x").text
    assert text == "[<Request GET /x>, <Response 200 OK []>, <g {}>, <Endpoint GET /x <lambda> plain>]"
