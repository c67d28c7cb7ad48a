"""Templates of Chameleon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skitai.saddle import Saddle, Saddlery
from skitai.saddle.errors import TemplateMissing
from tests.scripts import PATIENCE

Write = Callable[[str, str], Path]


@pytest.fixture
def write(app: Saddle, tmp_path: Path) -> Write:
    """``write("index.pt", text)`` writes a template of the app."""
    app.home = str(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def change(path: Path, text: str) -> None:
    """Write a file so that its time differs from before."""
    info = path.stat()
    path.write_text(text)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 2_000_000_000))


def show(app: Saddle, template: str, /, **variables: Any) -> None:
    """Route every path to a function that renders this template."""
    app.route("/<path:any>")(lambda was, any="": was.render(template, **variables))


@pytest.mark.row("SAD-TPL-10", "SAD-TPL-05", "SAD-URL-08")
@pytest.mark.parametrize("name", ["index.pt", "sub/index.ptal"])
def test_page_templates_are_rendered_as_others(app: Saddle, write: Write, visit: Callable[..., Any], name: str) -> None:
    write(
        name,
        "<p>${was.cookie.username} ${choice} ${was.request.args['n']} ${was.ab('index', 5)} "
        "<b tal:content='structure raw'/></p>",
    )

    @app.route("/")
    def index(was: Any, n: str) -> Any:
        page = was.render(name, choice="<2>", raw="<i/>")
        assert type(page) is str
        return page

    client = visit(app)
    for n in "12":
        answer = client.get(f"/?n={n}", headers={"Cookie": "username=Hans"})
        assert answer.text == f"<p>Hans &lt;2&gt; {n} /?n=5 <b><i/></b></p>"


@pytest.mark.row("SAD-TPL-11")
def test_the_sample_of_the_documents(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    # In the documents the values have 'school' and the template reads 'schools', a typo.
    write(
        "index.ptal",
        """<table>
${ was.request.args ['query'] }

<tr tal:repeat="each dashboard">
  <td>
    <a tal:define="entity_name '%s, %s' % (each ['state'], each ['nation'])"\x20
       tal:attributes="href was.ab ('entities', was.request.args ['level'], each ['state'])"\x20
       tal:content="entity_name">
    </a>
  </td>
  <td tal:content="each ['population']" />
  <td>${ each ['school'] }</td>    
</tr>
</table>""",  # noqa: W291
    )

    @app.route("/")
    def index(was: Any, **form: Any) -> Any:
        return was.render(
            "index.ptal",
            dashboard=[
                {"population": 235642, "school": 34, "state": "NY", "nation": "USA"},
                {"population": 534556, "school": 54, "state": "BC", "nation": "Canada"},
            ],
        )

    @app.route("/entities/<level>/<state>")
    def entities(was: Any, level: str, state: str) -> Any:
        return state

    text = visit(app).get("/?query=%3Cq%3E&level=1").text
    assert "&lt;q&gt;" in text
    assert '<a href="/entities/1/NY">NY, USA</a>' in text
    assert '<a href="/entities/1/BC">BC, Canada</a>' in text
    assert "<td>534556</td>" in text
    assert "<td>54</td>" in text


@pytest.mark.row("SAD-TPL-10")
def test_attributes_of_vue_pass(app: Saddle, write: Write) -> None:
    markup = '<a @click="go" v-on:click.prevent="go" :key="k" v-bind:href="url">{{ text }}</a>'
    write("vue.pt", markup)
    show(app, "vue.pt")
    assert app.test_client().get("/x").text == markup


def test_attributes_are_escaped(app: Saddle, write: Write) -> None:
    write("a.pt", '<a title="${text}" tal:attributes="href text">${text}</a>')
    show(app, "a.pt", text="\"'<&>")
    text = app.test_client().get("/x").text
    assert text == '<a title="&quot;\'&lt;&amp;&gt;" href="&quot;\'&lt;&amp;&gt;">"\'&lt;&amp;&gt;</a>'


def test_templates_load_others_and_know_was_and_globals_there(app: Saddle, write: Write) -> None:
    write("admin/index.pt", '<div metal:use-macro="load: layout.pt"><b metal:fill-slot="content">${f()}</b></div>')
    write("layout.pt", '<html>${was.request.method} ${f()}<p metal:define-slot="content"/></html>')
    app.template_global("f")(lambda: "<f>")
    show(app, "admin/index.pt")
    assert app.test_client().get("/x").text == "<html>GET &lt;f&gt;<b>&lt;f&gt;</b></html>"


@pytest.mark.row("SAD-TPL-10")
def test_changed_templates_are_read_again_with_the_reloader_only(app: Saddle, write: Write) -> None:
    page = write("index.pt", '<b metal:use-macro="load: inner.pt"/>')
    inner = write("inner.pt", "<i>old</i>")
    show(app, "index.pt")
    client = app.test_client()
    assert client.get("/x").text == "<i>old</i>"
    change(inner, "<i>new</i>")
    assert client.get("/x").text == "<i>old</i>"
    app.use_reloader = True
    assert client.get("/x").text == "<i>new</i>"
    change(page, "<u>plain</u>")
    assert client.get("/x").text == "<u>plain</u>"


def test_a_part_has_page_templates_of_its_own(app: Saddle, write: Write, tmp_path: Path) -> None:
    write("show.pt", "<a>app</a>")
    part = Saddlery("part")
    part.home = str(tmp_path / "part")
    (tmp_path / "part" / "templates").mkdir(parents=True)
    (tmp_path / "part" / "templates" / "show.pt").write_text("<a>part</a>")
    part.route("/")(lambda was: was.render("show.pt") + was.render2("show.pt"))
    app.mount("/part", part)
    assert app.test_client().get("/part/").text == "<a>app</a><a>part</a>"


def test_hooks_see_page_templates(app: Saddle, write: Write) -> None:
    write("index.pt", "<a>${n}</a>")
    seen: list[Any] = []
    app.got_template(lambda was, template, args: args.update(n=args["n"] + 1))
    app.template_rendered(lambda was, template, args, page: seen.append((os.path.basename(template.filename), page)))
    show(app, "index.pt", n=1)
    assert app.test_client().get("/x").text == "<a>2</a>"
    assert seen == [("index.pt", "<a>2</a>")]


# What goes wrong


def test_an_error_keeps_its_class_and_the_log_has_its_place_but_no_values(
    app: Saddle, write: Write, written: Any
) -> None:
    write("index.pt", "<p>\n  ${1 // zero} ${password}</p>")

    @app.route("/")
    def index(was: Any) -> Any:
        with pytest.raises(ZeroDivisionError) as caught:
            was.render("index.pt", zero=0, password="hidden-word")
        assert type(caught.value) is ZeroDivisionError
        return was.render("index.pt", zero=0, password="hidden-word")

    answer = app.test_client().get("/")
    assert answer.status == 500
    assert "zero" not in answer.text
    assert "1 // zero" in written.app
    assert "index.pt" in written.app
    assert "(line 2: col 4)" in written.app
    assert "hidden-word" not in written.app


def test_an_error_of_the_client_stays_one(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    write("index.pt", "<p>${was.request.json()}</p>")
    app.route("/", methods=["POST"])(lambda was: was.render("index.pt"))
    assert visit(app).post("/", data=b"{").status == 400


def test_what_is_no_exception_stays_none(app: Saddle, write: Write) -> None:
    write("index.pt", "<p>${stop()}</p>")

    def stop() -> None:
        raise SystemExit(3)

    show(app, "index.pt", stop=stop)
    with pytest.raises(SystemExit) as caught:
        app.test_client().get("/x")
    assert not isinstance(caught.value, Exception)


def test_a_broken_template_is_named(app: Saddle, write: Write, written: Any) -> None:
    write("index.pt", "<p>\n ${1 +}</p>")
    show(app, "index.pt")
    assert app.test_client().get("/x").status == 500
    assert "index.pt" in written.app


def test_a_missing_template_is_named(app: Saddle, write: Write, tmp_path: Path) -> None:
    with pytest.raises(TemplateMissing, match=f"there is no template 'gone.pt' in {tmp_path}/templates"):
        app.templates.main.get("gone.pt")


def test_other_spellings_of_a_name_take_no_further_place(app: Saddle, write: Write) -> None:
    write("a.pt", "<a/>")
    first = app.templates.main.get("a.pt")
    assert all(app.templates.main.get(name) is first for name in ("/a.pt", "./a.pt", "././a.pt", ".//a.pt"))
    assert len(app.templates.main._page_templates) == 1


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.row("SAD-TPL-10")
def test_without_chameleon_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "index.pt").write_text("<a/>")
    (tmp_path / "templates" / "index.html").write_text("fine")
    result = run(
        "import sys\nsys.modules['chameleon'] = None\n"
        "from skitai.saddle import Saddle\nfrom skitai.saddle.errors import SetupError\n"
        f"app = Saddle('app')\napp.home = {str(tmp_path)!r}\n"
        "@app.route('/')\ndef index(was):\n"
        "    try: was.render('index.pt')\n"
        "    except SetupError as error: return f'{error} {was.render(\"index.html\")}'\n"
        "print(app.test_client().get('/').text)\n"
    )
    assert result.stdout == "'index.pt' is a template of Chameleon: pip install 'skitai[chameleon]' fine\n", (
        result.stderr
    )


def test_engines_are_imported_when_they_are_used() -> None:
    result = run(
        "import sys\nfrom skitai.saddle import Saddle\napp = Saddle('app')\n"
        "app.route('/')(lambda was: 'ok')\napp.begin()\nassert app.test_client().get('/').text == 'ok'\n"
        "print('jinja2' in sys.modules, 'chameleon' in sys.modules)\n"
        "app.jinja_env\nprint('jinja2' in sys.modules, 'chameleon' in sys.modules)\n"
    )
    assert result.stdout == "False False\nTrue False\n", result.stderr
