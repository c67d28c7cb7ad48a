"""``from skitai.saddle import jinjapatch``: Jinja2 with other delimiters for apps of any framework."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from flask import Flask, render_template

from skitai.saddle import jinjapatch


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    """The module of an app with a template beside it."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text("%% a comment\n% for each in (1, 2)\n${each}<%raw%>\n% endfor\n")
    (tmp_path / "templates" / "doubled.html").write_text("#name# has ##1 of <b>\n")
    found = ModuleType("its_app")
    found.__file__ = str(tmp_path / "its_app.py")
    monkeypatch.setitem(sys.modules, "its_app", found)
    return "its_app"


def test_an_app_of_flask(module, tmp_path) -> None:
    app = Flask("its_app", root_path=str(tmp_path))
    environment = jinjapatch.overlay(module, "${", "}", "<<", ">>", "<!---", "--->", trim_blocks=True)
    app.jinja_env = environment  # type: ignore[assignment]
    app.add_url_rule("/", endpoint="page", view_func=lambda: environment.get_template("page.html").render())
    assert app.test_client().get("/").text.split() == ["1<%raw%>", "2<%raw%>"]
    with app.app_context():
        assert "1<%raw%>" in render_template("page.html")


def test_doubled_delimiters_and_escaping(module) -> None:
    page = jinjapatch.overlay(module, "#", "#", line_statement_prefix=None).get_template("doubled.html")
    assert page.render(name="<x>") == "&lt;x&gt; has #1 of <b>"


def test_what_cannot_be(module) -> None:
    with pytest.raises(ValueError, match="no_such_module"):
        jinjapatch.overlay("no_such_module")
    with pytest.raises(ValueError, match="delimiters"):
        jinjapatch.overlay(module, "{%", "%}")
    with pytest.raises(TypeError):
        jinjapatch.overlay(module, no_such_option=True)
