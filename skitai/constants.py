"""Names and values that scripts and apps spell as ``skitai.NAME``."""

from __future__ import annotations

__version__ = "1.0.0a1"
version_info: tuple[int, int, int, str] = (1, 0, 0, "a1")
# What the Server header and the start line call this program.
NAME = f"Skitai/{__version__}"

# The values of ``alias_type`` for HTTP and WebSocket clusters; the plain strings work as well.
PROTO_HTTP = "http"
PROTO_HTTPS = "https"
PROTO_WS = "ws"
PROTO_WSS = "wss"


class DatabaseType(str):
    """The type of a database, told from a database's *name* by its class.

    ``was.db(server, "mydb", skitai.DB_PGSQL)`` takes both by position. Earlier versions spelled a type with or without
    a leading ``*``; a constant equals both spellings, and its hash is that of the plain one.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str.__eq__(self, other.removeprefix("*"))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


DB_PGSQL = DatabaseType("postgresql")
DB_SQLITE3 = DatabaseType("sqlite3")
DB_REDIS = DatabaseType("redis")
DB_MONGODB = DatabaseType("mongodb")

_DATABASE_TYPES: dict[str, DatabaseType] = {str(kind): kind for kind in (DB_PGSQL, DB_SQLITE3, DB_REDIS, DB_MONGODB)}
# The documents of 0.15 and 0.26 misspell it, so scripts do.
_DATABASE_TYPES["postresql"] = DB_PGSQL


def database_type(value: object) -> DatabaseType | None:
    """Tell which database type a value names.

    Args:
        value: a ``DB_*`` constant, or its text with or without a leading ``*``.

    Returns:
        The constant, or None when the value names no database type.
    """
    return _DATABASE_TYPES.get(value.removeprefix("*")) if isinstance(value, str) else None


# How an app serves a WebSocket: request and response, one worker per connection, or a chat room.
WS_SIMPLE = 1
WS_DEDICATE = 4
WS_GROUPCHAT = 5
# The names of 0.15 and of late 0.26; REQDATA, DEDICATE_THREADSAFE and GROUPCHAT are the same specs as above.
WEBSOCKET_REQDATA = WEBSOCKET_SIMPLE = WS_SIMPLE
WEBSOCKET_DEDICATE = 2
WEBSOCKET_MULTICAST = 3
WEBSOCKET_DEDICATE_THREADSAFE = WS_DEDICATE
WEBSOCKET_GROUPCHAT = WS_GROUPCHAT

# What just happened on a WebSocket, for apps that are called on more than messages.
WS_EVT_NONE = None
WS_EVT_INIT = "init"
WS_EVT_OPEN = "open"
WS_EVT_CLOSE = "close"

# How Saddle encodes the messages of a WebSocket.
WS_MSG_DEFAULT = None
WS_MSG_JSON = "json"
WS_MSG_XMLRPC = "xmlrpc"
WS_MSG_GRPC = "grpc"

# Opcodes of WebSocket frames (RFC 6455 section 5.2).
WS_OPCODE_TEXT = 0x1
WS_OPCODE_BINARY = 0x2
WS_OPCODE_CLOSE = 0x8
WS_OPCODE_PING = 0x9
WS_OPCODE_PONG = 0xA
