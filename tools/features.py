"""Keep the state column and the counts of docs/features.md true to the tests.

::

    python tools/features.py            rewrite them
    python tools/features.py --check    change nothing; exit 1, saying why, when they are stale

A row is done when a test names it by ``@pytest.mark.row("RUN-04")``. The marks are read from the syntax trees, so no
test has to run or be importable.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

DONE: Final = "done"
PLANNED: Final = "planned"

COUNTS_BEGIN: Final = "<!-- counts: written by tools/features.py -->"
COUNTS_END: Final = "<!-- end of counts -->"

# A row of the checklist: everything up to its state is written by hand, the state is ours.
_ID: Final = r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*-\d+"
_ROW: Final = re.compile(rf"^(?P<kept>\| (?P<id>{_ID}) \| .+ \|) (?P<state>[^|]*) \|$", re.M)
_ANY_ROW: Final = re.compile(rf"^\|\s*{_ID}\b.*$", re.M)
_HEADING: Final = re.compile(r"^## (?P<area>[A-Z0-9-]+): (?P<title>.+)$", re.M)
_COUNTS: Final = re.compile(f"{re.escape(COUNTS_BEGIN)}\n.*?{re.escape(COUNTS_END)}", re.S)


class UnreadableMark(Exception):
    """A mark names its rows by something else than plain strings; the text says where."""


@dataclass(frozen=True)
class Row:
    """One row of the page."""

    id: str
    state: str

    @property
    def area(self) -> str:
        """The id without its number."""
        return self.id.rpartition("-")[0]


# Reading


def read_rows(page: str) -> list[Row]:
    """Return the rows of the page in their order."""
    return [Row(found["id"], found["state"]) for found in _ROW.finditer(page)]


def read_marks(tests: Path) -> dict[str, str]:
    """Find the rows that tests name.

    Args:
        tests: the directory to search, with all below it.

    Returns:
        The ids, each with the ``file:line`` of its first mark.

    Raises:
        UnreadableMark: a mark has an argument that is not a plain string.
    """
    marks: dict[str, str] = {}
    for path in sorted(tests.rglob("*.py")):
        name = path.relative_to(tests.parent).as_posix()
        for row, line in marks_of(path.read_text(encoding="utf-8"), name):
            marks.setdefault(row, f"{name}:{line}")
    return marks


def marks_of(source: str, name: str) -> Iterator[tuple[str, int]]:
    """Yield each row that one file names, with its line.

    Args:
        source: the text of the file.
        name: what error messages call it.

    Raises:
        UnreadableMark: as :func:`read_marks`.
    """
    for node in ast.walk(ast.parse(source, name)):
        if not isinstance(node, ast.Call) or not _is_row_mark(node.func):
            continue
        for argument in node.args:
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                raise UnreadableMark(f"{name}:{node.lineno}: write the rows of this mark as plain strings")
            yield argument.value, node.lineno


def _is_row_mark(node: ast.expr) -> bool:
    """Whether an expression is ``pytest.mark.row``, or ``mark.row``."""
    return isinstance(node, ast.Attribute) and node.attr == "row" and ast.unparse(node.value) in {"pytest.mark", "mark"}


# Judging and writing


def find_problems(page: str, marks: Mapping[str, str]) -> list[str]:
    """Compare the page with the tests.

    Args:
        page: the text of docs/features.md.
        marks: from :func:`read_marks`.

    Returns:
        A sentence for each disagreement; none when all is well.
    """
    rows = read_rows(page)
    problems = [f"not a row of three columns: {line}" for line in _ANY_ROW.findall(page) if not _ROW.match(line)]
    problems += [f"{id} is listed {times} times" for id, times in Counter(row.id for row in rows).items() if times > 1]
    listed = {row.id for row in rows}
    problems += [f"{place} names {id}, which is not listed" for id, place in marks.items() if id not in listed]
    for row in rows:
        if row.id in marks and row.state != DONE:
            problems.append(f"{row.id} is {row.state or 'without state'}, but {marks[row.id]} names it")
        elif row.id not in marks and row.state != PLANNED:
            problems.append(f"{row.id} is {row.state or 'without state'}, but no test names it")
    return problems


def updated(page: str, named: Collection[str]) -> str:
    """Return the page with states and counts as the tests have them.

    Args:
        page: the text of docs/features.md.
        named: the rows that tests name.

    Raises:
        ValueError: the page has no place for the counts.
    """
    page = _ROW.sub(lambda row: f"{row['kept']} {DONE if row['id'] in named else PLANNED} |", page)
    # The replacement is a function, since a plain string would have its backslashes interpreted.
    page, places = _COUNTS.subn(lambda _: f"{COUNTS_BEGIN}\n{_counts(page)}\n{COUNTS_END}", page)
    if places != 1:
        raise ValueError(f"the page needs {COUNTS_BEGIN} and {COUNTS_END} once, found {places} times")
    return page


def _counts(page: str) -> str:
    """The table of counts per area, in the order of the headings."""
    rows = read_rows(page)
    total = Counter(row.area for row in rows)
    done = Counter(row.area for row in rows if row.state == DONE)
    lines = ["| area | rows | done | planned |", "|---|--:|--:|--:|"]
    for heading in _HEADING.finditer(page):
        area = heading["area"]
        link = f"[{area}](#{_anchor(heading[0])}) {heading['title']}"
        lines.append(f"| {link} | {total[area]} | {done[area]} | {total[area] - done[area]} |")
    lines.append(f"| **all** | **{len(rows)}** | **{done.total()}** | **{len(rows) - done.total()}** |")
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    """The anchor that Markdown viewers give to a heading."""
    return re.sub(r"[^a-z0-9 -]", "", heading.removeprefix("## ").lower()).replace(" ", "-")


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Run the command.

    Args:
        arguments: those behind the name of the script.
        root: the directory that has ``docs/`` and ``tests/``.

    Returns:
        The exit code: 0, or 1 when something is wrong that is not, or must not be, mended.
    """
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python tools/features.py [--check]\n")
        return 2
    path = root / "docs" / "features.md"
    try:
        marks = read_marks(root / "tests")
    except UnreadableMark as error:
        sys.stderr.write(f"{error}\n")
        return 1
    before = path.read_text(encoding="utf-8")
    after = updated(before, marks)
    is_stale = after != before
    if is_stale and not arguments:
        path.write_text(after, encoding="utf-8")
    problems = find_problems(before if arguments else after, marks)
    if is_stale and arguments:
        problems.append("docs/features.md is stale: run python tools/features.py")
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
