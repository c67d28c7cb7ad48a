"""Metadata of gRPC as fields: any bytes, clear refusals, and nothing that a peer sends may raise."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skitai.errors import GrpcCode, LocalProtocolError
from skitai.wire.grpc.metadata import decode_metadata, encode_metadata
from skitai.wire.grpc.status import code_of_reset, read_status

LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=30)


@given(st.binary(max_size=40))
@example(bytes(range(256)))
def test_any_bytes_go_both_ways(value: bytes) -> None:
    fields = encode_metadata([("x-bin", value), ("x-bin", memoryview(value)), ("x-bin", bytearray(value))])
    assert all(text.isascii() and "=" not in text for _, text in fields)
    assert decode_metadata(fields) == [("x-bin", value)] * 3


@given(st.lists(st.binary(min_size=1, max_size=10), min_size=1, max_size=4), st.booleans())
def test_several_values_in_one_field(values: list[bytes], is_padded: bool) -> None:
    """The specification lets a peer join the fields of one name, and pad or not."""
    texts = [b64encode(value).decode() for value in values]
    joined = ", ".join(texts if is_padded else [text.rstrip("=") for text in texts])
    assert decode_metadata([("X-Bin", joined)]) == [("x-bin", value) for value in values]


@given(LATIN_1, LATIN_1)
@example("x-bin", "é")
@example("x-bin", "AA,é,AAE=")
@example("x-bin", "\xff")
@example("grpc-message", "%é")
@example("grpc-status", "\xb2")
def test_what_a_peer_sends_raises_nothing(name: str, value: str) -> None:
    for each in (name, f"{name}-bin"):
        decode_metadata([(each, value)])
        read_status(200, [("grpc-status", value), ("grpc-message", value), (each, value)])
        read_status(200, [("grpc-status", "5"), ("grpc-message", value), (each, value)])


def test_binary_values_that_are_none_are_left_out_alone() -> None:
    fields = [("a-bin", "é"), ("b-bin", "AA,\xff,AAE="), ("c", "é")]
    assert decode_metadata(fields) == [("b-bin", b"\0"), ("b-bin", b"\0\1"), ("c", "é")]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("x", "é", "printable ASCII"),
        ("x", "a\nb", "printable ASCII"),
        ("x", "\x7f", "printable ASCII"),
        ("x", b"\xff", "bytes are for names that end with -bin"),
        ("x-bin", "text", "is bytes"),
        ("x-bin", None, "is bytes"),
        ("x", None, "printable ASCII"),
        (":path", "/", "cannot be called ':path'"),
        (":authority", "x", "cannot be called"),
        ("grpc-timeout", "1S", "cannot be called"),
        ("Grpc-Status", "0", "cannot be called"),
        ("grpc-trace-bin", b"", "cannot be called"),
        ("Content-Type", "x", "cannot be called"),
        ("te", "x", "cannot be called"),
        ("transfer-encoding", "x", "cannot be called"),
        ("é", "x", "cannot be called"),
        ("ſ", "x", "cannot be called"),
        ("a b", "x", "cannot be called"),
        (7, "x", "is a str"),
    ],
)
def test_what_cannot_be_sent_is_said(name: object, value: object, words: str) -> None:
    with pytest.raises(LocalProtocolError, match=words):
        encode_metadata([(name, value)])  # type: ignore[list-item]


@pytest.mark.parametrize("number", range(20))
def test_codes_of_streams_that_are_reset(number: int) -> None:
    """Those that the specification names; all others are INTERNAL."""
    expected = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED", 12: "PERMISSION_DENIED"}
    assert code_of_reset(number) is GrpcCode[expected.get(number, "INTERNAL")]
