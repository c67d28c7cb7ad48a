"""``was.mongodb``, over the wire with the real pymongo. The server is a double: see ``tests/mongo_double.py``."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from bson.errors import InvalidDocument
from pymongo.errors import BulkWriteError, CursorNotFound, DuplicateKeyError, OperationFailure

import skitai
from skitai import was
from skitai.lib.documents import Document, Envelope, FoundDocument
from skitai.was import _modes, _mongodb
from skitai.was._context import wasc
from skitai.was._db_connection import Command
from tests.servers import Address

from .conftest import until

PEOPLE = [
    {"name": "Kim", "age": 20},
    {"name": "Lee", "age": 30},
    {"name": "Park", "age": 40},
    {"name": "Oh", "age": 50},
]


@pytest.fixture
def stub(mongo: Address, request: pytest.FixtureRequest) -> Any:
    """A stub of a database that is this test's own."""
    db = was.mongodb(mongo.where, f"t{abs(hash(request.node.nodeid)) % 10**9}", mongo.auth)
    db.command("dropDatabase").wait(5)
    return db


@pytest.fixture
def people(stub: Any) -> Any:
    stub.insert("people", PEOPLE).wait(5)
    return stub


def data(request: Any) -> Any:
    result = request.getwait(5)
    assert (result.status, result.code) == (3, 200), (result.reason, result.error)
    return result.data


def names(request: Any) -> list[str]:
    return [each.name for each in data(request).data]


# Finding


@pytest.mark.row("WAS-DB-06", "WAS-MG-01", "WAS-MG-02", "WAS-MG-04")
def test_findone_gives_the_document_itself(people: Any) -> None:
    found = data(people.findone("people", {"name": "Lee"}))
    assert (found["age"], found.age, found.name) == (30, 30, "Lee")
    assert isinstance(found._id, ObjectId)
    assert (found.data, found.number_returned, found.cursor_id) == ([found], 1, 0)
    assert type(found) is FoundDocument
    assert data(people.findone("people", {"name": "Cho"})) is None
    assert pickle.loads(pickle.dumps(found)) == found


def test_findone_takes_the_fields_and_the_order_that_are_wanted(people: Any) -> None:
    assert data(people.findone("people", None, {"_id": 0, "age": 1}, [("age", -1)])) == {"age": 50}


def test_documents_inside_documents_have_attributes_too(stub: Any) -> None:
    stub.insert("c", {"at": {"x": 1, "list": [{"y": 2}]}}).wait(5)
    assert data(stub.findone("c")).at.list[0].y == 2


@pytest.mark.row("WAS-MG-03", "WAS-MG-04")
def test_find_gives_an_envelope(people: Any) -> None:
    envelope = data(people.find("people", {"age": {"$gt": 20}}, 1, 2))
    assert type(envelope) is Envelope
    assert [type(each) for each in envelope.data] == [Document, Document]
    assert [each.name for each in envelope["data"]] == ["Park", "Oh"]
    assert (envelope.number_returned, envelope.cursor_id, envelope.starting_from) == (2, 0, 1)


@pytest.mark.row("WAS-MG-03")
def test_find_gives_one_document_unless_it_is_told_how_many(people: Any) -> None:
    assert names(people.find("people")) == ["Kim"]
    assert names(people.find("people", None, 2)) == ["Park"]
    assert names(people.find("people", None, 0, 0)) == ["Kim", "Lee", "Park", "Oh"]
    assert names(people.find("people", None, 0, -2)) == ["Kim", "Lee"]


@pytest.mark.row("WAS-MG-03")
def test_findall_gives_all(people: Any) -> None:
    assert names(people.findall("people")) == ["Kim", "Lee", "Park", "Oh"]
    assert names(people.findall("people", {"age": {"$lt": 25}}, {"name": 1})) == ["Kim"]
    envelope = data(people.findall("nothing"))
    assert (envelope.data, envelope.number_returned, envelope.cursor_id) == ([], 0, 0)


def test_findall_reads_more_than_one_batch(stub: Any) -> None:
    stub.insert("c", [{"n": n} for n in range(250)]).wait(5)
    request = stub.findall("c")
    assert [each.n for each in data(request).data] == list(range(250))
    assert request.getwait().rowcount == 250


def test_findall_is_bounded_and_says_what_to_do(stub: Any) -> None:
    stub.insert("c", [{"text": "x" * 1000} for _ in range(50)]).wait(5)
    wasc.configure(body_bytes=20_000)
    result = stub.findall("c").getwait(5)
    assert (result.status, result.code) == (2, 718)
    assert "iterate()" in str(result.error)
    assert stub.aggregate("c", [{"$match": {}}]).getwait(5).code == 718
    assert stub.find("c", {}, 0, 50).getwait(5).code == 718
    assert stub.find("c", {}, 0, -50).getwait(5).code == 718
    assert len(list(stub.iterate("c", batch=10))) == 50


# Cursors


@pytest.mark.row("WAS-MG-03")
def test_a_search_goes_on_where_it_stopped(people: Any) -> None:
    first = data(people.find("people", {}, 0, 2))
    assert [each.name for each in first.data] == ["Kim", "Lee"]
    assert first.cursor_id
    more = data(people.get_more("people", first.cursor_id, 1))
    assert ([each.name for each in more.data], more.starting_from, more.cursor_id) == (["Park"], 2, first.cursor_id)
    last = data(people.get_more("people", first.cursor_id, 10))
    assert ([each.name for each in last.data], last.starting_from, last.cursor_id) == (["Oh"], 3, 0)
    result = people.get_more("people", first.cursor_id, 1).getwait(5)
    assert (result.status, result.code) == (2, 500)
    assert isinstance(result.error, CursorNotFound)


@pytest.mark.row("WAS-MG-03")
def test_a_cursor_can_be_closed(people: Any) -> None:
    number = data(people.find("people", {}, 0, 2)).cursor_id
    assert data(people.kill_cursors([number, 12345])) == [number]
    assert people.get_more("people", number).getwait(5).code == 500
    number = data(people.find("people", {}, 0, 2)).cursor_id
    assert data(people.kill_cursors(number)) == [number]


@pytest.mark.row("WAS-MG-03")
def test_findkc_leaves_no_cursor_open(people: Any) -> None:
    envelope = data(people.findkc("people", {}, 1, 2))
    assert ([each.name for each in envelope.data], envelope.cursor_id) == (["Lee", "Park"], 0)


def test_a_cursor_belongs_to_its_collection(people: Any) -> None:
    number = data(people.find("people", {}, 0, 2)).cursor_id
    assert people.get_more("users", number).getwait(5).code == 500
    assert names(people.get_more("people", number)) == ["Park", "Oh"]


def test_only_so_many_cursors_are_kept(people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skitai.was._mongodb_client.MOST_CURSORS", 2)
    oldest, *newer = [data(people.find("people", {}, 0, 2)).cursor_id for _ in range(3)]
    assert people.get_more("people", oldest).getwait(5).code == 500
    assert [len(names(people.get_more("people", number))) for number in newer] == [2, 2]


def test_documents_are_iterated_in_batches(people: Any) -> None:
    found = people.iterate("people", {"age": {"$gt": 20}}, batch=2)
    assert [each.name for each in found] == ["Lee", "Park", "Oh"]
    assert list(people.iterate("nothing")) == []
    for each in people.iterate("people", batch=1):
        assert each.name == "Kim"
        break
    assert "0 busy" in was.status(["connections"])
    with pytest.raises(ValueError, match="1 or more"):
        people.iterate("people", batch=0)
    with pytest.raises(OperationFailure):
        list(people.iterate("people", {"age": {"$nonsense": 1}}))


# Writing


@pytest.mark.row("WAS-MG-03")
def test_documents_are_inserted(stub: Any) -> None:
    one = {"n": 1}
    request = stub.insert("c", one)
    assert data(request).inserted_ids == [request.getwait().lastrowid]
    assert one == {"n": 1}
    assert data(stub.insert("c", [{"_id": 7}, {"_id": 8}])).inserted_ids == [7, 8]
    assert data(stub.count("c")) == 3
    assert stub.insert("c", []).getwait(5).code == 500


@pytest.mark.row("WAS-MG-03")
def test_an_insert_goes_on_after_an_error_when_it_is_told_to(stub: Any) -> None:
    documents = [{"_id": 1}, {"_id": 1}, {"_id": 2}]
    result = stub.insert("c", documents).getwait(5)
    assert (result.status, result.code) == (2, 500)
    assert isinstance(result.error, BulkWriteError)
    assert data(stub.count("c")) == 1
    stub.delete("c", {}).wait(5)
    assert isinstance(stub.insert("c", documents, 1).getwait(5).error, BulkWriteError)
    assert data(stub.count("c")) == 2


@pytest.mark.row("WAS-MG-03")
def test_documents_are_updated(people: Any) -> None:
    request = people.update("people", {"age": {"$gte": 40}}, {"$set": {"old": True}})
    assert data(request) == {"matched": 2, "modified": 2, "upserted_id": None}
    assert request.getwait().rowcount == 2
    assert data(people.updateone("people", {"age": {"$lt": 40}}, {"$inc": {"age": 1}})).modified == 1
    assert data(people.updateone("people", {"name": "Lee"}, {"name": "Lee", "new": 1})).modified == 1
    assert data(people.findone("people", {"name": "Lee"}, {"_id": 0})) == {"name": "Lee", "new": 1}
    result = people.update("people", {}, {"name": "all"}).getwait(5)
    assert (result.status, result.reason) == (2, "update only works with $ operators")


@pytest.mark.row("WAS-MG-03")
def test_what_is_not_there_is_upserted(stub: Any) -> None:
    request = stub.upsert("c", {"n": 1}, {"$set": {"a": 1}})
    assert data(request).upserted_id == request.getwait().lastrowid
    assert isinstance(request.getwait().lastrowid, ObjectId)
    assert data(stub.upsert("c", {"n": 1}, {"$set": {"a": 2}})) == {"matched": 1, "modified": 1, "upserted_id": None}
    assert data(stub.upsertone("c", {"n": 2}, {"n": 2, "a": 3})).upserted_id
    assert [each.a for each in data(stub.findall("c")).data] == [2, 3]
    assert data(stub.updateone("c", {"n": 3}, {"$set": {"a": 1}})).matched == 0


@pytest.mark.row("WAS-MG-02", "WAS-MG-03")
def test_documents_are_deleted(people: Any) -> None:
    assert data(people.delete("people", {"age": {"$lt": 35}}, 1)) == {"deleted": 1}
    assert data(people.delete("people", {"age": {"$lt": 45}})).deleted == 2
    assert names(people.findall("people")) == ["Oh"]


def test_counting_distinct_values_aggregation_indexes_and_commands(people: Any) -> None:
    assert data(people.count("people", {"age": {"$gt": 20}})) == 3
    assert data(people.count("people")) == 4
    assert data(people.distinct("people", "age", {"age": {"$lt": 35}})) == [20, 30]
    sums = data(people.aggregate("people", [{"$group": {"_id": None, "sum": {"$sum": "$age"}}}]))
    assert sums.data[0].sum == 140
    assert data(people.create_index("people", [("name", 1)], unique=True)) == "name_1"
    assert isinstance(people.insert("people", {"name": "Kim"}).getwait(5).error, DuplicateKeyError)
    assert data(people.command("ping")).ok == 1.0


def test_values_keep_their_types(stub: Any) -> None:
    document = {"_id": ObjectId(), "price": Decimal128("1.10"), "bytes": b"\0\xff", "text": "a\0b", "none": None}
    stub.insert("c", document).wait(5)
    assert data(stub.findone("c", {"_id": document["_id"]})) == document


# What there is not


@pytest.mark.row("WAS-MG-05")
def test_a_command_that_there_is_not_fails(stub: Any) -> None:
    request = stub.frobnicate("c", {"a": 1})
    result = request.getwait(5)
    assert result.status == 2
    assert isinstance(result.error, NotImplementedError)
    assert "frobnicate" in str(result.error)
    with pytest.raises(NotImplementedError):
        result.reraise()
    with pytest.raises(AttributeError):
        _ = stub._frobnicate


def test_a_result_is_that_of_the_last_command_as_in_015(people: Any) -> None:
    people.findone("people", {"name": "Kim"})
    assert people.getwait(5).data.age == 20


@pytest.mark.parametrize("name", [None, 3, "", "a$b", ".a"])
def test_a_collection_without_a_proper_name_fails(stub: Any, name: Any) -> None:
    result = stub.findone(name, {}).getwait(5)
    assert (result.status, result.code) == (2, 500)
    assert result.reason


# What goes to logs


def test_a_refused_document_is_not_in_the_reason(stub: Any) -> None:
    documents = [{"_id": 1, "password": "secret"}, {"_id": 1, "password": "secret"}]
    for result in (
        stub.insert("c", documents).getwait(5),
        stub.insert("c", {"_id": 1, "password": "secret"}).getwait(5),
        stub.insert("c", {"password": "secret", "x": type("Secret", (), {})()}).getwait(5),
    ):
        assert (result.status, result.code) == (2, 500)
        assert result.reason
        assert "secret" not in result.reason.lower()
    assert isinstance(result.error, InvalidDocument)


def test_a_password_is_in_no_text(mongo: Address, stub: Any) -> None:
    wrong = was.mongodb(mongo.where, "db", ("skitai", "wr0ng/pass"))
    result = wrong.findone("c").getwait(5)
    assert (result.status, result.code) == (2, 714)
    assert isinstance(result.error, OperationFailure)
    for thing in (result, result.error, result.reason, wrong, result.error.__context__):
        assert "wr0ng" not in f"{thing!r} {thing}"


# Operators in what a client sent


def test_what_stands_under_eq_is_a_value_whatever_it_is(stub: Any) -> None:
    stub.insert("tokens", {"token": "t1", "username": "kim"}).wait(5)
    sent_by_a_client = {"$ne": None}
    assert data(stub.findone("tokens", {"token": {"$eq": sent_by_a_client}})) is None
    assert data(stub.findone("tokens", {"token": {"$eq": "t1"}})).username == "kim"


# Repeating


def test_only_reading_is_repeated() -> None:
    reading = [
        Command("findone", ("c", {}, {})),
        Command("count", ("c", {})),
        Command("aggregate", ("c", [{"$match": {}}], {})),
    ]
    changing = [
        Command("insert", ("c", [{}], False)),
        Command("aggregate", ("c", [{"$match": {}}, {"$out": "d"}], {})),
        Command("aggregate", ("c", [{"$merge": {"into": "d"}}], {})),
        Command("aggregate", ("c", ["nonsense"], {})),
        Command("get_more", ("c", 1, 1)),
        Command("command", ("ping",)),
    ]
    assert all(map(_mongodb.can_repeat, reading))
    assert not any(map(_mongodb.can_repeat, changing))


# Keeping results


@pytest.mark.row("CACHE-05", "WAS-MG-04")
def test_results_are_kept_and_their_documents_copied(people: Any, mongo: Address) -> None:
    spec = {"_id": data(people.findone("people")).get("_id"), "age": 20}
    result = people.findone("people", spec).getwait(5)
    result.cache(60)
    people.delete("people", {}).wait(5)
    again = people.findone("people", spec).getwait(5)
    assert again.is_cached
    assert again.data == result.data
    again.data.name = "changed"
    again.data["list"] = [1]
    assert people.findone("people", spec).getwait(5).data.name == "Kim"
    other = was.mongodb(mongo.where, "otherdb", mongo.auth)
    assert not other.findone("people", spec).getwait(5).is_cached


# Clusters


@pytest.fixture
def members(mongo: Address) -> str:
    """A cluster with one member that nobody listens at, and one that answers."""
    member = "/".join([mongo.where, "mydb", *(mongo.auth or ())])
    skitai.alias("@my-mongodb", skitai.DB_MONGODB, ["127.0.0.1:1/x/user/password", member])
    return "@my-mongodb"


@pytest.mark.row("WAS-MG-01", "LB-07")
def test_behind_an_alias_the_second_argument_is_the_database(members: str) -> None:
    was.mongodb(members, "first").delete("c", {}).wait(5)
    was.mongodb(members, "first").insert("c", {"n": 1}).wait(5)
    was.mongodb(members).delete("c", {}).wait(5)
    assert data(was.mongodb(members, "first").count("c")) == 1
    assert data(was.mongodb.lb(members, "first", use_cache=False).findone("c")).n == 1
    assert data(was.db(members, "first").count("c")) == 1
    assert data(was.mongodb(members).count("c")) == 0  # of the member's own


@pytest.mark.row("LB-03")
def test_a_member_that_cannot_be_reached_is_passed_over(members: str) -> None:
    for _ in range(4):
        assert data(was.mongodb(members, "db").count("c")) == 0
        assert list(was.mongodb(members, "db").iterate("c")) == []


@pytest.mark.row("MAP-04", "MAP-08")
def test_all_members_are_asked(members: str) -> None:
    results = was.mongodb.map(members, "db").findall("c").getswait(5)
    assert results.status_code == [714, 200]
    assert results[1].data.data == []
    with pytest.raises(RuntimeError, match=r"\.lb"):
        was.mongodb.map(members, "db").iterate("c")


# Outside a request


class Request:
    """What an authorizer is given: it knows the token."""

    def __init__(self, token: str) -> None:
        self.token = token


class Handler:
    """Where an authorizer says what it found."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def continue_request(self, *args: Any) -> None:
        self.said.append(args)


@pytest.mark.row("GW-12")
def test_the_authorizer_of_the_documents(members: str) -> None:
    import time

    class Authorizer:
        def handle_user(self, response: Any, handler: Any, request: Any) -> None:
            username = response.data["username"]
            roles = response.data["roles"]
            expires = response.data["expires"]

            if expires and expires < time.time():
                was.mongodb(
                    "@my-mongodb",
                    "mydb",
                    callback=lambda x: None,
                ).delete("tokens", {"token": request.token})
                handler.continue_request(request)
            else:
                handler.continue_request(request, username, roles)

        def handle_token(self, handler: Any, request: Any) -> None:
            was.mongodb("@my-mongodb", "mydb", callback=(self.handle_user, (handler, request))).findone(
                "tokens", {"token": request.token}
            )

    tokens = was.mongodb(members, "mydb")
    tokens.delete("tokens", {}).wait(5)
    tokens.insert(
        "tokens",
        [
            {"token": "good", "username": "kim", "roles": ["staff"], "expires": None},
            {"token": "late", "username": "lee", "roles": [], "expires": 1},
        ],
    ).wait(5)
    handler, good, late = Handler(), Request("good"), Request("late")
    Authorizer().handle_token(handler, good)
    until(lambda: handler.said)
    assert handler.said.pop() == (good, "kim", ["staff"])
    Authorizer().handle_token(handler, late)
    until(lambda: handler.said)
    assert handler.said.pop() == (late,)
    until(lambda: data(tokens.count("tokens")) == 1)
    assert data(tokens.findone("tokens", {"token": "good"})).username == "kim"


def test_in_the_single_thread_mode_a_callback_is_the_only_way(
    mongo: Address, in_request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_modes.current, "threads", 0)
    with pytest.raises(RuntimeError, match="callback"):
        in_request.mongodb(mongo.where, "db", mongo.auth).findone("c")
    with pytest.raises(RuntimeError, match="callback"):
        in_request.mongodb(mongo.where, "db", mongo.auth).frobnicate("c")
    with pytest.raises(RuntimeError, match="callback"):
        in_request.mongodb(mongo.where, "db", mongo.auth).iterate("c")
    found: list[Any] = []
    in_request.mongodb(mongo.where, "db", mongo.auth, callback=found.append).count("c")
    until(lambda: found)
    assert found[0].data == 0


@pytest.mark.row("WAS-DB-14")
def test_a_job_at_an_alias(members: str) -> None:
    found: list[Any] = []
    wasc.ajob(members, found.append).count("jobs")
    until(lambda: found)
    assert (found[0].status, found[0].data) == (3, 0)


# The page


def test_the_examples_of_the_page(mongo: Address, capsys: pytest.CaptureFixture[str]) -> None:
    """Its blocks that name a server, one after the other, with ours in its place."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "mongodb.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python no-run\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    code = "\n".join(block for block in blocks if 'was.mongodb("127.0.0.1:27017"' in block)
    assert code.count('"127.0.0.1:27017"') == 3
    was.mongodb(mongo.where, "mydb", mongo.auth).command("dropDatabase").wait(5)
    code = code.replace("127.0.0.1:27017", mongo.where).replace('("user", "password")', repr(mongo.auth))
    exec(compile(code, "docs/mongodb.md", "exec"), {})
    assert capsys.readouterr().out == "Lee\n"
