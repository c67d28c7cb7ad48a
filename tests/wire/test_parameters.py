"""Parameters of fields and cookies, as servers send them."""

from __future__ import annotations

import pytest

from skitai.wire.parameters import read_parameters, read_set_cookie


@pytest.mark.parametrize(
    ("value", "main", "parameters"),
    [
        ("text/html", "text/html", {}),
        ("text/html; charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('text/html;Charset = "utf-8" ; x=1', "text/html", {"charset": "utf-8", "x": "1"}),
        ("attachment; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt", "attachment", {"filename": "naïve €.txt"}),
        ("attachment; filename=\"plain.txt\"; filename*=utf-8'en'b%C3%A9.txt", "attachment", {"filename": "bé.txt"}),
        ("attachment; filename*=iso-8859-1''%e9.txt; filename=e.txt", "attachment", {"filename": "é.txt"}),
        ("attachment; filename*=UTF-8''%ff.txt; filename=e.txt", "attachment", {"filename": "e.txt"}),
        ("attachment; filename*=UTF-8''%zz", "attachment", {}),
        ("attachment; filename*=x", "attachment", {}),
        ("attachment; filename*=koi8-r''%c1", "attachment", {}),
        (r'attachment; filename="a\"b;c\\d.txt"; x=y', "attachment", {"filename": 'a"b;c\\d.txt', "x": "y"}),
        ("attachment; filename=two words.txt; x=y", "attachment", {"filename": "two words.txt", "x": "y"}),
        ("a; b=1; b=2", "a", {"b": "1"}),
        ("a;;; b=1;", "a", {"b": "1"}),
        ("a; =1; b=1", "a", {"b": "1"}),
        ("a; b", "a", {}),
        ('a; b=""', "a", {"b": ""}),
        ("", "", {}),
        ('a; b="never ends; c=1', "a", {"c": "1"}),
    ],
)
def test_parameters(value: str, main: str, parameters: dict[str, str]) -> None:
    assert read_parameters(value) == (main, parameters)


def test_a_long_value_takes_time_in_proportion_to_its_length() -> None:
    for value in ("a;" + " " * 100_000, "a; b=" + '"' * 100_000, "a" + "; b" * 50_000, 'a; b="' + "\\" * 100_001):
        assert read_parameters(value)[0] == "a"


@pytest.mark.parametrize(
    ("value", "cookie"),
    [
        ("sid=abc; Path=/; SameSite=None; Secure; Partitioned", ("sid", "abc")),
        ("sid=abc", ("sid", "abc")),
        (" sid = abc ;", ("sid", "abc")),
        ("sid=a=b==; Max-Age=5", ("sid", "a=b==")),
        ('sid="quoted value"', ("sid", '"quoted value"')),
        ("sid=", ("sid", "")),
        ("__Host-sid=1; Secure; Path=/; unknown=x", ("__Host-sid", "1")),
        ("a b/c,d=1 2", ("a b/c,d", "1 2")),
        ("sid=a\tb", ("sid", "a\tb")),
        ("sid=caf\xe9", ("sid", "caf\xe9")),
        ("sid", None),
        ("=abc", None),
        ("", None),
        ("; sid=abc", None),
        ("sid=a\x00b", None),
        ("sid=a\x7fb", None),
    ],
)
def test_cookies(value: str, cookie: tuple[str, str] | None) -> None:
    assert read_set_cookie(value) == cookie
