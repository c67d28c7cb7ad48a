"""Where statements end, and what SQLite would do with them."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire import sql

TRIGGER = (
    "create temp trigger t after insert on a begin update b set c = ';end;'; "
    "select case when 1 then 2 end; delete from d; end"
)


@pytest.mark.row("WAS-SQ-02")
@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ;; -- nothing;\n /* nothing; */ ;", []),
        ("a", ["a"]),
        ("a; b ;c", ["a", "b", "c"]),
        ("insert into t values ('a;b', 'it''s;'); b", ["insert into t values ('a;b', 'it''s;')", "b"]),
        ('drop table "a;""b"; b', ['drop table "a;""b"', "b"]),
        ("drop table [a;b]; drop table `c;d`", ["drop table [a;b]", "drop table `c;d`"]),
        ("a -- b; c\n d; e", ["a -- b; c\n d", "e"]),
        ("a /* b; c */ d; e", ["a /* b; c */ d", "e"]),
        ("/* first */ a; b", ["/* first */ a", "b"]),
        ("a 'never ends; b", ["a 'never ends; b"]),
        ("a /* never ends; b", ["a /* never ends; b"]),
        ("???; a", ["???", "a"]),
        (f"{TRIGGER}; b", [TRIGGER, "b"]),
        (f"EXPLAIN QUERY PLAN {TRIGGER} ; b;", [f"EXPLAIN QUERY PLAN {TRIGGER}", "b"]),
        ("create table trigger_log (x); end; b", ["create table trigger_log (x)", "end", "b"]),
    ],
)
def test_statements_of_a_text(text: str, statements: list[str]) -> None:
    assert sql.split(text) == statements


PIECES = [
    "a",
    "create trigger",
    "begin",
    "end",
    ";",
    "; end;",
    "'",
    '"',
    "`",
    "[",
    "]",
    "--",
    "\n",
    "/*",
    "*/",
    " ",
    "''",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_sqlite_agrees_where_a_statement_ends(text: str) -> None:
    for before in (text[: position + 1] for position, letter in enumerate(text) if letter == ";"):
        begins_anew = sql.split(before + " next")[-1:] == ["next"]
        # SQLite also calls a text complete that ends inside of a line comment; there one more letter changes nothing.
        is_end = sqlite3.complete_statement(before) and not sqlite3.complete_statement(before + "x")
        assert begins_anew == is_end, before


@pytest.mark.parametrize(
    ("text", "is_writing"),
    [
        ("select 1", False),
        ("-- why\nSELECT 1", False),
        ("values (1)", False),
        ("explain query plan delete from t", False),
        ("pragma user_version", False),
        ("with x as (select 1) select * from x", False),
        ("with x as (select 1) insert into t select * from x", True),
        ("insert into t values (1)", True),
        (" /* why */ Update t set a = 1", True),
        ("create table t (a)", True),
        ("begin", False),
        ("begin deferred", False),
        ("begin immediate", True),
        ("BEGIN  Exclusive transaction;", True),
        ("begin; insert into t values (1); commit", True),
        ("pragma foreign_keys = on; drop table t", True),
        ("select 1;", False),
        ("commit", False),
    ],
)
def test_what_writes(text: str, is_writing: bool) -> None:
    assert sql.is_writing(text) is is_writing


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("pragma user_version", False),
        ("pragma table_info(t);", False),
        ("PRAGMA main.index_list('i')", False),
        ("pragma quick_check(5)", False),
        ("pragma foreign_keys = on", True),
        ("pragma foreign_keys(1)", True),
        ("pragma table_info(t); pragma synchronous=0", True),
        ("attach 'a.db' as a", True),
        ("create temp table t (a)", True),
        ("create temporary view t as select 1", True),
        ("create table attempts (a)", False),
        ("insert into t values ('pragma a=1')", False),
        ("select 'attach'", False),
        ("drop table a; attach 'a.db' as a", True),
    ],
)
def test_what_stays_with_a_connection(text: str, leaves: bool) -> None:
    assert sql.leaves_traces(text) is leaves
