"""Queries and forms, read strictly."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skitai.saddle import Saddle
from skitai.saddle.errors import BadRequest
from skitai.saddle.urlencoded import MOST_NAME, decode_component, parse_form, parse_pairs

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def client_of(seen):
    app = Saddle(__name__)

    @app.route("/")
    def form(was, **fields):
        seen.append(fields)
        return "x"

    return app.test_client()


SEEN: list[dict[str, str]] = []
CLIENT = client_of(SEEN)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_whatever_a_browser_encodes_comes_back(pairs) -> None:
    text = urlencode(pairs)
    assert parse_pairs(text) == parse_form(text.encode()) == pairs


@given(st.text("ab&=;+%é \x00\n"))
def test_what_needs_no_decoding_is_read_as_the_standard_library_does(text) -> None:
    text = text.replace("%", "%41")
    assert parse_pairs(text) == parse_qsl(text, keep_blank_values=True)


@given(st.dictionaries(TEXT.filter(lambda name: name != "was" and ":" not in name), TEXT, max_size=5))
def test_any_form_gets_to_its_function(fields) -> None:
    for answer in (CLIENT.post("/", fields), CLIENT.get("/?" + urlencode(fields))):
        assert answer.status == 200
        assert SEEN.pop() == fields


@given(st.binary(max_size=60) | st.text("%&=+0123456789abcdef:was\xff", max_size=60).map(str.encode))
@example(b"was=1")
@example(b"json:a=[")
@example(b"a=%ed%a0%80")
def test_no_bytes_are_an_error_of_ours(body) -> None:
    assert CLIENT.post("/", body, headers=FORM).status in (200, 400)
    query = body.decode("latin-1").encode("ascii", "ignore").decode()
    assert CLIENT.get("/?" + query.replace("#", "")).status in (200, 400)


@pytest.mark.parametrize(
    "text", ["%", "%1", "%g1", "a%", "%%41", "%ff", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%c0%af"]
)
def test_what_is_no_encoding_of_text_is_refused(text) -> None:
    for broken in (text, f"a={text}", f"{text}=a", f"b=1&a={text}"):
        with pytest.raises(BadRequest):
            parse_pairs(broken)
    with pytest.raises(BadRequest):
        decode_component(text)


def test_bounds() -> None:
    assert len(parse_pairs("&".join(["a=1"] * 1000))) == 1000
    for text in ("&".join(["a=1"] * 1001), "&" * 1000, "a" * (MOST_NAME + 1), "b&" + "%41" * (MOST_NAME + 1)):
        with pytest.raises(BadRequest):
            parse_pairs(text)
    assert parse_pairs("a=" + "b" * 100_000) == [("a", "b" * 100_000)]
