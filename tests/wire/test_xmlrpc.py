"""XML-RPC documents, honest and hostile."""

import gc
import weakref
import xmlrpc.client
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire import xmlrpc as wire
from skitai.wire.outcomes import UnreadableBody

TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=3))
def test_a_call_says_what_was_put_in(params: list[object]) -> None:
    assert wire.load(wire.dump_call("a.b", tuple(params))) == (tuple(params), "a.b")


@pytest.mark.row("WAS-RPC-06")
def test_a_result_is_taken_out_of_its_tuple() -> None:
    assert wire.load_result(xmlrpc.client.dumps((5,), methodresponse=True).encode()) == 5
    assert wire.load_result(xmlrpc.client.dumps(([1, 2],), methodresponse=True).encode()) == [1, 2]


def test_dates() -> None:
    moment = datetime(2026, 11, 21, 9, 30)
    document = wire.dump_params((moment,))
    assert wire.load(document, use_datetime=True) == ((moment,), None)
    assert isinstance(wire.load(document)[0][0], xmlrpc.client.DateTime)


def test_a_fault_is_raised() -> None:
    with pytest.raises(xmlrpc.client.Fault, match="boom"):
        wire.load(xmlrpc.client.dumps(xmlrpc.client.Fault(5, "boom"), methodresponse=True))


@pytest.mark.parametrize("name", ["", "a b", "<x>", "a\n", "ä"])
def test_names_that_xml_rpc_does_not_allow(name: str) -> None:
    with pytest.raises(ValueError, match="method"):
        wire.dump_call(name, ())


LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<methodResponse><params><param><value><string>&lol2;</string></value></param></params></methodResponse>"""
EXTERNAL = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>
<methodResponse><params><param><value><string>&e;</string></value></param></params></methodResponse>"""
VALUE = "<methodResponse><params><param><value>%s</value></param></params></methodResponse>"


@pytest.mark.parametrize(
    "document",
    [
        LAUGHS, EXTERNAL, '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x"><methodResponse/>', "", "not xml", "<a>", "<a/>",
        "<methodResponse></methodResponse>", VALUE % "<int>x</int>", VALUE % "<nope>1</nope>",
        VALUE % "<struct><member><value/></member></struct>", VALUE % "<array><data>", VALUE % "<boolean>7</boolean>",
        VALUE % "<dateTime.iso8601/>" + "x",
        "<methodResponse><fault><value><int>1</int></value></fault></methodResponse>",
        "\x00\x01", "<value></struct></value>", "<methodResponse></array></methodResponse>",
    ],
)  # fmt: skip
def test_broken_and_hostile_documents_are_one_error(document: str) -> None:
    with pytest.raises(UnreadableBody):
        wire.load(document.encode())


@given(st.text(alphabet="<>/!&;abc methodResponse param value struct member name int fault", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UnreadableBody, xmlrpc.client.Fault):
        wire.load(text)


def nested(depth: int) -> str:
    inside = "<value><array><data>" * depth + "</data></array></value>" * depth
    return f"<methodResponse><params><param>{inside}</param></params></methodResponse>"


def test_nesting_has_a_bound() -> None:
    value = wire.load_result(nested(wire.DEEPEST).encode())
    for _ in range(wire.DEEPEST - 1):
        (value,) = value
    assert value == []
    for depth in (wire.DEEPEST + 1, 100_000):
        with pytest.raises(UnreadableBody, match="nested deeper"):
            wire.load(nested(depth))


@pytest.mark.parametrize(
    "document",
    [b"no XML", b"<methodCall>", b"<!DOCTYPE a><a/>", b"<value><int>x</int></value>", wire.dump_call("a", (1,))],
)
def test_no_parser_waits_for_the_garbage_collector(monkeypatch: pytest.MonkeyPatch, document: bytes) -> None:
    made = []

    class Noted(wire.DefusedExpatParser):  # type: ignore[misc]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            made.append(weakref.ref(self))

    monkeypatch.setattr(wire, "DefusedExpatParser", Noted)
    gc.collect()
    gc.disable()
    try:
        with suppress(UnreadableBody):
            wire.load(document)
        assert [each() for each in made] == [None]
    finally:
        gc.enable()
