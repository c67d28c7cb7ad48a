"""Names of files that came from somewhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle.errors import InvalidFileName
from skitai.saddle.file_names import checked_name, numbered, plain_name


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("notes.txt", "notes.txt"),
        ("größe 1.tar.gz", "größe 1.tar.gz"),
        (".profile", ".profile"),
        ("/etc/passwd", "passwd"),
        ("..\\x\\C:\\a b.txt", "a b.txt"),
        ("C:x.txt", "C_x.txt"),
        ("../..", "file"),
        ("", "file"),
        ("a/", "file"),
        ("a\x00b\r\n.txt", "ab.txt"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("CON .txt", "_CON .txt"),
        ("conference.txt", "conference.txt"),
        ("x. . ", "x"),
        ("n" * 300 + ".txt", "n" * 196 + ".txt"),
        ("x." + "n" * 300, "x." + "n" * 198),
        ("ü" * 150, "ü" * 100),
    ],
)
def test_plain_name(sent: str, name: str) -> None:
    assert plain_name(sent) == name


@given(st.text() | st.text("ab/\\.: \x00CONüü", min_size=150, max_size=400))
def test_a_plain_name_is_one_component_and_stays_as_it_is(sent: str) -> None:
    name = plain_name(sent)
    assert name and name not in (".", "..")
    assert not set(name) & set('/\\:\x00<>"|?*')
    assert len(name.encode()) <= 200
    assert plain_name(name) == name
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "..", "a/b", "\\a", "C:a", "nul", "a\n"])
def test_checked_name(name: str) -> None:
    with pytest.raises(InvalidFileName):
        checked_name(name)


@pytest.mark.parametrize(
    ("name", "number", "result"),
    [("a.txt", 0, "a.txt"), ("a.txt", 1, "a.1.txt"), ("a", 2, "a.2"), (".a", 3, ".a.3"), ("a.b.c", 4, "a.b.4.c")],
)
def test_numbered(name: str, number: int, result: str) -> None:
    assert numbered(name, number) == result
