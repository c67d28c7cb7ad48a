"""The logs: formats, batches, rotation by many processes, and disks that are full."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest

from skitai.net import logs, rotation
from skitai.net.logs import LogFile, Logger, Logs

STAMP = r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d"
DAY = 86400.0
NOON = time.mktime((2026, 1, 15, 12, 0, 0, 0, 0, -1))


def make_logger(path: Path) -> Logger:
    return Logger(LogFile(str(path), batched=False))


@pytest.mark.row("LOG-03")
def test_a_line_has_time_category_and_message(tmp_path) -> None:
    logger = make_logger(tmp_path / "app.log")
    logger.log("called index")
    logger.log("exception occured", "error")
    logger.log("sub call", "info", "GTID-C3-R8/1000")
    first, second, third = (tmp_path / "app.log").read_text().splitlines()
    assert re.fullmatch(rf"{STAMP} \[info\] called index", first)
    assert re.fullmatch(rf"{STAMP} \[error\] exception occured", second)
    assert re.fullmatch(rf"{STAMP} \[info:GTID-C3-R8/1000\] sub call", third)


def test_a_message_cannot_forge_a_second_record(tmp_path) -> None:
    make_logger(tmp_path / "app.log").log("one\n2026.01.01 00:00:00 [info] two\r\nthree\rfour")
    lines = (tmp_path / "app.log").read_bytes().split(b"\n")
    assert [line[:1] for line in lines[1:-1]] == [b"\t", b"\t", b"\t"]


def test_a_message_that_is_not_unicode_is_still_written(tmp_path) -> None:
    make_logger(tmp_path / "app.log").log("caf\udce9 é")
    assert "caf\\udce9 é" in (tmp_path / "app.log").read_text(encoding="utf-8")


@pytest.mark.row("LOG-04", "LOG-05")
def test_a_traceback_is_one_line_with_type_message_and_frames(tmp_path) -> None:
    logger = make_logger(tmp_path / "app.log")
    try:
        int("five\nsix")
    except ValueError:
        logger.traceback("bp1")
        logger.traceback(tag="GTID-C3-R8/1000")
        logger.traceback()
    by_id, by_tag, plain = (tmp_path / "app.log").read_text().splitlines()
    here = re.escape(__file__)
    frame = rf"\[{here}\|test_a_traceback_is_one_line_with_type_message_and_frames\|\d+\]"
    text = rf"<class 'ValueError'> invalid literal for int\(\) with base 10: 'five\\nsix' {frame}"
    assert re.fullmatch(rf"{STAMP} \[expt:bp1\] {text}", by_id)
    assert re.fullmatch(rf"{STAMP} \[expt:GTID-C3-R8/1000\] {text}", by_tag)
    assert re.fullmatch(rf"{STAMP} \[expt\] {text}", plain)


def test_a_traceback_names_the_causes(tmp_path) -> None:
    logger = make_logger(tmp_path / "app.log")
    try:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise RuntimeError("y") from error
    except RuntimeError as error:
        caught = error
    logger.traceback(error=caught)
    text = (tmp_path / "app.log").read_text()
    assert text.index("<class 'RuntimeError'> y") < text.index("caused by <class 'KeyError'> 'x'")
    assert text.count("\n") == 1


def test_a_traceback_has_the_notes_of_the_exception(tmp_path) -> None:
    error = ValueError("wrong")
    error.add_note("in line 3\nof page.pt")
    make_logger(tmp_path / "app.log").traceback(error=error)
    assert "<class 'ValueError'> wrong (in line 3 of page.pt)" in (tmp_path / "app.log").read_text()


def test_a_traceback_without_an_exception_says_so(tmp_path) -> None:
    make_logger(tmp_path / "app.log").traceback()
    assert "no exception is being handled" in (tmp_path / "app.log").read_text()


def test_lines_and_records_are_written_in_batches_and_in_order(tmp_path) -> None:
    path = tmp_path / "request.log"
    file = LogFile(str(path))
    file.write_line("a")
    file.add(("b", 1), lambda record: f"{record[0]}{record[1]}")
    assert not path.exists()
    file.flush()
    assert path.read_text() == "a\nb1\n"


def test_a_batch_is_written_by_the_loop(tmp_path) -> None:
    path = tmp_path / "request.log"
    LogFile(str(path)).write_line("a")
    with gevent.Timeout(20):
        while not path.exists():
            gevent.sleep(0.01)
    assert path.read_text() == "a\n"


def test_a_long_batch_is_written_at_once(tmp_path) -> None:
    path = tmp_path / "request.log"
    file = LogFile(str(path))
    for number in range(logs.FLUSH_LINES):
        file.write_line(str(number))
    assert len(path.read_text().splitlines()) == logs.FLUSH_LINES


def test_a_record_that_cannot_be_formatted_costs_only_itself(tmp_path) -> None:
    path = tmp_path / "request.log"
    file = LogFile(str(path))
    file.add("bad", lambda record: record["x"])
    file.write_line("good")
    file.close()
    bad, good = path.read_text().splitlines()
    assert "could not be formatted" in bad
    assert good == "good"


def test_a_native_thread_logs_without_a_loop(tmp_path) -> None:
    path = tmp_path / "app.log"
    file = LogFile(str(path))
    gevent.get_hub().threadpool.apply(file.write_line, ("from a thread",))
    assert path.read_text() == "from a thread\n"


@pytest.mark.row("LOG-01")
def test_a_directory_holds_server_request_and_app_log(tmp_path) -> None:
    made = Logs.to_directory(str(tmp_path / "a" / "b"))
    made.server.log("s")
    made.request.write_line("r")
    made.app.log("a")
    made.close()
    assert sorted(entry.name for entry in (tmp_path / "a" / "b").iterdir()) == ["app.log", "request.log", "server.log"]


class Clock:
    """A clock for tests; the modification time of a file follows it."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def write(self, file: rotation.RotatingFile, text: str) -> None:
        file.write(text.encode())
        os.utime(file.path, (self.now, self.now))


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


@pytest.mark.row("LOG-01")
def test_a_daily_file_is_renamed_on_the_next_day(tmp_path) -> None:
    clock = Clock(NOON)
    file = rotation.RotatingFile(str(tmp_path / "app.log"), "daily", clock=clock)
    clock.write(file, "one\n")
    clock.now += DAY
    clock.write(file, "two\n")
    clock.write(file, "three\n")
    assert names(tmp_path) == ["app-20260115.log", "app.log"]
    assert (tmp_path / "app-20260115.log").read_text() == "one\n"
    assert (tmp_path / "app.log").read_text() == "two\nthree\n"


@pytest.mark.row("LOG-01")
def test_a_monthly_file_is_renamed_in_the_next_month(tmp_path) -> None:
    clock = Clock(NOON)
    file = rotation.RotatingFile(str(tmp_path / "server.log"), "monthly", clock=clock)
    clock.write(file, "one\n")
    clock.now += DAY
    clock.write(file, "two\n")
    assert names(tmp_path) == ["server.log"]
    clock.now += 20 * DAY
    clock.write(file, "three\n")
    assert names(tmp_path) == ["server-20260116.log", "server.log"]


def test_a_file_left_from_another_day_is_renamed_by_the_next_start(tmp_path) -> None:
    path = tmp_path / "app.log"
    path.write_text("old\n")
    os.utime(path, (NOON, NOON))
    clock = Clock(NOON + 3 * DAY)
    clock.write(rotation.RotatingFile(str(path), "daily", clock=clock), "new\n")
    assert names(tmp_path) == ["app-20260115.log", "app.log"]


@pytest.mark.row("LOG-01")
def test_a_hundred_renamed_files_are_kept(tmp_path) -> None:
    (tmp_path / "app-notes.log").write_text("not ours")
    clock = Clock(NOON)
    file = rotation.RotatingFile(str(tmp_path / "app.log"), "daily", clock=clock)
    for _ in range(105):
        clock.write(file, "x\n")
        clock.now += DAY
    clock.write(file, "last\n")
    kept = [name for name in names(tmp_path) if re.fullmatch(r"app-\d{8}\.log", name)]
    assert len(kept) == 100
    assert kept[0] == "app-20260120.log"
    assert (tmp_path / "app-notes.log").exists()


def test_a_second_rotation_of_a_day_loses_nothing(tmp_path) -> None:
    file = LogFile(str(tmp_path / "app.log"))
    for text in ("one", "two", "three"):
        file.write_line(text)
        file.rotate()
    file.rotate()  # empty: nothing to rename
    day = time.strftime("%Y%m%d")
    assert names(tmp_path) == [f"app-{day}.1.log", f"app-{day}.2.log", f"app-{day}.log", "app.log"]
    texts = {entry.read_text() for entry in tmp_path.iterdir()}
    assert texts == {"one\n", "two\n", "three\n", ""}


def test_two_processes_rename_a_file_once(tmp_path) -> None:
    clock = Clock(NOON)
    one = rotation.RotatingFile(str(tmp_path / "app.log"), "daily", clock=clock)
    other = rotation.RotatingFile(str(tmp_path / "app.log"), "daily", clock=clock)
    clock.write(one, "one\n")
    clock.write(other, "other\n")
    clock.now += DAY
    clock.write(one, "one again\n")
    clock.write(other, "other again\n")
    other.rotate()
    one.rotate()
    assert (tmp_path / "app-20260115.log").read_text() == "one\nother\n"
    assert (tmp_path / "app-20260116.log").read_text() == "one again\nother again\n"
    assert names(tmp_path) == ["app-20260115.log", "app-20260116.log", "app.log"]


def test_a_file_deleted_by_someone_else_is_made_again(tmp_path) -> None:
    file = LogFile(str(tmp_path / "app.log"), batched=False)
    file.write_line("one")
    (tmp_path / "app.log").unlink()
    file.write_line("two")
    assert (tmp_path / "app.log").read_text() == "two\n"


def test_a_full_disk_does_not_raise_and_is_reported_once(capfd, tmp_path) -> None:
    path = tmp_path / "full.log"
    path.symlink_to("/dev/full")
    file = LogFile(str(path), batched=False)
    file.write_line("one")
    file.write_line("two")
    assert file.lost == 2
    assert capfd.readouterr().err.count("are being lost") == 1
    path.unlink()
    file.write_line("three")
    assert "2 lines" in capfd.readouterr().err
    assert path.read_text() == "three\n"


def test_a_directory_that_cannot_be_written_does_not_raise(capfd, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    file = LogFile(str(tmp_path / "file" / "app.log"), batched=False)
    file.write_line("one")
    file.rotate()
    assert file.lost == 1
    assert "are being lost" in capfd.readouterr().err


@pytest.mark.row("LOG-02")
def test_without_a_directory_all_logs_go_to_the_console(capfd) -> None:
    made = Logs.to_console()
    made.server.log("from the server")
    made.request.write_line("from a request")
    made.app.log("from an app")
    made.flush()
    out = capfd.readouterr().out
    assert [out.count(text) for text in ("from the server", "from a request", "from an app")] == [1, 1, 1]


@pytest.mark.row("LOG-02")
def test_a_directory_with_console_writes_to_both(capfd, tmp_path) -> None:
    made = Logs.to_directory(str(tmp_path), console=True)
    made.app.log("twice")
    made.close()
    assert "twice" in capfd.readouterr().out
    assert "twice" in (tmp_path / "app.log").read_text()


def test_the_logs_of_a_process_are_the_console_until_they_are_set(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(logs, "_current", None)
    assert logs.current().app.file.path is None
    made = Logs.to_directory(str(tmp_path))
    logs.use(made)
    assert logs.current() is made


SCRIPT = """
import os, sys
from skitai import patches
patches.apply()
from skitai.net.logs import LogFile
file = LogFile(sys.argv[1])
file.write_line("before the fork")
pid = os.fork()
if pid == 0:
    file.write_line("child")
    file.flush()
    os._exit(0)
os.waitpid(pid, 0)
file.write_line("parent, left to the end of the process")
"""


def test_a_fork_repeats_no_line_and_a_normal_end_loses_none(tmp_path) -> None:
    path = tmp_path / "app.log"
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True, timeout=60)
    assert path.read_text().splitlines() == ["before the fork", "child", "parent, left to the end of the process"]
