"""The names that scripts and apps spell as ``skitai.NAME``."""

import re

import pytest

import skitai
from skitai.constants import database_type


@pytest.mark.row("CONST-01", "CONST-02")
def test_protocols_are_plain_strings() -> None:
    assert (skitai.PROTO_HTTP, skitai.PROTO_HTTPS) == ("http", "https")
    assert (skitai.PROTO_WS, skitai.PROTO_WSS) == ("ws", "wss")


@pytest.mark.row("CONST-03", "CONST-04", "CONST-05", "CONST-06")
@pytest.mark.parametrize(
    ("constant", "name"),
    [
        (skitai.DB_PGSQL, "postgresql"),
        (skitai.DB_SQLITE3, "sqlite3"),
        (skitai.DB_REDIS, "redis"),
        (skitai.DB_MONGODB, "mongodb"),
    ],
)
def test_a_database_type_equals_both_of_its_spellings(constant: str, name: str) -> None:
    assert constant == name
    assert constant == "*" + name
    assert not constant != name  # noqa: SIM202
    assert constant != "mysql"
    assert {name: 1}[constant] == 1
    assert f"{constant}" == name
    assert database_type(name) is database_type("*" + name) is database_type(constant) is constant


@pytest.mark.row("CONST-03")
def test_the_documented_misspelling_is_postgresql() -> None:
    assert database_type("postresql") is skitai.DB_PGSQL
    assert database_type("mydb") is None
    assert database_type(("user", "password")) is None


@pytest.mark.row("CONST-04")
def test_a_database_type_can_be_imported_by_name() -> None:
    from skitai import DB_SQLITE3

    assert DB_SQLITE3 == "sqlite3"


@pytest.mark.row("CONST-07", "CONST-08", "CONST-09", "CONST-10", "CONST-11", "CONST-12")
def test_websocket_specs_of_both_generations() -> None:
    assert skitai.WS_SIMPLE == skitai.WEBSOCKET_REQDATA == skitai.WEBSOCKET_SIMPLE == 1
    assert skitai.WEBSOCKET_DEDICATE == 2
    assert skitai.WEBSOCKET_MULTICAST == 3
    assert skitai.WS_DEDICATE == skitai.WEBSOCKET_DEDICATE_THREADSAFE == 4
    assert skitai.WS_GROUPCHAT == skitai.WEBSOCKET_GROUPCHAT == 5


@pytest.mark.row("CONST-13", "CONST-14", "CONST-15", "CONST-16", "CONST-17", "CONST-18")
def test_websocket_events_messages_and_opcodes() -> None:
    assert (skitai.WS_EVT_INIT, skitai.WS_EVT_OPEN, skitai.WS_EVT_CLOSE) == ("init", "open", "close")
    assert skitai.WS_EVT_NONE is None
    assert (skitai.WS_MSG_JSON, skitai.WS_MSG_XMLRPC, skitai.WS_MSG_GRPC) == ("json", "xmlrpc", "grpc")
    assert skitai.WS_MSG_DEFAULT is None
    opcodes = ("TEXT", "BINARY", "CLOSE", "PING", "PONG")
    assert [getattr(skitai, f"WS_OPCODE_{name}") for name in opcodes] == [0x1, 0x2, 0x8, 0x9, 0xA]


@pytest.mark.row("CONST-23")
def test_the_version_in_three_forms() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", skitai.__version__)
    assert "".join(map(str, skitai.version_info[:3])) == skitai.__version__.replace(".", "")[:3]
    assert skitai.NAME == f"Skitai/{skitai.__version__}"


def test_every_public_name_exists() -> None:
    assert [name for name in skitai.__all__ if not hasattr(skitai, name)] == []
