"""What ``wasc`` gives an app when its server runs: logs, configuration, clean-up."""

from __future__ import annotations

import os
import time

import pytest

from skitai.net.logs import Logs
from skitai.net.rotation import RotatingFile

APP = """
from skitai.saddle import Saddle

app = Saddle(__name__)


class Engine:
    def __init__(self, name):
        self.name = name

    def cleanup(self):
        open("cleaned-" + self.name, "w").close()
        if self.name == "first":
            raise OSError("first cannot be cleaned up")


@app.startup
def startup(wasc):
    login = wasc.logger.make_logger("login", "daily")
    login("a line by calling", "info")
    login.log("a line by log", "warn")
    try:
        wasc.logger.make_logger("login", "daily")
    except TypeError:
        login("a second login log is refused")
    try:
        1 / 0
    except ZeroDivisionError:
        wasc.logger.get("app").trace("startup")
    wasc.logger.get("app")("started with %d threads" % wasc.config.threads, "note")
    wasc.register("first", Engine("first"))
    wasc.register("second", Engine("second"))


@app.route("/")
def index(was):
    return "%s %s" % (was.wasc.config["port"], was.second.name)


if __name__ == "__main__":
    import skitai

    skitai.mount("/", app)
    skitai.run(port=0, threads=3, logpath="logs")
"""


@pytest.mark.row("SAD-EVT-15", "SAD-EVT-16", "SAD-EVT-17")
def test_logs_configuration_and_cleanup(workplace):
    script = workplace.serve(APP, "-v")
    assert script.get("/").text == "0 second"
    assert script.stop() == 0
    logs = workplace.directory / "logs"
    login = (logs / "login.log").read_text()
    assert "[info] a line by calling" in login
    assert "[warn] a line by log" in login
    assert "a second login log is refused" in login
    app = (logs / "app.log").read_text()
    assert "[note] started with 3 threads" in app
    assert "[expt:startup] <class 'ZeroDivisionError'>" in app
    assert "first cannot be cleaned up" in app  # and yet the second one was
    assert (workplace.directory / "cleaned-second").exists()


def test_a_log_name_is_a_file_name(tmp_path):
    logs = Logs.to_directory(str(tmp_path))
    for name in ("../x", "a/b", "", "x\0y", "x" * 65):
        with pytest.raises(ValueError, match="no name for a log"):
            logs.make(name)
    with pytest.raises(ValueError, match="weekly"):
        logs.make("x", "hourly")
    with pytest.raises(TypeError, match="already"):
        logs.make("app")
    with pytest.raises(KeyError, match="make_logger"):
        logs.get("login")
    logs.close()


def test_without_a_directory_further_logs_go_to_the_app_log():
    logs = Logs.to_console()
    assert logs.make("login").file is logs.app.file


def test_weekly_rotation(tmp_path):
    monday = time.mktime((2026, 11, 16, 12, 0, 0, 0, 0, -1))
    now = [monday]
    file = RotatingFile(str(tmp_path / "login.log"), "weekly", clock=lambda: now[0])
    file.write(b"a\n")
    for day in range(1, 8):
        os.utime(tmp_path / "login.log", (now[0], now[0]))
        now[0] = monday + day * 86400
        file.write(b"b\n")
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == (["login.log"] if day < 7 else ["login-20261122.log", "login.log"])
    file.close()
