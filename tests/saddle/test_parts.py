"""Saddleries: parts of an app in modules of their own."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from skitai.saddle import Saddle, Saddlery
from skitai.saddle.errors import SetupError


def module(name="admin", **names):
    made = ModuleType(name)
    vars(made).update(names)
    return made


def greeting() -> Saddlery:
    part = Saddlery()

    @part.route("/<name>")
    def hello(was, name):
        return f"{name} {was.app.packagename} {was.subapp.packagename}"

    return part


@pytest.mark.row("CONST-20")
def test_saddle_and_saddlery_are_imported_from_skitai_saddle(app) -> None:
    from skitai import saddle

    assert saddle.Saddle is Saddle and saddle.Saddlery is Saddlery
    app.mount("/part", greeting())
    assert app.test_client().get("/part/x").status == 200


@pytest.mark.row("SAD-PKG-02", "SAD-PKG-05", "SAD-APP-14")
def test_mount_as_in_version_0_26(app, visit) -> None:
    app.mount("/admin", module(part=greeting()), "part")
    assert visit(app, "/point").get("/point/admin/Hans_Roh").text == "Hans Roh app part"


@pytest.mark.row("SAD-PKG-03")
def test_mount_as_in_version_0_15(app, visit) -> None:
    app.mount(module(part=greeting()), "part", "/admin")
    assert visit(app).get("/admin/x").status == 200


@pytest.mark.row("SAD-PKG-03")
def test_mount_as_in_version_0_15_with_defaults(app, visit) -> None:
    app.mount(module(part=greeting()))
    assert visit(app).get("/x").status == 200


def test_a_part_of_another_name_is_found(app) -> None:
    app.mount("/a", module(app=greeting()))
    app.mount("/b", module(app=greeting()), "part")
    app.mount("/c", module(other=greeting()), "other")
    client = app.test_client()
    assert [client.get(f"/{point}/x").status for point in "abc"] == [200] * 3
    with pytest.raises(SetupError, match="no Saddlery to mount: there is none under wrong, part, app"):
        Saddle(__name__).mount("/d", module(), "wrong")


@pytest.mark.row("SAD-PKG-04")
def test_parts_in_parts(app, visit) -> None:
    # fmt: off
    admin_sub = module ("admin_sub", app = greeting ())

    part = Saddlery () # mount point
    # Saddlery also can have sub Saddlery
    part.mount ("/admin/sub", admin_sub, "app")
    # fmt: on
    app.mount("/first", part)
    assert visit(app).get("/first/admin/sub/x").text == "x app app"


@pytest.mark.row("SAD-PKG-03", "SAD-PKG-04")
def test_parts_in_parts_as_in_version_0_15(app, visit) -> None:
    # fmt: off
    admin_sub = module ("admin_sub", app = greeting ())

    part = Saddlery () # mount point
    # Saddlery also can have sub Saddlery
    part.mount (admin_sub, "app", "/admin/sub")
    # fmt: on
    app.mount(module(part=part), "part", "/first")
    assert visit(app).get("/first/admin/sub/x").text == "x app app"


@pytest.mark.row("SAD-APP-04")
def test_was_app_is_the_main_app_also_in_a_part(app, visit) -> None:
    part = Saddlery()
    part.route("/")(lambda was: f"{was.app is app} {was.subapp is part}")
    app.mount("/admin", part)
    assert visit(app).get("/admin/").text == "True True"


@pytest.mark.row("SAD-PKG-06")
def test_settings_of_the_app_hold_in_its_parts(app, visit, written) -> None:
    part = Saddlery()

    @part.route("/")
    def fail(was):
        raise RuntimeError(f"limit {was.app.config.limit}")

    app.debug = True
    app.config.limit = 5
    app.mount("/admin", part)
    assert "RuntimeError: limit 5" in visit(app).get("/admin/").text


@pytest.mark.row("SAD-PKG-06", "SAD-PKG-07")
def test_hooks_of_a_part_are_its_own(app, visit) -> None:
    trail = []
    part, other = Saddlery(), Saddlery()
    for name in ("before_request", "finish_request", "teardown_request", "startup", "shutdown"):
        getattr(part, name)(lambda *args, name=name: trail.append(name))
    part.failed_request(lambda was, exc_info: "handled")
    part.route("/")(lambda was: 1 / 0)
    part.route("/well")(lambda was: "well")
    other.route("/")(lambda was: "other")
    app.route("/")(lambda was: "app")
    app.mount("/part", part)
    app.mount("/other", other)
    client = visit(app)
    app.begin()
    assert trail == ["startup"]
    trail.clear()
    assert client.get("/").text + client.get("/other/").text == "appother"
    assert trail == []
    assert client.get("/part/").text == "handled"
    assert client.get("/part/well").text == "well"
    assert trail == ["before_request", "teardown_request", "before_request", "finish_request", "teardown_request"]
    trail.clear()
    app.end()
    assert trail == ["shutdown"]


@pytest.mark.row("SAD-PKG-09")
def test_several_apps_in_one_process(run) -> None:
    service, trade = Saddle(__name__), Saddle(__name__)
    service.route("/")(lambda was: was.ab("<lambda>"))
    trade.route("/")(lambda was: was.ab("<lambda>"))
    server = run({"/service": service, "/service/trade": trade})
    assert server.request("GET", "/service/", [("Host", "x")]).content == b"/service/"
    assert server.request("GET", "/service/trade/", [("Host", "x")]).content == b"/service/trade/"


def test_a_part_cannot_contain_itself(app) -> None:
    part, inner = Saddlery(), Saddlery()
    part.mount("/inner", inner)
    with pytest.raises(SetupError, match="contains itself"):
        inner.mount("/part", part)
    with pytest.raises(SetupError, match="starts with '/'"):
        app.mount("part", part)


def test_a_part_with_a_name_knows_its_directory(tmp_path, monkeypatch) -> None:
    made = module("named")
    made.__file__ = str(tmp_path / "named.py")
    monkeypatch.setitem(sys.modules, "named", made)
    assert Saddlery("named").home == str(tmp_path)
    assert Saddlery().home is None
