"""Rows: attribute, item and position are the same value; a row is a dict."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from skitai.lib.rows import Row, column_names, make_rows


@pytest.fixture
def row() -> Row:
    return make_rows(["city", "low", "high"], [("Oslo", -3, 4)])[0]


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
    row = make_rows(["items", "keys"], [(1, 2)])[0]
    assert (row["items"], row["keys"], row[0]) == (1, 2, 1)


def test_columns_of_one_name_are_all_kept() -> None:
    assert column_names(["id", "name", "id", "id", "id_2"]) == ["id", "name", "id_2", "id_3", "id_2_2"]
    row = make_rows(column_names(["id", "id"]), [(1, 2)])[0]
    assert (row.id, row.id_2, row[1]) == (1, 2, 2)


def test_no_rows_are_an_empty_list() -> None:
    assert make_rows(["a"], []) == []
