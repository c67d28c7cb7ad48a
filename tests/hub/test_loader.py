"""App files as modules, in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from skitai.errors import ConfigurationError
from skitai.hub import loader
from skitai.hub.app_modules import PREFIX, AppModules
from skitai.lib.attributes import Preference


@pytest.fixture
def modules(monkeypatch):
    """A fresh registry, with the interpreter's tables put back afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    fresh = AppModules()
    monkeypatch.setattr(loader, "modules", fresh)
    yield fresh
    for name in set(sys.modules) - before:
        if name.startswith(PREFIX):
            del sys.modules[name]


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / (name.replace("__slash__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


@pytest.mark.row("MNT-12")
def test_helpers_of_the_same_name_are_private(modules, tmp_path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, app="import helper\napp = helper.make", helper=f"def make(): return '{name}'")
    loaded = [modules.module(tmp_path / name / "app.py") for name in ("a", "b")]
    assert [module.app() for module in loaded] == ["a", "b"]
    assert "helper" not in sys.modules


@pytest.mark.row("MNT-12")
def test_packages_without_init_are_private_too(modules, tmp_path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, app="from contrib.part import who", contrib__slash__part=f"who = '{name}'")
    assert [modules.module(tmp_path / name / "app.py").who for name in ("a", "b")] == ["a", "b"]


@pytest.mark.row("MNT-12")
def test_imports_inside_functions_find_their_own_helper(modules, tmp_path) -> None:
    late = "def app():\n    import helper\n    from helper import who\n    return who, helper.who"
    for name in ("a", "b"):
        write(tmp_path / name, app=late, helper=f"who = '{name}'")
    loaded = [modules.module(tmp_path / name / "app.py") for name in ("a", "b")]
    assert [module.app() for module in loaded] == [("a", "a"), ("b", "b")]


def test_an_installed_package_is_not_copied(modules, tmp_path) -> None:
    """Also when the app stands in its source checkout, as an app of Skitai's own examples may."""
    root = Path(loader.__file__).parents[2]
    (tmp_path / "skitai").symlink_to(root / "skitai")
    write(tmp_path, app="import skitai, json\nfrom skitai.lib import attributes")
    module = modules.module(tmp_path / "app.py")
    assert module.skitai is sys.modules["skitai"]
    assert module.attributes is sys.modules["skitai.lib.attributes"]
    assert module.json is sys.modules["json"]


def test_modules_of_the_script_s_directory_are_shared_with_it(modules, tmp_path, monkeypatch) -> None:
    write(tmp_path, app="import shared_by_test", shared_by_test="value = []")
    monkeypatch.syspath_prepend(str(tmp_path))
    import shared_by_test

    try:
        assert modules.module(tmp_path / "app.py").shared_by_test is shared_by_test
    finally:
        del sys.modules["shared_by_test"]


def test_a_directory_of_data_does_not_hide_a_library(modules, tmp_path) -> None:
    (tmp_path / "json").mkdir()
    write(tmp_path, app="import json\napp = json.dumps")
    assert modules.module(tmp_path / "app.py").json is sys.modules["json"]


def test_the_file_runs_once_for_all_its_apps_and_again_for_a_repeated_one(modules, tmp_path) -> None:
    path = write(tmp_path, app="one = two = 1") / "app.py"
    assert [modules.claim(path, name) for name in ("one", "two", "one", "one")] == [0, 0, 1, 2]
    assert modules.module(path, 0) is modules.module(path, 0)
    assert modules.module(path, 0) is not modules.module(path, 1)


def test_a_file_that_fails_can_be_loaded_again(modules, tmp_path) -> None:
    path = write(tmp_path, app="raise ValueError('first')") / "app.py"
    with pytest.raises(ValueError, match="first"):
        modules.module(path)
    path.write_text("app = 'now it works'")
    assert modules.module(path).app == "now it works"


def test_a_file_with_dots_in_its_name(modules, tmp_path) -> None:
    (tmp_path / "app.v1.py").write_text("from . import part\napp = __name__")
    write(tmp_path, part="")
    assert modules.module(tmp_path / "app.v1.py").app.endswith(".app_v1")


def test_an_app_finds_itself_by_its_name(modules, tmp_path) -> None:
    """Flask and pickle look modules up in sys.modules."""
    module = modules.module(write(tmp_path, app="class Thing: pass") / "app.py")
    assert sys.modules[module.__name__] is module
    assert module.__file__ == str(tmp_path / "app.py")
    assert module.Thing.__module__ == module.__name__


class Recorder:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str, category: str = "info") -> None:
        self.lines.append(f"{category} {message}")

    def traceback(self, error: BaseException) -> None:
        self.lines.append(f"expt {error}")


def test_a_reference_loads_its_app_and_applies_preferences(modules, tmp_path) -> None:
    path = write(tmp_path, app="def app(): pass") / "app.py"
    pref = Preference(debug=True)
    pref.config.x = 1
    app = loader.AppRef("/", loader.resolve(str(path), "app", "/"), pref)  # type: ignore[arg-type]
    assert not app.is_loaded
    assert not app.debug
    log = Recorder()
    assert app.load(log)  # type: ignore[arg-type]
    assert (app.debug, app.app.config.x) == (True, 1)
    assert log.lines == ["info application / imported."]


def test_preferences_that_cannot_be_set_are_a_failed_load(modules) -> None:
    app = loader.AppRef("/", loader.resolve(len, "app", "/"), Preference(debug=True))  # type: ignore[arg-type]
    log = Recorder()
    assert not app.load(log)  # type: ignore[arg-type]
    assert log.lines[-1] == "error application load failed: len"
    status = []
    assert b"404" in b"".join(app.app({}, lambda line, fields: status.append(line)))
    assert status == ["404 Not Found"]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (len, loader.AppObject),
        ("@members", loader.Cluster),
        (".", loader.Directory),
        (("app.py", "x"), loader.AppFile),
        (Path("app"), loader.AppFile),
        (["app", "x"], loader.AppFile),
    ],
)
def test_what_a_target_is(modules, tmp_path, target, kind) -> None:
    write(tmp_path, app="")
    assert type(loader.resolve(target, "app", str(tmp_path))) is kind


def test_a_target_that_is_nothing(modules) -> None:
    with pytest.raises(ConfigurationError, match="5 cannot be mounted: give an app"):
        loader.resolve(5, "app", "/")
    with pytest.raises(ConfigurationError, match=r"no file /nowhere\.py"):
        loader.resolve("nowhere.py", "app", "/")
