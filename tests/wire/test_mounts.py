"""Mount points."""

from __future__ import annotations

import pytest

from skitai.wire.mounts import MountTable, best_prefix, covers, normal_point


@pytest.mark.parametrize(
    ("path", "served_by"),
    [
        ("/", "root"),
        ("/x", "root"),
        ("/a", "a"),
        ("/a/", "a"),
        ("/a/x", "a"),
        ("/ab", "root"),
        ("/ab/c", "root"),
        ("/a/b", "a/b"),
        ("/a/b/", "a/b"),
        ("/a/b/c", "a/b"),
        ("/a/bc", "a"),
        ("/A", "root"),
        ("//a", "root"),
    ],
)
def test_the_longest_mount_point_wins(path: str, served_by: str) -> None:
    table: MountTable[str] = MountTable()
    for point, name in (("/a", "a"), ("/", "root"), ("/a/b/", "a/b")):
        table.add(point, name)
    found = table.first(path)
    assert found is not None
    assert found[1] == served_by
    assert next(table.find(path)) == found


def test_all_that_cover_a_path_in_order() -> None:
    table: MountTable[str] = MountTable()
    assert not table
    for point, name in (("/", "root"), ("/a", "first"), ("/a/", "second"), ("/b", "other")):
        table.add(point, name)
    assert table
    assert list(table.find("/a/x")) == [("/a", "first"), ("/a", "second"), ("", "root")]
    assert sorted(name for _, name in table) == ["first", "other", "root", "second"]


def test_no_mount() -> None:
    table: MountTable[str] = MountTable()
    table.add("/a", "a")
    assert table.first("/b") is None
    assert list(table.find("/")) == []


def test_points() -> None:
    assert [normal_point(point) for point in ("/", "", "/a", "/a/", "a", "/a/b/")] == ["", "", "/a", "/a", "/a", "/a/b"]
    assert covers("", "*")
    assert covers("/a", "/a")
    assert not covers("/a", "/ab")
    assert not covers("/a/b", "/a")


def test_best_prefix() -> None:
    assert best_prefix((("/", 1), ("/a", 2), ("/ab", 3)), "/abc") == 3
    assert best_prefix((("/a", 2),), "/b") is None
    assert best_prefix((), "/") is None
