"""Masking and the page of ``was.status()``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire.status_page import MASK, mask, render


@pytest.mark.parametrize(
    "name",
    ["SECRET_KEY", "db_password", "AWS_SESSION_TOKEN", "apiKey", "passphrase", "Authorization", "Cookie", "PGPASSWORD"],
)
def test_what_has_the_name_of_a_secret_is_masked(name) -> None:
    assert mask({name: "hidden", "deep": [{name: ["hidden"]}]}) == {name: MASK, "deep": [{name: MASK}]}


def test_a_secret_that_is_not_set_is_seen_not_to_be() -> None:
    assert mask({"passphrase": None, "gw_auth": False, "token": ""}) == {
        "passphrase": None,
        "gw_auth": False,
        "token": "",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://joe:hidden@db/x", f"postgres://{MASK}@db/x"),
        ("redis://:hidden@db", f"redis://{MASK}@db"),
        ("see https://a:hid/d@en@host/ there", f"see https://{MASK}@host/ there"),
        ("http://host:80/path", "http://host:80/path"),
        ("a@b", "a@b"),
    ],
)
def test_a_password_in_a_url_is_masked(text, shown) -> None:
    assert mask({"DATABASE": text}) == {"DATABASE": shown}


def test_what_contains_itself_ends() -> None:
    facts: dict[str, object] = {}
    facts["again"] = facts
    assert "hidden" not in str(mask(facts))


@given(st.text(), st.text())
def test_nothing_gets_out_of_the_page_as_markup(name, value) -> None:
    page = render({name: {name: value, "list": [value, {value: name}]}})
    body = page.partition("<body>")[2]
    allowed = ("<h1>", "<h2>", "<table>", "<tr>", '<th scope="row">', "<td>", "<br>", "</")
    pieces = body.split("<")[1:]
    assert all(("<" + piece).startswith(allowed) for piece in pieces)


def test_empty_facts() -> None:
    assert ">none<" in render({"a": {}, "b": []}).replace("none", ">none<")
