"""Rows: attribute, item and position are the same value; a row is a dict."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from skitai.lib.rows import Records, Row, column_names


@pytest.fixture
def row() -> Row:
    return Records(("city", "low", "high"), [("Oslo", -3, 4)]).rows()[0]


@pytest.mark.row("WAS-DB-09")
def test_a_value_is_read_in_three_ways(row: Row) -> None:
    assert row.city == row["city"] == row[0] == row[-3] == "Oslo"
    assert isinstance(row, dict)


def test_what_is_not_there_says_what_is(row: Row) -> None:
    with pytest.raises(AttributeError, match="no column 'wind'; it has city, low, high"):
        _ = row.wind
    with pytest.raises(KeyError):
        row["wind"]
    for position in (3, -4):
        with pytest.raises(IndexError, match="3 columns"):
            row[position]
    assert row.get("wind") is None
    assert not hasattr(row, "__wrapped__")


def test_it_compares_prints_pickles_and_becomes_json(row: Row) -> None:
    assert row == {"city": "Oslo", "low": -3, "high": 4}
    assert repr(row) == "Row(city='Oslo', low=-3, high=4)"
    assert json.loads(json.dumps(row)) == row
    for again in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row), row.copy()):
        assert again == row
        assert type(again) is Row
        assert again.high == 4


def test_a_column_called_as_a_method_is_an_item() -> None:
    row = Records(("items", "keys"), [(1, 2)]).rows()[0]
    assert (row["items"], row["keys"], row[0]) == (1, 2, 1)


def test_columns_of_one_name_are_all_kept() -> None:
    assert column_names(["id", "name", "id", "id", "id_2"]) == ["id", "name", "id_2", "id_3", "id_2_2"]
    row = Records(("id", "id"), [(1, 2)]).rows()[0]
    assert (row.id, row.id_2, row[1]) == (1, 2, 2)


def test_no_rows_are_an_empty_list() -> None:
    assert Records(("a",), []).rows() == []


#: More than are made without compiling anything.
MANY = 1_000

ODD_NAMES = (
    "?column?", "", "class", "a b", "it's", 'a "b"', "{x}", "\\", "line\nbreak", "nul\0", "é", "\udc80", "value_0",
    "make",
)  # fmt: skip


@pytest.mark.row("WAS-DB-09")
@pytest.mark.parametrize("columns", [ODD_NAMES, ("id", "id"), ("items", "n"), ("n",), tuple(map(str, range(300))), ()])
def test_many_rows_are_made_as_few_are(columns: tuple[str, ...]) -> None:
    tuples = [tuple(f"{row} {column}" for column in columns) for row in range(MANY)]
    rows = Records(columns, tuples).rows()
    assert rows == [row for each in tuples for row in Records(columns, [each]).rows()]
    assert [tuple(row.values()) for row in rows] == tuples
    assert list(rows[0]) == column_names(columns)
    assert {type(row) for row in rows} == {type(row) for row in Records(columns, tuples[:1]).rows()}
    assert all(getattr(rows[0], name) == rows[0][name] for name in rows[0] if name != "items")
    assert pickle.loads(pickle.dumps(rows)) == rows


def test_a_name_is_a_text_and_no_code() -> None:
    name = "': print(1), '"
    assert Records((name,), [(1,)] * MANY).rows()[0] == {name: 1}


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    plain, changing = Records(("a",), [("x",)]), Records(("a", "b"), [("x", [1])])
    for records in (plain, changing):
        again = copy.deepcopy(records)
        assert (again.columns, again.tuples) == (records.columns, records.tuples)
        again.tuples.append(())
    copy.deepcopy(changing).tuples[0][1].append(2)
    assert (plain.tuples, changing.tuples) == ([("x",)], [("x", [1])])
    assert (len(plain), repr(changing)) == (1, "<Records 1 of a, b>")
