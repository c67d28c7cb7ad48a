"""What a client keeps and can neither read nor change, and the JSON in it."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import tagged_json
from skitai.saddle.errors import SetupError
from skitai.saddle.sealing import NotSealed, keys_of, seal, unseal

KEYS = keys_of("ds8fdsflksdjf9879dsf;?<>Asda")
NOW = 1_800_000_000
END = NOW + 1200


def opened(text: str, name: str = "SESS_", now: float = NOW, longest: float = 1200, keys=KEYS) -> bytes:
    return unseal(text, name, now, longest, keys)[0]


def raw_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(st.binary(max_size=300), st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode()))
def test_what_is_sealed_comes_back(plain: bytes, name: str) -> None:
    assert unseal(seal(plain, name, END, KEYS), name, NOW, 1200, KEYS) == (plain, END)


@pytest.mark.row("SAD-SESS-02")
def test_it_cannot_be_read() -> None:
    plain = b"a secret of more than a few letters"
    sealed = seal(plain, "SESS_", END, KEYS)
    assert plain[:8] not in raw_of(sealed)
    # Not even whether two are the same.
    assert sealed != seal(plain, "SESS_", END, KEYS)


@given(st.data())
def test_no_changed_octet_passes(data: st.DataObject) -> None:
    raw = bytearray(raw_of(seal(b"x" * 20, "SESS_", END, KEYS)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NotSealed):
        opened(urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.data())
def test_no_changed_character_passes(data: st.DataObject) -> None:
    text = seal(b"x" * 20, "SESS_", END, KEYS)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.text(max_size=3)) + text[place + 1 :]
    if changed != text:
        with pytest.raises(NotSealed):
            opened(changed)


@given(st.integers(0, 200))
def test_no_truncated_value_passes(length: int) -> None:
    text = seal(b"x" * 100, "SESS_", END, KEYS)
    assert len(text) > 180
    if length < len(text):
        with pytest.raises(NotSealed):
            opened(text[:length])


@given(st.text())
def test_no_text_of_others_passes(text: str) -> None:
    with pytest.raises(NotSealed):
        opened(text)


def test_it_is_bound_to_the_name_of_its_cookie() -> None:
    text = seal(b"x", "SESS_", END, KEYS)
    with pytest.raises(NotSealed, match="another cookie"):
        opened(text, name="SESS__ADM")


def test_it_is_bound_to_the_end_of_its_life() -> None:
    text = seal(b"x", "SESS_", END, KEYS)
    assert opened(text, now=END - 1) == b"x"
    with pytest.raises(NotSealed, match="expired"):
        opened(text, now=END)
    raw = raw_of(text)
    longer = raw[:1] + struct.pack(">Q", END + 1) + raw[9:]
    with pytest.raises(NotSealed, match="changed"):
        opened(urlsafe_b64encode(longer).rstrip(b"=").decode(), now=END)


def test_it_is_refused_when_it_would_live_too_long() -> None:
    text = seal(b"x", "SESS_", END, KEYS)
    assert opened(text, longest=1200) == b"x"
    with pytest.raises(NotSealed, match="longer"):
        opened(text, longest=1199)


def test_the_first_key_seals_and_all_unseal() -> None:
    new, old = keys_of(["new key", b"old key"])
    by_old = seal(b"x", "SESS_", END, [old])
    assert opened(by_old, keys=(new, old)) == b"x"
    assert opened(seal(b"x", "SESS_", END, [new, old]), keys=(new,)) == b"x"
    with pytest.raises(NotSealed, match="securekey"):
        opened(by_old, keys=(new,))


@pytest.mark.parametrize(
    ("securekey", "keys"),
    [(None, ()), ("a", (b"a",)), (b"a", (b"a",)), (["a", b"b"], (b"a", b"b")), (("é",), (b"\xc3\xa9",))],
)
def test_keys(securekey: object, keys: tuple[bytes, ...]) -> None:
    assert keys_of(securekey) == keys


@pytest.mark.parametrize("wrong", ["", b"", [], ["a", ""], 7, ["a", None], {"a": 1}])
def test_wrong_keys(wrong: object) -> None:
    with pytest.raises(SetupError, match="securekey"):
        keys_of(wrong)


# The JSON in it

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    plain | st.dates() | st.datetimes() | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.sampled_from(["$tuple", "$$tuple", "$date", "$"]), inner)
    ),
    max_leaves=12,
)


@given(values)
def test_values_come_back(value: object) -> None:
    document = tagged_json.dumps(value)
    back = tagged_json.loads(document)
    assert back == value and type(back) is type(value)
    assert tagged_json.dumps(back) == document


def test_types_that_json_does_not_have() -> None:
    value = {"when": datetime(2026, 1, 31, 3, 37, tzinfo=UTC), "day": date(2026, 1, 31), "both": (b"\x00", [1, (2,)])}
    assert tagged_json.loads(tagged_json.dumps(value)) == value


def test_a_lone_surrogate_of_a_request_comes_back() -> None:
    assert tagged_json.loads(tagged_json.dumps("\ud800")) == "\ud800"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"cart": {"owner": object()}}, "cart: owner: object is no type"),
        ({"cart": {1: "one"}}, "cart: a dict with the key 1"),
        ([{1, 2}], "set is no type"),
    ],
)
def test_what_json_cannot_keep_is_named(value: object, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        tagged_json.dumps(value)


def test_a_value_that_contains_itself() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="deeply"):
        tagged_json.dumps(value)


@pytest.mark.parametrize(
    "document", [b"", b"{", b"\xff", b'{"$date": 1}', b'{"$bytes": "!"}', b'{"$tuple": 1}', b"[" * 100_000]
)
def test_documents_of_others(document: bytes) -> None:
    with pytest.raises(ValueError):
        tagged_json.loads(document)
