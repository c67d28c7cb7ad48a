"""Which files count as changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from skitai.hub.watch import Watch

OLD = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.py"
    path.write_text("one")
    os.utime(path, (OLD, OLD))
    return path


def test_a_file_that_stays_as_it_is(file) -> None:
    watch = Watch()
    watch.note([str(file)])
    assert watch.changed([str(file)]) == []
    assert watch.changed([str(file)]) == []


@pytest.mark.parametrize("is_seen_before", [True, False])
def test_its_date_and_its_size_tell(file, is_seen_before: bool) -> None:
    watch = Watch()
    if is_seen_before:
        watch.note([str(file)])
    assert watch.changed([str(file)]) == []
    os.utime(file, (OLD + 1, OLD + 1))
    assert watch.changed([str(file)]) == [str(file)]
    assert watch.changed([str(file)]) == []
    file.write_text("another size")
    os.utime(file, (OLD + 1, OLD + 1))
    assert watch.changed([str(file)]) == [str(file)]


def test_a_file_is_gone_and_comes_back(file) -> None:
    watch = Watch()
    watch.note([str(file)])
    file.unlink()
    assert watch.changed([str(file)]) == []
    file.write_text("two two")
    assert watch.changed([str(file)]) == [str(file)]


def test_a_file_that_was_read_and_written_before_the_first_look_counts(file) -> None:
    watch = Watch()
    file.write_text("written since")
    assert watch.changed([str(file)]) == [str(file)]
    assert watch.changed([str(file)]) == []


def test_a_file_of_the_future_does_not_count_again_and_again(file) -> None:
    os.utime(file, (time.time() + 1000, time.time() + 1000))
    watch = Watch()
    assert watch.changed([str(file)]) == []
    os.utime(file, (OLD, OLD))
    assert watch.changed([str(file)]) == [str(file)]


def test_a_new_file_counts_when_asked_so(file) -> None:
    assert Watch().changed([str(file)], is_new_a_change=True) == [str(file)]
