"""Templates of Jinja2: where they are found, what they know, what is escaped, when they are read again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import gevent
import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import Saddle, Saddlery
from skitai.saddle.errors import SetupError, TemplateMissing
from skitai.saddle.jinja import is_escaped

Write = Callable[[str, str], Path]


@pytest.fixture
def write(app: Saddle, tmp_path: Path) -> Write:
    """``write("admin/index.html", text)`` writes a template of the app."""
    app.home = str(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def renders(app: Saddle, template: str, /, *args: Any, **kwargs: Any) -> str:
    """What a request gets that renders this template and does nothing else."""
    app.route("/<path:any>")(lambda was, any="": was.render(template, *args, **kwargs))
    answer = app.test_client().get("/x")
    assert answer.status == 200, answer.text
    return answer.text


def touch_later(path: Path) -> None:
    """Make sure that the time of a file differs from before, whatever the resolution of its clock."""
    info = path.stat()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 2_000_000_000))


# was.render()


@pytest.mark.row("SAD-TPL-01", "SAD-TPL-03", "SAD-TPL-04")
def test_variables_are_a_dictionary_or_keywords(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    write("index.html", "{{ choice }} {{ product }} of {{ was.request.args.get('who', 'N/A') }}")

    @app.route("/keywords")
    def keywords(was: Any) -> Any:
        page = was.render("index.html", choice=2, product="Apples")
        assert type(page) is str
        return page

    @app.route("/dictionary")
    def dictionary(was: Any, **form: Any) -> Any:
        return was.render("index.html", {"choice": 2, "product": "Apples"})

    @app.route("/slash")
    def slash(was: Any) -> Any:
        return was.render("/index.html", {"choice": 2, "product": "Apples"})

    client = visit(app)
    assert client.get("/keywords").text == "2 Apples of N/A"
    assert client.get("/dictionary?who=Hans").text == "2 Apples of Hans"
    assert client.get("/slash").text == "2 Apples of N/A"
    assert client.get("/slash").headers["content-type"] == "text/html"


@pytest.mark.row("SAD-TPL-02")
def test_a_dictionary_and_keywords_together_are_an_error(app: Saddle, write: Write) -> None:
    write("index.html", "{{ choice }} {{ product }}")

    @app.route("/")
    def index(was: Any) -> Any:
        with pytest.raises(AssertionError, match=r"^Can't Use Dictionary and Keyword Args Both$"):
            was.render("index.html", {"choice": 2}, product="Apples")
        with pytest.raises(AssertionError):
            was.render("index.html", {}, product="Apples")
        return "ok"

    assert app.test_client().get("/").text == "ok"


def test_any_name_may_be_a_variable_but_was_is_itself(app: Saddle, write: Write) -> None:
    write("a.html", "{{ template }} {{ name }} {{ variables }} {{ was.app is sameas app }}")
    given = {"template": 1, "name": 2, "variables": 3, "app": app, "was": "false"}
    assert renders(app, "a.html", given) == "1 2 3 True"
    assert given["was"] == "false"  # the caller's own dictionary is left as it was
    write("b.html", "{{ template }} {{ was.app is sameas app }}")
    other = Saddle(__name__)
    other.home = app.home
    assert renders(other, "b.html", template=1, app=other, was="false") == "1 True"


@pytest.mark.row("SAD-TPL-15")
def test_templates_in_directories_below(app: Saddle, write: Write) -> None:
    write("admin/index.html", "{% include 'includes/header.html' %} admin")
    write("includes/header.html", "header")
    assert renders(app, "admin/index.html") == "header admin"


@pytest.mark.row("SAD-APP-08")
def test_the_environment_is_there_right_after_construction_without_a_directory() -> None:
    app = Saddle(__name__)
    assert app.jinja_env.from_string("{{ 1 + 1 }}").render() == "2"
    assert app.jinja_env is app.jinja_env


# was and the real objects


@pytest.mark.row("SAD-TPL-04")
def test_was_is_in_every_template_and_macro(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    write("base.html", "<{{ was.request.args.n }}>{% block content %}{% endblock %}")
    write("inner.html", "inner {{ was.request.args.n }}; {% import 'macros.html' as m %}{{ m.show() }}")
    write("deep.html", "{% macro show() %}deep {{ was.request.args.n }}{% endmacro %}")
    write(
        "macros.html",
        "{% import 'deep.html' as d %}{% macro show() %}macro {{ was.request.args.n }} {{ d.show() }}{% endmacro %}",
    )
    write(
        "top.html",
        "{% extends 'base.html' %}{% from 'macros.html' import show %}"
        "{% block content %}{{ show() }}; {% include 'inner.html' %}{% endblock %}",
    )

    @app.route("/")
    def index(was: Any, n: str) -> Any:
        return was.render("top.html")

    client = visit(app)
    for n in "12":  # the second request sees nothing of the first one
        text = client.get(f"/?n={n}").text
        assert text == f"<{n}>macro {n} deep {n}; inner {n}; macro {n} deep {n}"


def test_requests_that_render_at_the_same_time_keep_their_was(app: Saddle, write: Write) -> None:
    write("macros.html", "{% macro show() %}{{ was.request.args.n }}{% endmacro %}")
    write(
        "page.html", "{% import 'macros.html' as m %}{{ m.show() }}{{ wait() }}{{ m.show() }}{{ was.request.args.n }}"
    )
    everyone = gevent.event.Event()
    waiting: list[int] = []

    def wait() -> str:
        waiting.append(1)
        if len(waiting) == 10:
            everyone.set()
        everyone.wait(10)
        return ""

    @app.route("/")
    def index(was: Any, n: str) -> Any:
        return was.render("page.html", wait=wait)

    jobs = [gevent.spawn(lambda n=n: app.test_client().get(f"/?n={n}").text) for n in range(10)]
    gevent.joinall(jobs, timeout=10)
    assert [job.value for job in jobs] == [str(n) * 3 for n in range(10)]


@pytest.mark.row("SAD-TPL-04", "SAD-TPL-05", "SAD-URL-08")
def test_the_template_of_the_documents(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    write(
        "index.html",
        """
{{ was.cookie.username }} choices item {{ was.request.args.get ("choice", "N/A") }}.

<a href="{{ was.ab ('checkout', choice) }}">Proceed</a>
""",
    )

    @app.route("/")
    def index(was: Any, **form: Any) -> Any:
        return was.render("index.html", choice=2)

    @app.route("/checkout/<int:choice>")
    def checkout(was: Any, choice: int) -> Any:
        return str(choice)

    client = visit(app, "/shop")
    fields = {"Cookie": "username=Hans"}
    assert client.get("/shop/?choice=7", headers=fields).text == (
        '\nHans choices item 7.\n\n<a href="/shop/checkout/2">Proceed</a>'
    )
    assert "item N/A." in client.get("/shop/", headers=fields).text


@pytest.mark.row("SAD-TPL-06")
def test_was_g_carries_many_variables(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    # The documents close the first tag with "}}", a typo.
    write(
        "index.html",
        """{% set g = was.g %} {# make shortcut #}
Checkout for {{ g.howmany }} {{ g.product }}{{g.howmany > 1 and "s" or ""}}
""",
    )

    @app.route("/")
    def index(was: Any) -> Any:
        was.g.product = "Apple"
        was.g.howmany = 10

        return was.render("index.html")

    assert visit(app).get("/").text.strip() == "Checkout for 10 Apples"


@pytest.mark.row("WAS-GEN-01")
def test_what_runs_inside_of_a_template_may_end_the_request(
    app: Saddle, write: Write, visit: Callable[..., Any]
) -> None:
    write("index.html", "before {{ was.request.json() }}")

    @app.route("/", methods=["POST"])
    def index(was: Any) -> Any:
        return was.render("index.html")

    answer = visit(app).post("/", data=b"{", headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert "before" not in answer.text


@pytest.mark.row("WAS-GEN-05")
def test_a_template_waits_for_the_result_of_a_call(
    app: Saddle, write: Write, run: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    write(
        "index.html",
        "Generating Job A{% set result = s.getwait(2) %}"
        "{% for a in result.data %}[{{ a }}]{% endfor %}{% set page = req.getwait(2) %}{{ page.code }} {{ page.text }}",
    )
    other = Saddle("other")
    asked = gevent.event.Event()

    @other.route("/package_releases")
    def package_releases(was: Any, name: str) -> Any:
        asked.set()
        return ["1.6", f"<{name}>"]

    @other.route("/page")
    def page(was: Any) -> Any:
        return "<b>"

    port = run({"/": other}).port

    @app.route("/req")
    def req(was: Any) -> Any:
        s = was.rpc(f"http://127.0.0.1:{port}/pypi")
        s.package_releases("roundup")
        req = was.get(f"http://127.0.0.1:{port}/page")
        assert asked.wait(10)  # the call goes on while the page is made
        return was.render("index.html", s=s, req=req)

    assert visit(app).get("/req").text == "Generating Job A[1.6][&lt;roundup&gt;]200 &lt;b&gt;"


def test_a_template_starts_a_call_itself(
    app: Saddle, write: Write, run: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    write("index.html", "{% set r = was.get(url + '/?n=5').getwait(2) %}{{ r.status_code }} {{ r.text }}")
    other = Saddle("other")

    @other.route("/")
    def index(was: Any, n: int) -> Any:
        return f"{n} apples"

    port = run({"/": other}).port

    @app.route("/")
    def page(was: Any) -> Any:
        return was.render("index.html", url=f"http://127.0.0.1:{port}")

    assert visit(app).get("/").text == "200 5 apples"


# Escaping


@pytest.mark.parametrize(
    "name", ["a.html", "a.htm", "a.xml", "A.HTML", "a.svg", "a", "a.html.j2", "a.jinja", "x.txt/a"]
)
def test_what_may_be_markup_is_escaped(app: Saddle, write: Write, name: str) -> None:
    write(name, '{{ text }} {{ text|safe }} <a title="{{ text }}">')
    assert renders(app, name, text="<\"'&>") == ('&lt;&#34;&#39;&amp;&gt; <"\'&> <a title="&lt;&#34;&#39;&amp;&gt;">')


@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "mail.txt.jinja2", "data.json", "style.css", "x.html/a.csv"])
def test_plain_text_is_not_escaped(app: Saddle, write: Write, name: str) -> None:
    write(name, "{{ text }}")
    assert renders(app, name, text="<&>") == "<&>"


@given(st.text())
def test_names_that_say_nothing_are_escaped(name: str) -> None:
    assert is_escaped(name + ".html")
    assert is_escaped(None)
    assert not is_escaped(name + ".txt")


def test_what_a_client_sends_is_text_and_never_a_template(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    write("index.html", "{% macro show(x) %}<i>{{ x }}</i>{% endmacro %}{{ show(was.request.args.q) }}{{ q|upper }}")

    @app.route("/")
    def index(was: Any, q: str) -> Any:
        return was.render("index.html", q=q)

    text = visit(app).get("/?q=%7B%7B7*7%7D%7D%3Cscript%3E%27%22%7B%25").text
    assert text == ("<i>{{7*7}}&lt;script&gt;&#39;&#34;{%</i>{{7*7}}&lt;SCRIPT&gt;&#39;&#34;{%")


# The environment


@pytest.mark.row("SAD-TPL-07")
def test_the_environment_can_be_changed(app: Saddle, write: Write) -> None:
    write("index.html", "{{ form_token() }} {% import 'm.html' as m %}{{ m.token() }}")
    write("m.html", "{% macro token() %}{{ form_token() }}{% endmacro %}")

    def generate_form_token() -> str:
        return "a<b"

    @app.route("/")
    def index(was: Any) -> Any:
        was.app.jinja_env.globals["form_token"] = generate_form_token
        return was.render("index.html")

    assert app.test_client().get("/").text == "a&lt;b a&lt;b"


def test_globals_filters_and_tests_by_decorator(app: Saddle, write: Write) -> None:
    write("index.html", "{{ token() }} {{ 3|euro }} {{ 3 is prime }} {{ other(1) }} {{ 4|twice }} {{ 4 is big_one }}")

    @app.template_global
    def token() -> str:
        return "<t>"

    @app.template_global("other")
    def some(n: int) -> int:
        return n + 1

    @app.template_filter
    def euro(n: int) -> str:
        return f"{n} EUR"

    @app.template_filter("twice")
    def double(n: int) -> int:
        return 2 * n

    @app.template_test()
    def prime(n: int) -> bool:
        return n == 3

    @app.template_test("big_one")
    def big(n: int) -> bool:
        return n > 9

    assert token() == "<t>"  # a decorator gives the function back
    assert renders(app, "index.html") == "&lt;t&gt; 3 EUR True 2 8 False"


@pytest.mark.row("SAD-TPL-18")
def test_hooks_around_rendering(app: Saddle, write: Write, visit: Callable[..., Any]) -> None:
    write("index.html", "{{ n }} {{ added }}")
    seen: list[Any] = []
    part = Saddlery("part")

    @app.got_template
    def got(was: Any, template: Any, args: dict[str, Any]) -> None:
        seen.append(("app got", template.name, args["n"], args["was"] is was))
        args["added"] = 5

    @app.template_rendered
    def rendered(was: Any, template: Any, args: dict[str, Any], page: str) -> None:
        seen.append(("app rendered", template.name, args["n"], page))

    @part.got_template
    def part_got(was: Any, template: Any, args: dict[str, Any]) -> None:
        seen.append("part got")

    @part.template_rendered
    def part_rendered(was: Any, template: Any, args: dict[str, Any], page: str) -> None:
        seen.append("part rendered")

    @app.route("/")
    def index(was: Any) -> Any:
        return was.render("index.html", n=1)

    @part.route("/")
    def part_index(was: Any) -> Any:
        return was.render("index.html", n=2)

    app.mount("/part", part)
    client = visit(app)
    assert client.get("/").text == "1 5"
    assert seen == [("app got", "index.html", 1, True), ("app rendered", "index.html", 1, "1 5")]
    del seen[:]
    assert client.get("/part/").text == "2 5"
    assert [each if isinstance(each, str) else each[0] for each in seen] == [
        "app got", "part got", "part rendered", "app rendered"
    ]  # fmt: skip


# Overlay


@pytest.mark.row("SAD-TPL-08")
def test_the_overlay_of_the_documents(app: Saddle, write: Write) -> None:
    app.jinja_env.globals["before"] = "kept"
    env = app.jinja_env
    app.jinja_overlay (
      variable_start_string = "{{",
      variable_end_string = "}}",
      block_start_string = "{%",
      block_end_string = "%}",
      comment_start_string = "{#",
      comment_end_string = "#}",
      line_statement_prefix = "%",
      line_comment_prefix = "%%"
    )  # fmt: skip
    assert app.jinja_env is not env
    write(
        "index.html",
        "% for n in (1, 2)\n<{{ n }}> {{ before }} {{ was.request.method }}\n% endfor\n%% gone\n{# too #}end",
    )
    assert renders(app, "index.html") == "<1> kept GET\n<2> kept GET\n\nend"


@pytest.mark.row("SAD-TPL-08")
def test_an_overlay_without_arguments_has_these_delimiters(app: Saddle, write: Write) -> None:
    assert app.jinja_overlay() is app.jinja_env
    write("index.html", "% set x = '<3>'\n  {% if x %}\n{{ x }}\n  {% endif %}\n%% gone\n{# too #}\nend")
    assert renders(app, "index.html") == "&lt;3&gt;\n\nend"


def test_line_statements_and_trimming_can_be_switched_off(app: Saddle, write: Write) -> None:
    app.jinja_overlay(line_statement_prefix=None, line_comment_prefix=None, trim_blocks=False, lstrip_blocks=False)
    write("index.html", "% if\n %% for\n {% if 1 %}\n{{ 1 }}{% endif %}")
    assert renders(app, "index.html") == "% if\n %% for\n \n1"


def test_delimiters_of_a_javascript_framework_pass(app: Saddle, write: Write) -> None:
    app.jinja_overlay("{=", "=}")
    write("vue.html", '<p v-on:click="go">{{ message }}</p>{= 1 + 1 =}')
    assert renders(app, "vue.html") == '<p v-on:click="go">{{ message }}</p>2'


@pytest.mark.row("SAD-TPL-17")
@pytest.mark.parametrize("name", ["skito_jinja", "skito_jinja_overlay"])
def test_skito_delimiters(app: Saddle, write: Write, name: str) -> None:
    getattr(app, name)()
    write("index.html", "<% if 1 %>${ 1 + 1 } {{ no }}<% endif %><!--- gone ---><!-- stays -->")
    assert renders(app, "index.html") == "2 {{ no }}<!-- stays -->"


@pytest.mark.row("SAD-TPL-09")
def test_a_doubled_delimiter_prints_one(app: Saddle, write: Write) -> None:
    app.jinja_overlay("#", "#", comment_start_string="<!---", comment_end_string="--->")
    write("index.html", "##1: #name# is ## #name#\n% for n in (1, 2)\n#n###\n% endfor\n<a href='##'>####")
    assert renders(app, "index.html", name="<a>") == "#1: &lt;a&gt; is # &lt;a&gt;\n1#\n2#\n<a href='#'>##"


@given(st.text(alphabet="#ab \n-+", max_size=20))
def test_any_text_can_be_written_with_doubled_delimiters(text: str) -> None:
    app = Saddle(__name__)
    env = app.jinja_overlay(
        "#", "#", comment_start_string="<!---", comment_end_string="--->", keep_trailing_newline=True
    )
    # A sign right behind a doubled delimiter is the sign of whitespace control, as behind any.
    if "#-" not in text and "#+" not in text:
        assert env.from_string(text.replace("#", "##")).render() == text


@pytest.mark.parametrize("name", ["index.html", "outer.html"])
def test_where_doubling_is_not_known_the_log_says_so(
    app: Saddle, write: Write, written: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plain = jinja2.lexer.Lexer.tokeniter.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(jinja2.lexer.Lexer, "tokeniter", plain)
    app.jinja_overlay("#", "#")
    write("index.html", "<a href='##'>")
    write("outer.html", "{% include 'index.html' %}")
    write("without.html", "#1 + 1#")
    write("wrong.html", "#1 + #")
    app.route("/<name>")(lambda was, name: was.render(name))
    client = app.test_client()
    assert client.get("/without.html").text == "2"
    assert client.get("/wrong.html").status == 500
    assert "python -m skitai" not in written.app
    assert client.get(f"/{name}").status == 500
    assert "('##' for '#' needs Jinja2 3.1 as `python -m skitai`" in written.app


def test_wrong_options_of_an_overlay(app: Saddle) -> None:
    with pytest.raises(TypeError):
        app.jinja_overlay(nonsense=1)
    with pytest.raises(ValueError, match="cannot have these delimiters"):
        app.jinja_overlay("{%")


# Parts


def make_part(directory: Path, name: str, with_name: bool = True) -> tuple[ModuleType, Saddlery]:
    """A module with a part, in a directory of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    module = ModuleType(name)
    module.__file__ = str(directory / f"{name}.py")
    sys.modules[name] = module
    try:
        part = module.part = Saddlery(name) if with_name else Saddlery()  # type: ignore[attr-defined]
    finally:
        del sys.modules[name]
    (directory / "templates").mkdir()
    (directory / "templates" / "show.htm").write_text("part's own: {{ name }} {{ was.request.method }}")
    return module, part


@pytest.mark.row("SAD-TPL-12", "SAD-TPL-14")
def test_render2_finds_templates_of_the_part_and_render_those_of_the_app(
    app: Saddle, write: Write, tmp_path: Path, visit: Callable[..., Any]
) -> None:
    write("show.htm", "app's: {{ name }}")
    module, part = make_part(tmp_path / "members", "members")

    @part.route("/<name>")
    def hello(was: Any, name: str) -> Any:
        return was.render2("show.htm", name=name)

    @part.route("/app/<name>")
    def of_app(was: Any, name: str) -> Any:
        return was.render("show.htm", name=name)

    @app.route("/<name>")
    def main(was: Any, name: str) -> Any:
        return was.render2("show.htm", name=name)

    app.mount("/members", module)
    client = visit(app)
    assert client.get("/members/%3CHans%3E").text == "part's own: &lt;Hans&gt; GET"
    assert client.get("/members/app/Hans").text == "app's: Hans"
    assert client.get("/Hans").text == "app's: Hans"


@pytest.mark.row("SAD-TPL-13")
def test_render2_of_the_part_itself(app: Saddle, tmp_path: Path, visit: Callable[..., Any]) -> None:
    module, part = make_part(tmp_path / "members", "members")

    @part.route("/<name>")
    def hello(was: Any, name: str) -> Any:
        # first arg shoulld be 'was'
        return part.render2("show.htm", name=name)

    @part.route("/was/<name>")
    def with_was(was: Any, name: str) -> Any:
        return part.render2(was, "show.htm", {"name": name})

    app.mount("/members", module)
    client = visit(app)
    assert client.get("/members/Hans").text == "part's own: Hans GET"
    assert client.get("/members/was/Hans").text == "part's own: Hans GET"
    with pytest.raises(AttributeError, match="only while a request is served"):
        part.render2("show.htm", name="nobody")


def test_parts_share_the_settings_of_their_app(app: Saddle, tmp_path: Path) -> None:
    module, part = make_part(tmp_path / "members", "members")
    (tmp_path / "members" / "templates" / "own.htm").write_text("% if 1\n[[ f() ]]\n% endif\n")
    app.jinja_overlay("[[", "]]")
    app.template_global("f")(lambda: "<f>")

    @part.route("/")
    def hello(was: Any) -> Any:
        return was.render2("own.htm")

    app.mount("/members", module)
    assert app.test_client().get("/members/").text == "&lt;f&gt;\n"


def test_a_part_without_a_name_has_no_templates_and_says_so(app: Saddle, written: Any) -> None:
    part = Saddlery()

    @part.route("/")
    def hello(was: Any) -> Any:
        with pytest.raises(SetupError, match=r"create it as Saddlery\(__name__\), or use was.render\(\)"):
            was.render2("show.htm")
        return "ok"

    app.mount("/members", part)
    assert app.test_client().get("/members/").text == "ok"


# Files that change


def count_compilations(app: Saddle, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    compiled: list[str] = []
    compile_template = jinja2.Environment.compile

    def count(self: Any, source: Any, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        compiled.append(name)
        return compile_template(self, source, name, *args, **kwargs)

    monkeypatch.setattr(jinja2.Environment, "compile", count)
    return compiled


@pytest.mark.row("SAD-TPL-16")
@pytest.mark.parametrize("setting", ["use_reloader", "debug"])
def test_changed_templates_are_read_again_while_developing(app: Saddle, write: Write, setting: str) -> None:
    path = write("index.html", "old {% include 'inner.html' %}")
    inner = write("inner.html", "old")
    assert renders(app, "index.html") == "old old"
    setattr(app, setting, True)  # also when it is set late
    client = app.test_client()
    path.write_text("new {% include 'inner.html' %}")
    touch_later(path)
    assert client.get("/x").text == "new old"
    inner.write_text("new")
    touch_later(inner)
    assert client.get("/x").text == "new new"


def test_templates_are_compiled_once(app: Saddle, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = count_compilations(app, monkeypatch)
    path = write("index.html", "old")
    assert renders(app, "index.html") == "old"
    path.write_text("new")
    touch_later(path)
    client = app.test_client()
    assert [client.get("/x").text for _ in range(3)] == ["old"] * 3
    assert compiled == ["index.html"]


def test_a_template_that_watches_is_compiled_again_only_when_it_changed(
    app: Saddle, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = count_compilations(app, monkeypatch)
    write("index.html", "old")
    app.use_reloader = True
    assert renders(app, "index.html") == "old"
    assert app.test_client().get("/x").text == "old"
    assert compiled == ["index.html"]


# What goes wrong


def test_a_missing_template_is_named_in_the_log_and_not_to_the_client(
    app: Saddle, write: Write, visit: Callable[..., Any], written: Any, tmp_path: Path
) -> None:
    @app.route("/<name>")
    def index(was: Any, name: str) -> Any:
        return was.render(name + ".html")

    client = visit(app)
    answer = client.get("/nothing")
    assert answer.status == 500
    assert "nothing.html" not in answer.text
    assert f"there is no template 'nothing.html' in {tmp_path}/templates" in written.app
    write("nothing.html", "there")
    assert client.get("/nothing").text == "there"


def test_an_included_template_that_is_missing_is_the_error_of_jinja2(app: Saddle, write: Write, written: Any) -> None:
    write("index.html", "{% include 'gone.html' ignore missing %}{% include 'gone.html' %}")

    @app.route("/")
    def index(was: Any) -> Any:
        return was.render("index.html")

    assert app.test_client().get("/").status == 500
    assert "'gone.html' not found in search path" in written.app


def test_a_broken_template_is_named_with_its_line(app: Saddle, write: Write, written: Any) -> None:
    write("index.html", "fine\n{% if %}")

    @app.route("/")
    def index(was: Any) -> Any:
        return was.render("index.html")

    answer = app.test_client().get("/")
    assert answer.status == 500
    assert "Expected" not in answer.text
    assert "templates/index.html|template|2]" in written.app


def test_an_error_in_a_template_shows_escaped_values_in_debug_mode_only(app: Saddle, write: Write) -> None:
    write("index.html", "fine\n{{ fail('<script>') }}")

    @app.route("/")
    def index(was: Any) -> Any:
        def fail(text: str) -> None:
            raise ValueError(text)

        return was.render("index.html", fail=fail)

    client = app.test_client()
    assert "script" not in client.get("/").text
    app.debug = True
    text = client.get("/").text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert "index.html" in text


OUTSIDE = [
    "../secret.html",
    "a/../../secret.html",
    "..",
    "",
    "/",
    "//../secret.html",
    "a\0.html",
    "\ud800.html",
    "x" * 5000,
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("end", ["", ".pt"])
def test_names_do_not_lead_out_of_the_directory(app: Saddle, write: Write, tmp_path: Path, name: str, end: str) -> None:
    write("a/index.html", "fine")
    for secret in ("secret.html", "secret.html.pt", ".pt"):
        (tmp_path / secret).write_text("secret")
    with pytest.raises(TemplateMissing):
        app.templates.main.get(name + end)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose directory for templates is empty, with files all around that nobody may get."""
    home = tmp_path_factory.mktemp("outside") / "home"
    (home / "templates" / "a").mkdir(parents=True)
    for directory in (home.parent, home):
        for name in ("secret.html", "b.html", "c.pt", "secret.html.pt"):
            (directory / name).write_text("secret")
    return home


PIECES = st.sampled_from(["..", ".", "", "a", "secret.html", "b.html", "c.pt", "\\", "..\\", "~"])


@given(names=st.lists(PIECES), end=st.sampled_from(["", ".pt", "/"]))
def test_no_name_finds_what_is_outside(secrets: Path, names: list[str], end: str) -> None:
    app = Saddle(__name__)
    app.home = str(secrets)
    with pytest.raises(TemplateMissing):
        app.templates.main.get("/".join(names) + end)
