"""The directory of an app as the documents recommend it, served from a run script beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from skitai.saddle import Saddle, Saddlery
from tests.scripts import Workplace

SERVICE = """
import skitai

if __name__ == "__main__":
    skitai.mount("/", "statics")
    skitai.mount("/", "app.py", "app")
    skitai.run(port=0, workers=0)
"""
APP = """
from skitai.saddle import Saddle, Saddlery
from package import config, members

app = Saddle(__name__)
app.mount("/members", members, "part")

@app.route("/")
def index(was):
    with open(was.app.get_resource("db", "names.txt")) as file:
        return was.render("index.html", title=config.TITLE, names=file.read().split())
"""
MEMBERS = """
from skitai.saddle import Saddlery

part = Saddlery()

@part.route("/<name>")
def hello(was, name):
    return was.render("hello.html", name=name)
"""


@pytest.mark.row("SAD-APP-16")
def test_recommended_layout(workplace: Workplace) -> None:
    workplace.file("app.py", APP)
    workplace.file("package/__init__.py")
    workplace.file("package/config.py", "TITLE = 'Shop'\n")
    workplace.file("package/members.py", MEMBERS)
    workplace.file("statics/css/site.css", "body{}")
    workplace.file("templates/index.html", "{{ title }}: {{ names|join(' ') }}")
    workplace.file("templates/hello.html", "Hello, {{ name }}")
    workplace.file("resources/db/names.txt", "Ann Bob")
    server = workplace.serve(SERVICE, name="service.py")
    assert server.get("/").text == "Shop: Ann Bob"
    assert server.get("/members/Hans").text == "Hello, Hans"
    assert server.get("/css/site.css").text == "body{}"
    assert server.get("/resources/db/names.txt").status == 404
    assert server.get("/templates/index.html").status == 404
    assert server.stop() == 0


@pytest.mark.row("SAD-PKG-01")
def test_a_part_without_a_name_has_no_templates_of_its_own(
    app: Saddle, tmp_path: Any, visit: Callable[..., Any]
) -> None:
    app.home = str(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "show.htm").write_text("app's {{ name }}")
    part, named = Saddlery(), Saddlery(__name__)
    named.home = str(tmp_path / "named")
    (tmp_path / "named" / "templates").mkdir(parents=True)
    (tmp_path / "named" / "templates" / "show.htm").write_text("part's {{ name }}")
    part.route("/<name>")(lambda was, name: was.render("show.htm", name=name))
    part.route("/own/<name>")(lambda was, name: was.render2("show.htm", name=name))
    named.route("/<name>")(lambda was, name: was.render2("show.htm", name=name))
    app.mount("/plain", part)
    app.mount("/named", named)
    client = visit(app)
    assert client.get("/plain/Hans").text == "app's Hans"
    assert client.get("/plain/own/Hans").status == 500
    assert client.get("/named/Hans").text == "part's Hans"


@pytest.mark.row("SAD-REQ-22")
def test_a_function_takes_a_whole_form(app: Saddle, visit: Callable[..., Any]) -> None:
    @app.route("/upload")
    def upload(was: Any, **form: Any) -> Any:
        return f"{form.get('name')} {sorted(form)}"

    assert visit(app).post("/upload", data={"name": "Hans", "age": "5"}).text == "Hans ['age', 'name']"
