"""What goes wrong between ``was.mongodb`` and its server: nothing hangs, and the next request works."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from bson.errors import InvalidBSON
from gevent.server import StreamServer
from gevent.threadpool import ThreadPool
from pymongo.errors import AutoReconnect, DocumentTooLarge, NetworkTimeout

import skitai
from skitai import was
from skitai.errors import CallCancelled
from skitai.was import _engine, _mongodb_client
from skitai.was._context import wasc
from tests import servers
from tests.servers import Address

from .conftest import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def own() -> Iterator[servers.Mongo]:
    """A server that the test may kill."""
    server = servers.Mongo()
    yield server
    server.stop()


def stub_of(mongo: Address, **options: Any) -> Any:
    return was.mongodb(mongo.where, "faults", mongo.auth, **options)


@pytest.fixture
def stub(mongo: Address) -> Any:
    db = stub_of(mongo)
    db.command("dropDatabase").wait(5)
    db.insert("c", {"n": 1}).wait(5)
    return db


@pytest.fixture
def fault(mongo: Address) -> Iterator[Any]:
    """Arm a fault for the next commands of some names; see ``tests/mongo_double.py``."""
    admin = was.mongodb(mongo.where, "admin", mongo.auth)

    def arm(*commands: str, times: int = 1, **what: Any) -> None:
        data = {"failCommands": list(commands), **what}
        admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}).wait(5)

    yield arm
    admin.command({"configureFailPoint": "failCommand", "mode": "off"}).wait(5)


def works(db: Any) -> None:
    result = db.findone("c").getwait(5)
    assert (result.status, result.code) == (3, 200), result.error


def pool_repr() -> str:
    return repr([pool for database, pool in _engine.current().databases.items() if database.dbname == "faults"])


# Not reached


def test_a_port_that_nobody_listens_at_fails_at_once() -> None:
    result = was.mongodb(f"127.0.0.1:{servers.free_port()}", "db").insert("c", {}).getwait(5)
    assert (result.status, result.code) == (2, 714)
    assert isinstance(result.error, AutoReconnect)
    with pytest.raises(AutoReconnect, match="refused"):
        result.reraise()


def test_a_host_without_an_address() -> None:
    result = was.mongodb("nowhere.invalid", "db").findone("c").getwait(10)
    assert (result.status, result.code) == (2, 704)


def test_a_server_that_says_nothing(peers: Any) -> None:
    peer = peers(lambda link: link.wait_for_close())
    wasc.configure(connect_time=0.3)
    result = was.mongodb(peer.address, "db").findone("c").getwait(5)
    assert (result.status, result.code) in ((2, 702), (2, 714))


def test_a_server_that_speaks_something_else(peers: Any) -> None:
    peer = peers(lambda link: link.reply(b"this is no database" * 10))
    result = was.mongodb(peer.address, "db").findone("c").getwait(5)
    assert (result.status, result.code) == (2, 714)


# Lost


def test_a_command_that_changes_is_not_repeated_when_the_connection_is_lost(stub: Any, fault: Any) -> None:
    fault("insert", closeConnection=True)
    result = stub.insert("c", {"n": 2}).getwait(5)
    assert (result.status, result.code) == (2, 705)
    assert isinstance(result.error, AutoReconnect)
    assert stub.count("c").getwait(5).data == 1


def test_one_that_only_reads_is_repeated(stub: Any, fault: Any) -> None:
    fault("find", closeConnection=True)
    works(stub)
    assert "0 busy, 1 idle" in pool_repr()  # the connection of the repetition is kept where others find it
    fault("find", times=2, closeConnection=True)
    assert stub.findone("c").getwait(5).code == 705
    works(stub)


def test_a_server_that_is_killed_and_started_again(own: servers.Mongo) -> None:
    db = stub_of(own.address)
    db.insert("c", {"n": 1}).wait(5)
    block = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 10_000}
    admin = was.mongodb(own.address.where, "admin", own.address.auth)
    admin.command({"configureFailPoint": "failCommand", "mode": {"times": 2}, "data": block}).wait(5)
    waiting = [db.findone("c"), stub_of(own.address).findone("c")]
    until(lambda: "2 busy" in pool_repr())
    gevent.spawn(own.stop, signal.SIGKILL).join()
    for request in waiting:
        assert request.getwait(5).code == 714  # it was asked again, and was not there
    assert db.insert("c", {"n": 1}).getwait(5).code == 714
    own.start()
    db.insert("c", {"n": 1}).wait(5)
    works(db)
    assert "0 busy" in pool_repr()


def test_a_server_that_was_restarted_while_nobody_asked(own: servers.Mongo) -> None:
    db = stub_of(own.address)
    works(db)
    own.stop()
    own.start()
    works(db)
    db.insert("c", {"n": 1}).wait(5)


def test_another_member_answers_when_one_is_killed(own: servers.Mongo, mongo: Address) -> None:
    skitai.alias("@pair", skitai.DB_MONGODB, [own.address.member, "/".join([mongo.where, "x", *(mongo.auth or ())])])
    for _ in range(2):
        was.mongodb("@pair", "pair").count("c").wait(5)
    own.stop()
    for _ in range(4):
        assert was.mongodb("@pair", "pair").count("c").getwait(5).data == 0


# Late


def test_a_deadline_in_the_middle_of_a_command(stub: Any, mongo: Address, fault: Any) -> None:
    fault("find", blockConnection=True, blockTimeMS=5_000)
    result = stub_of(mongo, timeout=0.2).findone("c").getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert isinstance(result.error, NetworkTimeout)
    works(stub)
    assert "0 busy" in pool_repr()


def test_what_the_server_ends_because_it_took_too_long_is_late_too(stub: Any, fault: Any) -> None:
    fault("find", errorCode=50)
    assert stub.findone("c").getwait(5).code == 702


def test_a_call_that_is_cancelled(stub: Any, mongo: Address, fault: Any) -> None:
    fault("find", blockConnection=True, blockTimeMS=5_000)
    request = stub_of(mongo).findone("c")
    until(lambda: "1 busy" in pool_repr())
    request.cancel()
    result = request.getwait(5)
    assert (result.status, result.code) == (2, 706)
    assert isinstance(result.error, CallCancelled)
    works(stub)
    assert "0 busy" in pool_repr()


def test_the_sweep_ends_what_the_driver_does_not(stub: Any, fault: Any) -> None:
    """As ``expire()`` of the sweep does, past the deadline and its grace."""
    fault("find", blockConnection=True, blockTimeMS=5_000)
    request = stub.findone("c")
    until(lambda: "1 busy" in pool_repr())
    for pool in _engine.current().databases.values():
        for connection in pool._busy:  # type: ignore[attr-defined]
            connection.is_spent = True
            connection.abort()
    assert request.getwait(5).code == 702
    works(stub)


def test_all_connections_are_busy(stub: Any, mongo: Address, fault: Any) -> None:
    wasc.configure(db_connections=1)
    fault("find", blockConnection=True, blockTimeMS=500)
    first = stub_of(mongo).findone("c")
    result = stub_of(mongo, timeout=0.1).findone("c").getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert "none of the 1 connections" in str(result.error)
    assert first.getwait(5).data.n == 1
    works(stub)


def test_a_thousand_requests_over_ten_connections(stub: Any, mongo: Address) -> None:
    wasc.configure(db_connections=10)
    requests = [stub_of(mongo).findone("c") for _ in range(1000)]
    assert {request.getwait(20).code for request in requests} == {200}
    assert "at most 10: 0 busy, 10 idle" in pool_repr()


# Wrong answers, large documents


def test_an_answer_that_is_no_bson(stub: Any, fault: Any) -> None:
    fault("find", times=1, malformed=True)
    result = stub.findone("c").getwait(5)
    assert (result.status, result.code) == (2, 500)
    assert isinstance(result.error, InvalidBSON)
    works(stub)


def test_a_document_may_have_sixteen_megabytes(stub: Any) -> None:
    big = b"x" * (16 * 1024 * 1024 - 100)
    stub.insert("big", {"_id": 1, "data": big}).wait(10)
    assert stub.findone("big").getwait(10).data["data"] == big
    too_big = {"data": big + b"x" * 2**20}
    result = stub.insert("big", too_big).getwait(10)
    assert (result.status, result.code) == (2, 500)
    assert isinstance(result.error, DocumentTooLarge)
    result = stub.insert("big", [too_big, {}]).getwait(10)  # of several, it is the server that looks
    assert (result.status, result.code) == (2, 500)
    assert result.reason.startswith("object to insert too large")
    works(stub)


# The client that is shared


def shared() -> list[Any]:
    return list(_mongodb_client._clients.get(_engine.current(), {}).values())


def test_the_databases_of_a_server_share_one_client_until_its_last_connection_is_closed(mongo: Address) -> None:
    _engine.current().close()
    until(lambda: not shared())
    requests = [was.mongodb(mongo.where, f"db{n % 2}", mongo.auth).count("c") for n in range(6)]
    assert {request.getwait(5).code for request in requests} == {200}
    (client,) = shared()
    assert repr(client) == "<SharedClient of 6 connections>"
    _engine.current().close()
    until(lambda: not shared())


def test_a_client_that_is_too_old_is_replaced(mongo: Address) -> None:
    stub_of(mongo).count("c").wait(5)
    (old,) = shared()
    wasc.configure(db_life=0)
    stub_of(mongo).count("c").wait(5)  # which gives its connection back as too old
    stub_of(mongo).count("c").wait(5)
    assert old not in shared()


def test_a_native_thread_has_a_client_of_its_own(stub: Any, mongo: Address) -> None:
    works(stub)
    assert ThreadPool(1).apply(lambda: stub_of(mongo).findone("c").getwait(5).data.n) == 1
    works(stub)


# Processes


def run(code: str, mongo: Address) -> str:
    prelude = (
        f"from skitai import patches; patches.apply()\nimport sys\nwhere, auth = {mongo.where!r}, {mongo.auth!r}\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", prelude + code],
        capture_output=True, text=True, timeout=15, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_program_ends_while_a_client_lives(mongo: Address) -> None:
    code = "from skitai import was; print(was.mongodb(where, 'db', auth).count('c').getwait(5).code, flush=True)\n"
    assert run(code, mongo) == "200\n"
    assert run(code + "import gevent; gevent.get_hub().join(); print('joined')\n", mongo) == "200\njoined\n"


def test_the_child_of_a_fork_has_a_client_of_its_own(stub: Any, mongo: Address) -> None:
    code = """
import os
from skitai import was
def ask(): return was.mongodb(where, 'faults', auth).findone('c').getwait(5)
ask()
under_way = was.mongodb(where, 'faults', auth).findone('c')
child = os.fork()
if not child:
    print('child', ask().data.n, flush=True)
    import gevent
    gevent.sleep(1.2)  # as long as any monitor sleeps
    sys.exit(0)
os.waitpid(child, 0)
print('parent', under_way.getwait(5).data.n, ask().data.n)
"""
    assert run(code, mongo) == "child 1\nparent 1 1\n"


def test_without_pymongo_the_error_says_what_to_install(mongo: Address) -> None:
    code = """
sys.modules['pymongo'] = None
from skitai import was
print(was.mongodb(where, 'db', auth).count('c').getwait(5).error)
"""
    assert "pip install 'skitai[mongodb]'" in run(code, mongo)


# TLS


#: Of each connection to the relay: whether the client showed a certificate.
shown: list[bool] = []


@pytest.fixture
def secure(mongo: Address) -> Iterator[tuple[str, trustme.CA]]:
    """The address of a relay that adds TLS, and the authority of its certificate."""
    shown.clear()
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL  # test_a_certificate_of_ours looks whether one came

    def relay(sock: Any, address: Any) -> None:
        shown.append(bool(sock.getpeercert()))
        with sock, gevent.socket.create_connection((mongo.host, mongo.port)) as server:
            back = gevent.spawn(pump, server, sock)
            pump(sock, server)
            back.join()

    def pump(source: Any, target: Any) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(2)
        except OSError:
            pass  # the other direction has ended

    server = StreamServer(("127.0.0.1", 0), relay, ssl_context=context)
    server.start()
    yield f"127.0.0.1:{server.server_port}", authority
    server.stop(timeout=1)


def test_tls_is_verified(secure: tuple[str, trustme.CA], mongo: Address, tmp_path: Path) -> None:
    where, authority = secure
    member = "/".join([where, "tls", *(mongo.auth or ())])
    skitai.alias("@tls", skitai.DB_MONGODB, [member], ssl=True)
    result = was.mongodb("@tls").count("c").getwait(5)
    assert (result.status, result.code) == (2, 715), result.error
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    wasc.configure(verify=str(tmp_path / "ca.pem"))
    assert was.mongodb("@tls").count("c").getwait(5).data == 0


def test_a_certificate_of_ours(secure: tuple[str, trustme.CA], mongo: Address, tmp_path: Path) -> None:
    where, authority = secure
    member = "/".join([where, "tls", *(mongo.auth or ())])
    mine = tmp_path / "mine.pem"
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(mine))
    skitai.alias("@tls", skitai.DB_MONGODB, [member], ssl=True, verify=False)
    assert was.mongodb("@tls").count("c").getwait(5).data == 0
    assert not any(shown)
    shown.clear()
    skitai.alias("@tls", skitai.DB_MONGODB, [member], ssl=True, verify=False, cert=str(mine))
    assert was.mongodb("@tls").count("c").getwait(5).data == 0
    assert shown
    assert all(shown)
    skitai.alias("@tls", skitai.DB_MONGODB, [member], ssl=True, verify=False, cert=(str(mine), str(mine)))
    result = was.mongodb("@tls").count("c").getwait(5)
    assert result.status == 2
    assert "from one file" in str(result.error)


@pytest.mark.skipif("SKITAI_TEST_MONGO" in os.environ, reason="a real server has its own users")
def test_the_account_may_be_of_another_database(mongo: Address) -> None:
    wasc.configure(mongodb_auth_source="users")
    result = was.mongodb(mongo.where, "db", mongo.auth).count("c").getwait(5)
    assert (result.status, result.code) == (2, 714)  # the double knows its user in admin only
