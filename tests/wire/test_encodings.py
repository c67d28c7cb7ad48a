"""Bodies of calls."""

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire import encodings


def test_json_is_utf8() -> None:
    assert encodings.encode({"a": ["ä", None, 1]}, "application/json; charset=utf-8") == '{"a":["ä",null,1]}'.encode()
    assert json.loads(encodings.encode({"a": 1}, "application/problem+json")) == {"a": 1}


@given(st.dictionaries(st.text(), st.text()))
def test_a_form_says_what_was_put_in(form: dict[str, str]) -> None:
    encoded = encodings.encode(form, encodings.FORM).decode("ascii")
    assert dict(parse_qsl(encoded, keep_blank_values=True, errors="strict")) == form


def test_values_of_a_form_are_converted() -> None:
    assert encodings.encode({"n": 1, "l": [1, "b"], "none": None}, encodings.FORM) == b"n=1&l=1&l=b&none=None"


def test_namevalue_counts_bytes() -> None:
    assert encodings.encode({"a": "ä&", "n": 12}, encodings.NAMEVALUE) == "a[3]=ä&&n[2]=12".encode()


@pytest.mark.parametrize("kind", [encodings.JSON, encodings.FORM, encodings.XML, encodings.NAMEVALUE, "image/png"])
def test_str_and_bytes_are_taken_as_they_are(kind: str) -> None:
    assert encodings.encode("ä", kind) == "ä".encode()
    assert encodings.encode(b"\xff", kind) == encodings.encode(bytearray(b"\xff"), kind) == b"\xff"


@pytest.mark.parametrize(("data", "kind"), [({}, encodings.XML), ([], encodings.NAMEVALUE), ({}, "image/png")])
def test_what_cannot_be_sent_so(data: object, kind: str) -> None:
    with pytest.raises(TypeError, match=r"dict|str or bytes"):
        encodings.encode(data, kind)
