"""Apps that are loaded anew when their files change: the reference, with a clock of its own, and over sockets."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from skitai.hub import app_ref, loader, units
from skitai.hub.app_modules import PREFIX, AppModules
from skitai.lib.attributes import Preference
from tests.scripts import PATIENCE, Script

WSGI = """
def app(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{text}"]
app.use_reloader = {reloader}
"""

SADDLE = """
from skitai.saddle import Saddle
app = Saddle(__name__)
app.use_reloader = True
"""


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str, category: str = "info") -> None:
        self.lines.append(f"{category} {message}")

    def traceback(self, error: BaseException) -> None:
        self.lines.append(f"expt {type(error).__name__} {error}")


class Place:
    """A directory with app files whose dates are ours, and references with a clock that is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = Log()
        self.now = 0.0
        self._date = 1_000_000_000

    def file(self, name: str, text: str) -> Path:
        """Write a file; each time it is a second younger."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        self._date += 1
        os.utime(path, (self._date, self._date))
        return path

    def mount(self, name: str = "app.py", variable: str = "app", pref: Preference | None = None) -> app_ref.AppRef:
        """Load an app file."""
        ref = app_ref.AppRef("/", loader.resolve(name, variable, str(self.directory)), pref)  # type: ignore[arg-type]
        self.load(ref)
        return ref

    def load(self, ref: app_ref.AppRef) -> None:
        ref.load(self.log)  # type: ignore[arg-type]
        if app_ref.is_native(ref.app):
            ref.app.begin(ref.point)

    def ask(self, ref: app_ref.AppRef, path: str = "/") -> str:
        """One request, a second after the last one."""
        self.now += 1.0
        ref.refresh()
        if app_ref.is_native(ref.app):
            return ref.app.test_client().get(path).text  # type: ignore[no-any-return]
        body = ref.app({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda status, fields: None)
        return b"".join(body).decode()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Place]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(loader, "modules", AppModules())
    place = Place(tmp_path)
    # The default of a parameter is in the function.
    monkeypatch.setattr(units.Unit.__init__, "__defaults__", (lambda: place.now,))
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if name.startswith(PREFIX) or str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


# Whether and when


@pytest.mark.row("RELOAD-01")
def test_a_changed_file_is_loaded_at_the_next_request(place) -> None:
    place.file("app.py", WSGI.format(text="one", reloader=True))
    ref = place.mount()
    assert ref.is_reloading
    assert place.ask(ref) == "one"
    place.file("app.py", WSGI.format(text="two", reloader=True))
    assert place.ask(ref) == "two"
    assert place.log.lines == ["info application / imported.", "info application / reloaded."]


@pytest.mark.row("RELOAD-02")
@pytest.mark.parametrize("reloader", [False, 0, None])
def test_without_it_never(place, reloader, monkeypatch) -> None:
    place.file("app.py", WSGI.format(text="one", reloader=reloader))
    ref = place.mount()
    assert not ref.is_reloading
    place.file("app.py", WSGI.format(text="two", reloader=True))
    monkeypatch.setattr(os, "stat", None)
    assert place.ask(ref) == "one"


def test_files_are_looked_at_once_per_second(place) -> None:
    place.file("app.py", WSGI.format(text="one", reloader=True))
    ref = place.mount()
    place.ask(ref)
    app = ref.app
    place.file("app.py", WSGI.format(text="two", reloader=True))
    place.now += 0.9
    ref.refresh()
    assert ref.app is app
    place.now += 0.1
    ref.refresh()
    assert ref.app is not app


def test_it_ends_when_the_new_app_does_not_want_it(place) -> None:
    place.file("app.py", WSGI.format(text="one", reloader=True))
    ref = place.mount()
    for text, reloader, answer in [("two", False, "two"), ("three", True, "two")]:
        place.file("app.py", WSGI.format(text=text, reloader=reloader))
        assert place.ask(ref) == answer


def test_two_edits_within_one_second_of_the_same_size(place) -> None:
    """Python's cache of compiled files knows seconds and sizes only."""
    path = place.file("package/part.py", "text = b'one'")
    place.file(
        "app.py", "from package import part\n" + WSGI.format(text="x", reloader=True).replace('b"x"', "part.text")
    )
    ref = place.mount()
    assert place.ask(ref) == "one"
    status = path.stat()
    path.write_text("text = b'two'")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert place.ask(ref) == "two"


# What kind of app


@pytest.mark.row("RELOAD-03")
def test_flask(place) -> None:
    text = """
    from flask import Flask
    app = Flask(__name__)
    app.use_reloader = True

    @app.route("/")
    def page():
        return "{}"
    """
    place.file("app.py", text.format("one"))
    ref = place.mount()
    for answer in ("one", "two"):
        place.file("app.py", text.format(answer))
        place.now += 1
        ref.refresh()
        assert ref.app.test_client().get("/").text == answer


@pytest.mark.row("RELOAD-03")
def test_an_app_may_become_one_of_another_kind(place) -> None:
    place.file("app.py", WSGI.format(text="plain", reloader=True))
    ref = place.mount()
    place.file("app.py", SADDLE + "@app.route('/')\ndef page(was):\n    return 'Saddle'\n")
    assert place.ask(ref) == "Saddle"
    place.file("app.py", WSGI.format(text="plain again", reloader=True))
    assert place.ask(ref) == "plain again"


def test_two_apps_of_one_file_stay_in_one_module(place) -> None:
    both = WSGI.format(text="{0} a", reloader=True) + WSGI.format(text="{0} b", reloader=True).replace("app", "other")
    place.file("app.py", both.format("one"))
    first, second = place.mount(), place.mount(variable="other")
    place.file("app.py", both.format("two"))
    assert (place.ask(first), place.ask(second)) == ("two a", "two b")
    assert first.app.__globals__ is second.app.__globals__
    assert place.log.lines.count("info application / reloaded.") == 2


def test_the_same_app_mounted_twice_is_two(place) -> None:
    place.file("app.py", WSGI.format(text="one", reloader=True))
    first, second = place.mount(), place.mount()
    place.file("app.py", WSGI.format(text="two", reloader=True))
    assert (place.ask(first), place.ask(second)) == ("two", "two")
    assert first.app is not second.app


def test_an_app_object_of_an_imported_module(place, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(place.directory))
    place.file("objects_of_test.py", WSGI.format(text="one", reloader=True))
    import objects_of_test  # type: ignore[import-not-found]

    ref = app_ref.AppRef("/", loader.AppObject(objects_of_test.app), None)
    place.load(ref)
    for answer in ("two", "three"):
        place.file("objects_of_test.py", WSGI.format(text=answer, reloader=True))
        assert place.ask(ref) == answer


def test_an_app_that_a_package_exports(place, monkeypatch) -> None:
    """It keeps its place in the package, and imports from it as before."""
    monkeypatch.syspath_prepend(str(place.directory))
    place.file("unsub_of_test/__init__.py", "who = 'unsub'")
    place.file("unsub_of_test/export/skitai/__init__.py", "began = []")
    text = SADDLE + "import unsub_of_test\nfrom .package import views\nfrom . import began\nbegan.append('{0}')\n"
    text += "@app.route('/')\ndef page(was):\n    return f'{0} {{unsub_of_test.who}} {{views.text}} {{began}}'\n"
    place.file("unsub_of_test/export/skitai/app.py", text.format("one"))
    place.file("unsub_of_test/export/skitai/package/views.py", "text = 'a'")
    import unsub_of_test  # type: ignore[import-not-found]

    ref = app_ref.AppRef("/", loader.resolve(unsub_of_test, "app", "/"), None)  # type: ignore[arg-type]
    place.load(ref)
    assert place.ask(ref) == "one unsub a ['one']"
    place.file("unsub_of_test/export/skitai/package/views.py", "text = 'b'")
    assert place.ask(ref) == "one unsub b ['one', 'one']"
    place.file("unsub_of_test/export/skitai/app.py", text.format("two"))
    assert place.ask(ref) == "two unsub b ['one', 'one', 'two']"
    assert ref.app.name == "unsub_of_test.export.skitai.app"


def test_an_app_that_no_module_has_says_so(place) -> None:
    def app(env: Any, start_response: Any) -> list[bytes]:
        return []

    app.use_reloader = True  # type: ignore[attr-defined]
    ref = app_ref.AppRef("/", loader.AppObject(app), None)
    place.load(ref)
    assert not ref.is_reloading
    assert place.log.lines[-1] == "warn use_reloader does nothing for app: no module has it as a variable"


# What is reloaded along with it


@pytest.mark.row("RELOAD-04", "SAD-APP-17")
@pytest.mark.parametrize("directory", ["package", "contrib", "appack", "mylib", "corplib"])
def test_modules_of_package_directories(place, directory) -> None:
    app = f"""
    app.add_package("mylib", "corplib")
    from {directory} import views
    from {directory}.deep import more

    @app.route("/")
    def page(was):
        return views.text + more.text
    """
    place.file("app.py", SADDLE + textwrap.dedent(app))
    place.file(f"{directory}/views.py", "text = 'one '")
    place.file(f"{directory}/deep/more.py", "text = 'deep'")
    ref = place.mount()
    assert place.ask(ref) == "one deep"
    place.file(f"{directory}/views.py", "text = 'two '")
    assert place.ask(ref) == "two deep"
    place.file(f"{directory}/deep/more.py", "text = 'deeper'")
    assert place.ask(ref) == "two deeper"


@pytest.mark.row("SAD-APP-17")
def test_added_packages_are_of_one_app_only(place) -> None:
    from skitai.saddle import Saddle

    one, other = Saddle(__name__), Saddle(__name__)
    one.add_package("mylib")
    assert "mylib" not in other.packages


@pytest.mark.row("RELOAD-04")
def test_modules_that_import_each_other_are_all_new(place) -> None:
    """Whichever of them changed, none keeps what it took from another one's former version."""
    place.file("package/base.py", "text = 'one'")
    place.file("package/user.py", "from .base import text")
    place.file("package/__init__.py", "from .user import text")
    place.file("app.py", SADDLE + "import package\n@app.route('/')\ndef page(was):\n    return package.text\n")
    ref = place.mount()
    assert place.ask(ref) == "one"
    place.file("package/base.py", "text = 'two'")
    assert place.ask(ref) == "two"


def test_a_module_that_is_imported_late_is_watched(place) -> None:
    late = "@app.route('/')\ndef page(was):\n    from package import late\n    return late.text\n"
    place.file("app.py", SADDLE + late)
    place.file("package/late.py", "text = 'one'")
    ref = place.mount()
    assert place.ask(ref) == "one"
    assert place.ask(ref) == "one"
    place.file("package/late.py", "text = 'two'")
    assert place.ask(ref) == "two"


@pytest.mark.row("RELOAD-04")
def test_a_deleted_file_is_forgotten_and_others_are_not_watched(place) -> None:
    place.file("package/views.py", "text = 'one'")
    place.file("helper.py", "text = 'helper'")
    text = "import helper\nfrom package import views\n@app.route('/')\ndef page(was):\n    return views.text\n"
    place.file("app.py", SADDLE + text)
    ref = place.mount()
    app = ref.app
    place.file("helper.py", "text = 'no package, no part'")
    (place.directory / "package" / "views.py").unlink()
    assert place.ask(ref) == "one"
    assert ref.app is app
    place.file("package/views.py", "text = 'back'")
    assert place.ask(ref) == "back"


@pytest.mark.row("RELOAD-05", "SAD-PKG-08")
def test_modules_of_parts(place) -> None:
    part = """
    from skitai.saddle import Saddlery
    part = Saddlery()

    @part.route("/{rule}")
    def hello(was):
        return "{rule} of {name}"
    """
    nested = "from . import inner\npart.mount('/inner', inner)\n"
    place.file("app.py", SADDLE + "from . import admin\napp.mount('/admin', admin, 'part')\n")
    place.file("admin.py", textwrap.dedent(part.format(rule="one", name="admin")) + nested)
    place.file("inner.py", part.format(rule="one", name="inner"))
    ref = place.mount()
    assert place.ask(ref, "/admin/one") == "one of admin"
    assert place.ask(ref, "/admin/inner/one") == "one of inner"
    place.file("inner.py", part.format(rule="two", name="inner"))
    assert place.ask(ref, "/admin/inner/two") == "two of inner"
    place.file("admin.py", textwrap.dedent(part.format(rule="two", name="admin")) + nested)
    assert place.ask(ref, "/admin/two") == "two of admin"
    assert "404" in place.ask(ref, "/admin/one")


# What happens then


@pytest.mark.row("RELOAD-06", "SAD-EVT-10", "RELOAD-10")
def test_onreload_runs_in_place_of_startup_and_routes_are_new(place) -> None:
    text = """
    import builtins

    @app.startup
    def startup(wasc):
        wasc.register("began", ["startup {0}"])

    @app.onreload
    def onreload(wasc):
        wasc.unregister("began")
        wasc.register("began", ["onreload {0}"])

    @app.route("/{0}")
    def page(was):
        return was.began[0]
    """
    place.file("app.py", SADDLE + textwrap.dedent(text.format("one")))
    ref = place.mount()
    try:
        for _ in range(3):
            assert place.ask(ref, "/one") == "startup one"
        place.file("app.py", SADDLE + textwrap.dedent(text.format("two")))
        assert "404" in place.ask(ref, "/one")
        assert place.ask(ref, "/two") == "onreload two"
    finally:
        from skitai.was._context import wasc

        wasc.unregister("began")


BROKEN = {
    "a syntax error": "def app(:\n",
    "an exception": "1 / 0\n",
    "sys.exit()": "import sys\nsys.exit(1)\n",
    "no such variable": "application = 1\n",
    "nothing that can be called": "app = 1\n",
    "a rule that does not fit": SADDLE + "@app.route('/<x>')\ndef page(was):\n    return ''\n",
}


@pytest.mark.row("RELOAD-07")
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_logged_and_tried_again_when_it_changes(place, what) -> None:
    place.file("app.py", WSGI.format(text="one", reloader=True))
    ref = place.mount()
    name = ref.app.__module__
    place.file("app.py", BROKEN[what])
    for _ in range(3):
        assert place.ask(ref) == "one"
    failed = f"error application reload failed, the former one goes on: {ref.name}"
    assert place.log.lines.count(failed) == 1
    assert place.log.lines[-2].startswith("expt ")
    if what in ("a syntax error", "an exception", "sys.exit()"):
        assert vars(sys.modules[name]) is ref.app.__globals__
    place.file("app.py", WSGI.format(text="two", reloader=True))
    assert place.ask(ref) == "two"


@pytest.mark.row("RELOAD-07")
@pytest.mark.parametrize(("broken", "mended"), [("text = ", "text = 'two'"), (None, "text = 'two'")])
def test_a_module_that_breaks_it_is_watched_although_nobody_could_import_it(place, broken, mended) -> None:
    place.file("package/old.py", "text = 'one'")
    text = "from package.{} import text\n@app.route('/')\ndef page(was):\n    return text\n"
    place.file("app.py", SADDLE + text.format("old"))
    ref = place.mount()
    if broken is not None:
        place.file("package/new.py", broken)
    place.file("app.py", SADDLE + text.format("new"))
    assert place.ask(ref) == "one"
    assert place.ask(ref) == "one"
    assert len([line for line in place.log.lines if "reload failed" in line]) == 1
    place.file("package/new.py", mended)
    assert place.ask(ref) == "two"


def test_an_app_that_was_broken_from_the_start(place) -> None:
    place.file("app.py", "1 / 0")
    ref = place.mount(pref=Preference(use_reloader=True))
    assert ref.is_reloading
    assert "404" in place.ask(ref)
    place.file("app.py", WSGI.format(text="mended", reloader=False))
    assert place.ask(ref) == "mended"
    assert ref.is_reloading


@pytest.mark.row("RELOAD-08")
def test_preferences_are_set_again(place) -> None:
    pref = Preference(use_reloader=1, debug=True)
    pref.config.urllist = ["a"]
    text = (
        SADDLE
        + "app.use_reloader = False\n@app.route('/')\ndef page(was):\n    return '{} %s' % was.app.config.urllist\n"
    )
    place.file("app.py", text.format("one"))
    ref = place.mount(pref=pref)
    assert place.ask(ref) == "one ['a']"
    place.file("app.py", text.format("two"))
    assert place.ask(ref) == "two ['a']"
    assert ref.debug
    assert ref.is_reloading


@pytest.mark.row("RELOAD-09")
def test_attributes_that_survive(place) -> None:
    text = "app.reloadables = {{}}\napp.cache = {{'version': {0}}}\napp.other = {0}\n"
    text += "app.PRESERVES_ON_RELOAD += ['cache']\n"
    place.file("app.py", SADDLE + text.format(1))
    ref = place.mount()
    former = ref.app
    former.cache["hits"] = 5
    place.file("app.py", SADDLE + text.format(2))
    place.ask(ref)
    assert ref.app is not former
    assert ref.app.cache is former.cache
    assert ref.app.reloadables is former.reloadables
    assert (ref.app.cache["version"], ref.app.other) == (1, 2)


# Over sockets


def await_answer(script: Script, text: str, path: str = "/") -> None:
    """Ask until the files were looked at again, which is once per second."""
    with gevent.Timeout(PATIENCE, TimeoutError(f"never {text!r}: {script.text}")):
        while script.get(path).text != text:
            gevent.sleep(0.05)


RUN = "\nif __name__ == '__main__':\n    import skitai\n    skitai.mount('/', {})\n    skitai.run(port=0)\n"


@pytest.mark.row("RELOAD-01", "RELOAD-03", "SAD-APP-03")
@pytest.mark.parametrize("mounted", ["app", "__file__", "app without __main__ block"])
@pytest.mark.parametrize("kind", ["function", "Saddle"])
def test_a_server_reloads_what_its_script_is(workplace, mounted, kind) -> None:
    text = {
        "function": WSGI.format(text="VERSION", reloader=True),
        "Saddle": SADDLE + "@app.route('/')\ndef page(was):\n    return 'VERSION'\n",
    }[kind]
    text += RUN.format(mounted.partition(" ")[0])
    if "without" in mounted:
        text = text.replace("if __name__ == '__main__':", "if True:")
    script = workplace.serve(text.replace("VERSION", "one"))
    assert script.get().text == "one"
    for answer in ("the second", "one more"):
        workplace.file("app.py", text.replace("VERSION", answer))
        await_answer(script, answer)
    workplace.file("app.py", "this is broken")
    asking = gevent.spawn(await_answer, script, "never")
    try:
        script.next_line("application reload failed, the former one goes on")
    finally:
        asking.kill()
    assert script.get().text == "one more"
    assert script.stop() == 0


def test_requests_wait_for_the_one_that_reloads(workplace) -> None:
    """And a request that the reload itself makes is served by the former app, after a while."""
    text = SADDLE + "import gevent\n{}\n@app.route('/')\ndef page(was):\n    return '{}'\n" + RUN.format("__file__")
    script = workplace.serve(text.format("", "one"))
    assert script.get().text == "one"
    workplace.file("app.py", text.format("gevent.sleep(0.5)", "two"))
    await_answer(script, "two")
    workplace.file("app.py", text.format("open('began', 'w').close()\ngevent.sleep(1)", "three"))
    with gevent.Timeout(PATIENCE):
        first = gevent.spawn(await_answer, script, "three")
        while not (workplace.directory / "began").exists():
            gevent.sleep(0.01)
        assert script.get().text == "three"
        first.get()
    assert script.stop() == 0
