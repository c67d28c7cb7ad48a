"""The Cookie and Set-Cookie fields."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire.cookies import Attributes, parse_cookies, set_cookie
from skitai.wire.fields import is_field_value

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = texts.filter(bool)


@pytest.mark.parametrize(
    ("field", "pairs", "unreadable"),
    [
        ("a=1; b=2", [("a", "1"), ("b", "2")], 0),
        ("a=1;b=2;", [("a", "1"), ("b", "2")], 0),
        ("a=1; a=2", [("a", "1"), ("a", "2")], 0),
        ("a=b=c", [("a", "b=c")], 0),
        ("a=", [("a", "")], 0),
        ('a="x y"', [("a", "x y")], 0),
        ('a="', [("a", '"')], 0),
        ("a+b=c%3Bd+e", [("a b", "c;d e")], 0),
        ("a=caf\xc3\xa9", [("a", "café")], 0),
        ("a=100%", [("a", "100%")], 0),
        ("", [], 0),
        (" ; ;; ", [], 0),
        ("lonely", [], 1),
        ("=nameless", [], 0),
        ("a=%ff; b=1", [("b", "1")], 1),
        ("a=\xff; b=1", [("b", "1")], 1),
    ],
)
def test_parse(field: str, pairs: list[tuple[str, str]], unreadable: int) -> None:
    assert parse_cookies(field) == (pairs, unreadable)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_field_is_parsed(field: str) -> None:
    pairs, unreadable = parse_cookies(field)
    assert len(pairs) + unreadable <= field.count(";") + 1


@given(st.lists(st.tuples(names, texts)))
def test_what_is_set_comes_back(cookies: list[tuple[str, str]]) -> None:
    sent = [set_cookie(name, value, Attributes()).partition(";")[0] for name, value in cookies]
    assert parse_cookies("; ".join(sent)) == (cookies, 0)


@given(names, texts)
def test_no_text_breaks_out_of_its_field(name: str, value: str) -> None:
    line = set_cookie(name, value, Attributes("/x"))
    assert is_field_value(line)
    assert line.count("=") == 3 and line.count(";") == 2  # its own, Path and SameSite
    (morsel,) = SimpleCookie(line).values() or [None]
    assert morsel is None or morsel["path"] == "/x"  # the library is pickier about names


def test_all_attributes() -> None:
    attributes = Attributes("/admin", "example.com", True, True, "Strict")
    assert set_cookie("a", "1", attributes, 0.0) == (
        "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
        "; Path=/admin; Domain=example.com; Secure; HttpOnly; SameSite=Strict"
    )


def test_an_age_that_overflows_is_not_said() -> None:
    assert "Max-Age" in set_cookie("a", "1", Attributes(), 10.0, 2**31 - 1)
    assert "Max-Age" not in set_cookie("a", "1", Attributes(), 10.0, 2**31)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "admin"},
        {"path": "/a; Domain=example.com"},
        {"path": "/a\r\nX: y"},
        {"path": "/é"},
        {"domain": ""},
        {"domain": "a b"},
        {"domain": "a;b"},
        {"domain": "a\n"},
        {"same_site": "lax; Secure"},
        {"same_site": "None"},
    ],
)
def test_wrong_attributes(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Attributes(**wrong)
