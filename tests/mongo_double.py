"""A server that speaks the protocol of MongoDB, for tests: no ``mongod`` can be had from a package index.

It is a double: mockupdb reads and writes the messages, mongomock keeps the documents. It knows the commands that the
tests use, and neither sessions nor transactions; ``SKITAI_TEST_MONGO`` lets the tests ask a real server instead. It
runs in a process of its own, so that the threads of these libraries, and what they warn of, do not disturb the tests::

    python -W ignore tests/mongo_double.py PORT [USER PASSWORD]

Faults come by the command that MongoDB's own tests use, ``configureFailPoint: "failCommand"``, with
``closeConnection``, ``errorCode``, and ``blockConnection`` with ``blockTimeMS``; beyond it ``malformed`` and
``killServer``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import bson
import mockupdb
import mongomock
from bson.int64 import Int64
from mongomock import helpers

#: Of MongoDB 6.0.
WIRE_VERSION = 17
MOST_BYTES = 16 * 1024 * 1024
FIRST_BATCH = 101
#: Open to whoever has not logged in.
OPEN_COMMANDS = {"hello", "ismaster", "saslstart", "saslcontinue", "ping", "endsessions"}
ITERATIONS = 4096

Document = dict[str, Any]


class Refused(Exception):
    """A command cannot be done.

    Args:
        code: as MongoDB numbers its errors.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Login:
    """The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), for one connection."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), self._salt, ITERATIONS)
        self._client_key = hmac.digest(salted, b"Client Key", "sha256")
        self._server_key = hmac.digest(salted, b"Server Key", "sha256")
        self._said = ""
        self.is_done = False

    def start(self, payload: bytes) -> bytes:
        bare = payload.decode().partition(",,")[2]
        given = dict(part.split("=", 1) for part in bare.split(","))
        if given["n"] != self._user:
            raise Refused(18, "Authentication failed.")
        salt = base64.b64encode(self._salt).decode()
        answer = f"r={given['r']}{os.urandom(12).hex()},s={salt},i={ITERATIONS}"
        self._said = f"{bare},{answer}"
        return answer.encode()

    def finish(self, payload: bytes) -> bytes:
        without_proof, _, proof = payload.decode().rpartition(",p=")
        said = f"{self._said},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(self._client_key).digest(), said, "sha256")
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if key != self._client_key:
            raise Refused(18, "Authentication failed.")
        self.is_done = True
        return b"v=" + base64.b64encode(hmac.digest(self._server_key, said, "sha256"))


class Cursor:
    """What is left of an answer."""

    def __init__(self, namespace: str, documents: list[Document]) -> None:
        self.namespace = namespace
        self._documents = documents

    def take(self, most: int) -> list[Document]:
        """The next documents: at most ``most``, and at most as many bytes as a message may have."""
        found: list[Document] = []
        size = 0
        while self._documents and len(found) < most:
            size += len(bson.encode(self._documents[0]))
            if found and size > MOST_BYTES:
                break
            found.append(self._documents.pop(0))
        return found

    @property
    def is_empty(self) -> bool:
        return not self._documents


class Double:
    """See the module."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self._user, self._password = user, password
        self._store = mongomock.MongoClient()
        self._logins: dict[int, Login] = {}
        self._cursors: dict[int, Cursor] = {}
        self._numbers = count(1000)
        self._fault: Document = {}
        self._times = 0

    # The wire

    def handle(self, request: Any) -> bool:
        """Answer a request of mockupdb."""
        name = request.command_name
        fault = self._take_fault(name)
        if fault.get("blockConnection"):
            # A thread of its own: the others are answered meanwhile.
            threading.Thread(target=self._answer_late, args=(request, fault), daemon=True).start()
        else:
            self._answer(request, fault)
        return True

    def _answer_late(self, request: Any, fault: Document) -> None:
        time.sleep(fault["blockTimeMS"] / 1000)
        with suppress(OSError):  # the client waits no longer
            self._answer(request, fault)

    def _answer(self, request: Any, fault: Document) -> None:
        if fault.get("killServer"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.get("closeConnection"):
            request._client.shutdown(socket.SHUT_RDWR)
        elif fault.get("malformed"):
            request._client.sendall(_malformed(request.request_id))
        elif "errorCode" in fault:
            request.replies(_error(fault["errorCode"], "failpoint"))
        else:
            request.replies(self._outcome(request))

    def _outcome(self, request: Any) -> Document:
        try:
            return {"ok": 1.0, **self._do(request)}
        except Refused as error:
            return _error(error.code, str(error))
        except mongomock.OperationFailure as error:
            return _error(error.code or 2, str(error))
        except (NotImplementedError, ValueError, TypeError) as error:
            return _error(2, f"{type(error).__name__}: {error}")

    def _do(self, request: Any) -> Document:
        command = dict(request.doc)
        name = next(iter(command)).lower()
        if self._user and name not in OPEN_COMMANDS and not self._is_known(request.client_port):
            raise Refused(13, f"command {name} requires authentication")
        do: Callable[[Document], Document] | None = getattr(self, f"_do_{name}", None)
        if do is None:
            raise Refused(59, f"no such command: '{name}'")
        command["$port"] = request.client_port
        return do(command)

    def _is_known(self, port: int) -> bool:
        login = self._logins.get(port)
        return login is not None and login.is_done

    # Faults

    def _take_fault(self, name: str) -> Document:
        if not self._times or name not in self._fault.get("failCommands", ()):
            return {}
        self._times -= 1
        return self._fault

    def _do_configurefailpoint(self, command: Document) -> Document:
        mode = command["mode"]
        self._times = 0 if mode == "off" else 1_000_000 if mode == "alwaysOn" else mode["times"]
        self._fault = command.get("data", {})
        return {}

    # Connections

    def _do_hello(self, command: Document) -> Document:
        self._logins.pop(command["$port"], None)
        return {
            "helloOk": True, "isWritablePrimary": True, "ismaster": True, "maxBsonObjectSize": MOST_BYTES,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0,
            "maxWireVersion": WIRE_VERSION, "readOnly": False,
            **({"saslSupportedMechs": ["SCRAM-SHA-256"]} if "saslSupportedMechs" in command else {}),
        }  # fmt: skip

    _do_ismaster = _do_hello

    def _do_saslstart(self, command: Document) -> Document:
        if command["$db"] != "admin":
            raise Refused(18, "Authentication failed.")
        login = self._logins[command["$port"]] = Login(self._user, self._password)
        return {"conversationId": 1, "done": False, "payload": login.start(command["payload"])}

    def _do_saslcontinue(self, command: Document) -> Document:
        login = self._logins[command["$port"]]
        return {"conversationId": 1, "done": True, "payload": login.finish(command["payload"])}

    def _do_ping(self, command: Document) -> Document:
        return {}

    _do_endsessions = _do_ping

    def _do_buildinfo(self, command: Document) -> Document:
        return {"version": "6.0.0", "double": True}

    # Reading

    def _collection(self, command: Document) -> Any:
        name = next(iter(command.values()))
        return self._store[command["$db"]][name]

    def _do_find(self, command: Document) -> Document:
        found = self._collection(command).find(
            command.get("filter", {}), command.get("projection"), command.get("skip", 0), command.get("limit", 0),
            sort=list(command["sort"].items()) if command.get("sort") else None,
        )  # fmt: skip
        size = command.get("batchSize", FIRST_BATCH)
        return self._first_batch(command, list(found), size, bool(command.get("singleBatch")))

    def _do_aggregate(self, command: Document) -> Document:
        found = list(self._collection(command).aggregate(command["pipeline"]))
        return self._first_batch(command, found, command["cursor"].get("batchSize", FIRST_BATCH), False)

    def _first_batch(self, command: Document, found: list[Document], size: int, is_single: bool) -> Document:
        namespace = f"{command['$db']}.{next(iter(command.values()))}"
        cursor = Cursor(namespace, found)
        batch = cursor.take(size)
        number = 0
        if not cursor.is_empty and not is_single:
            number = next(self._numbers)
            self._cursors[number] = cursor
        return {"cursor": {"id": Int64(number), "ns": namespace, "firstBatch": batch}}

    def _do_getmore(self, command: Document) -> Document:
        number = command["getMore"]
        cursor = self._cursors.get(number)
        if cursor is None:
            raise Refused(43, f"cursor id {number} not found")
        batch = cursor.take(command.get("batchSize", 10**9))
        if cursor.is_empty:
            del self._cursors[number]
            number = 0
        return {"cursor": {"id": Int64(number), "ns": cursor.namespace, "nextBatch": batch}}

    def _do_killcursors(self, command: Document) -> Document:
        killed = [number for number in command["cursors"] if self._cursors.pop(number, None)]
        return {"cursorsKilled": killed, "cursorsNotFound": [], "cursorsAlive": [], "cursorsUnknown": []}

    def _do_serverstatus(self, command: Document) -> Document:
        return {"metrics": {"cursor": {"open": {"total": len(self._cursors)}}}}

    def _do_distinct(self, command: Document) -> Document:
        return {"values": self._collection(command).distinct(command["key"], command.get("query"))}

    def _do_count(self, command: Document) -> Document:
        return {"n": self._collection(command).count_documents(command.get("query") or {})}

    # Writing

    def _do_insert(self, command: Document) -> Document:
        collection = self._collection(command)

        def insert(each: Document) -> int:
            size = len(bson.encode(each))
            if size > MOST_BYTES:
                raise ValueError(f"object to insert too large. size in bytes: {size}, max size: {MOST_BYTES}")
            collection.insert_one(each)
            return 1

        return self._each(command, command["documents"], insert)

    def _do_update(self, command: Document) -> Document:
        collection = self._collection(command)
        modified = 0
        upserted: list[Document] = []

        def update(each: Document) -> int:
            nonlocal modified
            changes = each["u"]
            if not any(name.startswith("$") for name in changes):
                do = collection.replace_one
            else:
                do = collection.update_many if each.get("multi") else collection.update_one
            result = do(each["q"], changes, upsert=bool(each.get("upsert")))
            modified += result.modified_count or 0
            if result.upserted_id is not None:
                upserted.append({"index": len(upserted), "_id": result.upserted_id})
                return 1
            return int(result.matched_count)

        answer = self._each(command, command["updates"], update)
        return {**answer, "nModified": modified, **({"upserted": upserted} if upserted else {})}

    def _do_delete(self, command: Document) -> Document:
        collection = self._collection(command)

        def delete(each: Document) -> int:
            do = collection.delete_one if each["limit"] else collection.delete_many
            return int(do(each["q"]).deleted_count)

        return self._each(command, command["deletes"], delete)

    def _each(self, command: Document, parts: list[Document], do: Callable[[Document], int]) -> Document:
        changed = 0
        errors: list[Document] = []
        for index, part in enumerate(parts):
            try:
                changed += do(part)
            except (mongomock.OperationFailure, ValueError) as error:
                errors.append({"index": index, "code": getattr(error, "code", None) or 2, "errmsg": str(error)})
                if command.get("ordered", True):
                    break
        return {"n": changed, **({"writeErrors": errors} if errors else {})}

    # Collections

    def _do_createindexes(self, command: Document) -> Document:
        collection = self._collection(command)
        for index in command["indexes"]:
            collection.create_index(
                list(index["key"].items()), unique=bool(index.get("unique")), name=index["name"],
                sparse=bool(index.get("sparse")),
            )  # fmt: skip
        return {}

    def _do_drop(self, command: Document) -> Document:
        self._collection(command).drop()
        return {}

    def _do_dropdatabase(self, command: Document) -> Document:
        self._store.drop_database(command["$db"])
        return {}


def _error(code: int, text: str) -> Document:
    return {"ok": 0.0, "code": code, "errmsg": text}


def _malformed(request_id: int) -> bytes:
    """A message whose document has an element of a type that there is not."""
    document = struct.pack("<i", 13) + b"\x7aok\x00\x01\x00\x00\x00\x00"
    data = struct.pack("<IB", 0, 0) + document
    return struct.pack("<iiii", 16 + len(data), 1, request_id, 2013) + data


def main() -> None:
    helpers.print_deprecation_warning = lambda *names: None
    server = mockupdb.MockupDB(port=int(sys.argv[1]))
    server.append_responder(Double(*sys.argv[2:]).handle)
    server.run()
    print("waiting for connections", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
