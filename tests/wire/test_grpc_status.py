"""Status, metadata and deadlines of gRPC as fields, in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.errors import GrpcCode, GrpcError, LocalProtocolError
from skitai.wire.grpc import status
from skitai.wire.grpc.metadata import decode_metadata, encode_metadata, format_timeout, parse_timeout


def test_codes_by_number_and_name() -> None:
    assert GrpcCode.find(5) is GrpcCode.find("NOT_FOUND") is GrpcCode.NOT_FOUND
    assert GrpcCode.find(99) is GrpcCode.find(-1) is GrpcCode.UNKNOWN
    with pytest.raises(ValueError, match="no status code"):
        GrpcCode.find("NO_SUCH")
    with pytest.raises(ValueError, match="OK is no error"):
        GrpcError(0)


def test_an_error_says_code_and_details() -> None:
    error = GrpcError("NOT_FOUND", "no such feature")
    assert (error.code, error.details, str(error)) == (5, "no such feature", "NOT_FOUND: no such feature")
    assert str(GrpcError(14)) == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain text, with ~ and \"quotes\"", "plain text, with ~ and \"quotes\""),
        ("100%", "100%25"),
        ("a\nb\0", "a%0Ab%00"),
        ("Grüße ☃", "Gr%C3%BC%C3%9Fe %E2%98%83"),
    ],
)
def test_messages_are_percent_encoded(text: str, value: str) -> None:
    assert status.encode_message(text) == value
    assert status.decode_message(value) == text


@given(st.text(max_size=200))
def test_every_text_survives(text: str) -> None:
    assert status.decode_message(status.encode_message(text)) == text


@pytest.mark.parametrize(
    ("value", "text"), [("100%", "100%"), ("%zz%4", "%zz%4"), ("%ff", "\N{REPLACEMENT CHARACTER}")]
)
def test_messages_that_are_not_encoded_properly(value: str, text: str) -> None:
    assert status.decode_message(value) == text


def test_long_details_are_cut() -> None:
    assert len(status.encode_message("x" * 100_000)) == status.MOST_DETAILS


def test_the_fields_of_an_error_and_back() -> None:
    error = GrpcError("ABORTED", "té", [("retry-after", "3"), ("detail-bin", b"\0\xff")])
    fields = status.status_fields(error)
    assert fields[:2] == [("grpc-status", "10"), ("grpc-message", "t%C3%A9")]
    again = status.read_status(200, fields)
    assert again is not None
    assert (again.code, again.details, again.metadata) == (error.code, error.details, error.metadata)
    assert status.read_status(200, [("grpc-status", "0")]) is None


@pytest.mark.parametrize("value", ["", "x", "-1", "²", "17", "99999999999999999999"])
def test_a_status_that_is_none(value: str) -> None:
    error = status.read_status(200, [("grpc-status", value)])
    assert error is not None and error.code is GrpcCode.UNKNOWN


@pytest.mark.parametrize(
    ("http", "code"),
    [(200, 2), (400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14), (418, 2)],
)
def test_responses_without_a_status_of_grpc(http: int, code: int) -> None:
    error = status.read_status(http, [("content-type", "text/html")])
    assert error is not None and error.code == code


@pytest.mark.parametrize(
    ("http", "code"), [(400, 3), (401, 16), (404, 5), (413, 8), (500, 13), (503, 14), (418, 9), (301, 2)]
)
def test_statuses_of_apps(http: int, code: int) -> None:
    assert status.code_of_app(http) == code


# Metadata


def test_metadata_both_ways() -> None:
    pairs = [("x-user", "ann"), ("x-key-bin", b"\0\1\2"), ("x-user", "bob")]
    fields = encode_metadata(pairs)
    assert fields == [("x-user", "ann"), ("x-key-bin", "AAEC"), ("x-user", "bob")]
    assert decode_metadata([*fields, ("grpc-status", "0"), ("content-type", "application/grpc")]) == pairs


def test_binary_values_with_and_without_padding_and_several_in_one_field() -> None:
    assert decode_metadata([("a-bin", "AA=="), ("b-bin", "AA"), ("c-bin", "AA,AAE="), ("d-bin", "!")]) == [
        ("a-bin", b"\0"), ("b-bin", b"\0"), ("c-bin", b"\0"), ("c-bin", b"\0\1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "pair",
    [
        ("grpc-status", "0"), ("te", "x"), ("a b", "x"), (":path", "/"), ("", "x"), (b"x", "x"), ("x", "a\r\nb"),
        ("x", "é"), ("x", b"bytes"), ("x-bin", "text"), ("x", 1),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_sent(pair: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_metadata([pair])


# Deadlines


@pytest.mark.parametrize(
    ("value", "seconds"), [("1H", 3600), ("2M", 120), ("3S", 3), ("250m", 0.25), ("5u", 5e-6), ("7n", 7e-9), ("0S", 0)]
)
def test_timeouts(value: str, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", "1 S", "١S"])
def test_timeouts_that_are_none(value: str) -> None:
    with pytest.raises(GrpcError):
        parse_timeout(value)


@pytest.mark.parametrize("seconds", [0, 1e-9, 0.05, 0.3, 10, 86_400, 1e7])
def test_timeouts_come_back(seconds: float) -> None:
    value = format_timeout(seconds)
    assert len(value) <= 9
    assert parse_timeout(value) == pytest.approx(seconds, rel=1e-3)


def test_timeouts_at_the_ends() -> None:
    assert (format_timeout(-1), format_timeout(1e12)) == ("0n", "99999999S")
