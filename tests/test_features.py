"""docs/features.md says of each row what the tests say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import features

PAGE = f"""# Features

{features.COUNTS_BEGIN}
{features.COUNTS_END}

## RUN: starting a server

| id | what it does | state |
|---|---|---|
| RUN-01 | `run()` serves | planned |
| RUN-02 | listens on `\\1` | planned |

## WAS-GEN: services

| id | what it does | state |
|---|---|---|
| WAS-GEN-01 | apps get `was` | done |
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a page and a test that names one row of it."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "features.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "tests" / "hub").mkdir(parents=True)
    (tmp_path / "tests" / "hub" / "test_run.py").write_text(marked('"RUN-02"'), encoding="utf-8")
    return tmp_path


def marked(arguments: str) -> str:
    return f"import pytest\n\n\n@pytest.mark.row({arguments})\ndef test_it():\n    pass\n"


def page_of(project: Path) -> str:
    return (project / "docs" / "features.md").read_text(encoding="utf-8")


def without_counts(page: str) -> str:
    return page[: page.index(features.COUNTS_BEGIN)] + page[page.index(features.COUNTS_END) :]


# The page of this project


def test_the_page_agrees_with_the_tests() -> None:
    page = page_of(features.ROOT)
    marks = features.read_marks(features.ROOT / "tests")
    assert features.find_problems(page, marks) == []
    assert features.updated(page, marks) == page, "the counts are stale: run python tools/features.py"


# What find_problems() finds


@pytest.mark.parametrize(
    ("page", "marks", "problem"),
    [
        ("| RUN-01 | serves | planned |", {"RUN-01": "tests/t.py:3"}, "RUN-01 is planned, but tests/t.py:3 names it"),
        ("| RUN-01 | serves | done |", {}, "RUN-01 is done, but no test names it"),
        ("| RUN-01 | serves | soon |", {}, "RUN-01 is soon, but no test names it"),
        ("| RUN-01 | serves | planned |\n| RUN-01 | serves | planned |", {}, "RUN-01 is listed 2 times"),
        ("", {"RUN-01": "tests/t.py:3"}, "tests/t.py:3 names RUN-01, which is not listed"),
        ("| RUN-01 | planned |", {}, "not a row of three columns: | RUN-01 | planned |"),
    ],
)
def test_a_disagreement_is_found(page: str, marks: dict[str, str], problem: str) -> None:
    assert features.find_problems(page, marks) == [problem]


def test_agreement_is_no_problem() -> None:
    page = "| RUN-01 | serves | done |\n| RUN-02 | listens | planned |"
    assert features.find_problems(page, {"RUN-01": "tests/t.py:3"}) == []


# Reading the marks


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        (marked('"A-01"'), ["A-01"]),
        (marked('\n    "A-01",\n    "B-C-02",\n'), ["A-01", "B-C-02"]),
        ("pytestmark = pytest.mark." + "row('A-01')", ["A-01"]),
        ("pytest.param(1, marks=pytest.mark." + "row('A-01'))", ["A-01"]),
        ("from pytest import mark\nmark." + "row('A-01')(test)", ["A-01"]),
        ("# @pytest.mark." + "row('A-01')", []),
        ("table.row('A-01')", []),
    ],
)
def test_marks_are_read_from_the_syntax_tree(source: str, rows: list[str]) -> None:
    assert [row for row, _ in features.marks_of(source, "tests/t.py")] == rows


def test_a_mark_that_cannot_be_read_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(features.UnreadableMark, match=r"tests/t\.py:4"):
        list(features.marks_of(marked("*ROWS"), "tests/t.py"))
    (project / "tests" / "test_names.py").write_text(marked("NAME"), encoding="utf-8")
    assert features.main([], project) == 1
    assert "tests/test_names.py:4" in capsys.readouterr().err
    assert page_of(project) == PAGE


# Rewriting


def test_only_states_and_counts_are_rewritten(project: Path) -> None:
    assert features.main([], project) == 0
    page = page_of(project)
    assert without_counts(page) == without_counts(PAGE).replace("`\\1` | planned", "`\\1` | done").replace(
        "`was` | done", "`was` | planned"
    )
    assert "| [RUN](#run-starting-a-server) starting a server | 2 | 1 | 1 |" in page
    assert "| [WAS-GEN](#was-gen-services) services | 1 | 0 | 1 |" in page
    assert "| **all** | **3** | **1** | **2** |" in page


def test_rewriting_twice_changes_nothing_more(project: Path) -> None:
    features.main([], project)
    page = page_of(project)
    assert features.main([], project) == 0
    assert page_of(project) == page


def test_check_changes_nothing_and_fails_while_stale(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features.main(["--check"], project) == 1
    assert page_of(project) == PAGE
    assert "run python tools/features.py" in capsys.readouterr().err
    features.main([], project)
    assert features.main(["--check"], project) == 0
    assert capsys.readouterr().err == ""


def test_stale_counts_alone_fail_the_check(project: Path) -> None:
    features.main([], project)
    path = project / "docs" / "features.md"
    path.write_text(page_of(project).replace("**3**", "**4**"), encoding="utf-8")
    assert features.main(["--check"], project) == 1


def test_a_page_without_a_place_for_counts_is_an_error() -> None:
    with pytest.raises(ValueError, match="found 0 times"):
        features.updated("# Features\n", {})


def test_an_unknown_argument_shows_the_usage(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features.main(["--help"], project) == 2
    assert "usage" in capsys.readouterr().err
