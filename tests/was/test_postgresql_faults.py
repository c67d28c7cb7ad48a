"""What can go wrong with PostgreSQL: nothing hangs, no connection is lost from the pool, the next request works."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import psycopg2
import pytest
import trustme
from gevent.event import AsyncResult

import skitai
from skitai import was
from skitai.errors import ConfigurationError, ConnectTimeout, NameNotFound, PeerClosed, ReadTimeout
from skitai.net import logs
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.was._db_pool import DbPool
from tests.servers import Address, Postgres

from .conftest import Link, Peers, garbage_of, until

SOON = 20.0


@pytest.fixture
def db(postgres: Address) -> Any:
    return was.postgresql(postgres.where, postgres.dbname, postgres.auth)


@pytest.fixture
def own(postgres_server: Postgres) -> Iterator[Postgres]:
    """The server of our own, which is running again when the test ends."""
    yield postgres_server
    postgres_server.restart()


def pool() -> DbPool:
    """The only pool that there is."""
    (found,) = _engine.current().databases.values()
    assert isinstance(found, DbPool)
    return found


def nothing_is_busy() -> None:
    for each in _engine.current().databases.values():
        assert "0 busy" in repr(each)
        assert "0 opening, 0 waiting" in repr(each)


# No connection


@pytest.mark.parametrize(
    ("auth", "dbname", "said"),
    [
        (("skitai", "wrong-secret"), "postgres", "password authentication failed"),
        (("nobody", "x"), "postgres", "password authentication failed"),
        (None, "no_such_database", 'database "no_such_database" does not exist'),
    ],
)
def test_who_is_not_let_in(postgres: Address, auth: Any, dbname: str, said: str, capfd: Any) -> None:
    request = was.postgresql(postgres.where, dbname, auth or postgres.auth).execute("select 1")
    result = request.getwait(SOON)
    assert (result.status, result.code, result.reason) == (2, 714, "Connection Failure")
    assert isinstance(result.error, psycopg2.OperationalError)
    assert said in str(result.error)
    with pytest.raises(psycopg2.OperationalError, match="FATAL"):
        result.reraise()
    logs.current().flush()
    shown = "".join(capfd.readouterr()) + repr(result) + repr(request) + str(result.error) + repr(request.call)
    for secret in ("wrong-secret", postgres.password):
        assert secret not in shown
    assert not _engine.current().databases


def test_nobody_listens(peers: Peers) -> None:
    result = was.postgresql(peers.refusing(), "a", ("b", "c")).execute("select 1").getwait(SOON)
    assert (result.status, result.code) == (2, 714)
    assert isinstance(result.error, psycopg2.OperationalError)


def test_a_name_without_an_address() -> None:
    result = was.postgresql("no-such-host.invalid", "a").execute("select 1").getwait(SOON)
    assert (result.status, result.code) == (2, 704)
    assert isinstance(result.error, NameNotFound)


def test_a_server_that_never_answers(peers: Peers) -> None:
    silent = peers(lambda link: link.wait_for_close())
    wasc.configure(connect_time=0.2)
    result = was.postgresql(silent.address, "a", ("b", "c")).execute("select 1").getwait(SOON)
    assert (result.status, result.code) == (2, 702)
    assert isinstance(result.error, ConnectTimeout)
    silent.all_closed.wait(SOON)
    assert not silent.open


def test_a_server_that_speaks_something_else(peers: Peers) -> None:
    def behaviour(link: Link) -> None:
        link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    result = was.postgresql(peers(behaviour).address, "a", ("b", "c")).execute("select 1").getwait(SOON)
    assert (result.status, result.code) == (2, 714)


def test_an_alias_of_another_kind(postgres: Address) -> None:
    skitai.alias("@web", skitai.PROTO_HTTP, "127.0.0.1")
    skitai.alias("@pg", skitai.DB_PGSQL, postgres.member)
    for stub in (was.postgresql("@web"), was.db("@web"), was.postgresql("127.0.0.1:port")):
        result = stub.execute("select 1").getwait(SOON)
        assert (result.status, result.code) == (2, 731)
        assert isinstance(result.error, ConfigurationError)
    with pytest.raises(ConfigurationError, match="no database"), was.postgresql("@web").transaction():
        pass


def test_without_the_driver(postgres: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    result = was.postgresql(postgres.where, postgres.dbname, postgres.auth).execute("select 1").getwait(SOON)
    assert result.status == 2
    assert "pip install 'skitai[postgresql]'" in str(result.error)


# In mid-query


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT], ids=["killed", "stopped"])
def test_a_server_that_goes_away_in_mid_query_and_comes_back(own: Postgres, number: signal.Signals) -> None:
    address = own.address
    db = was.postgresql(address.where, address.dbname, address.auth)
    db.execute("create table if not exists kept (n int)").wait(SOON)
    reading = db.execute("select pg_sleep(60)")
    writing = db.execute("with x as (select pg_sleep(60)) insert into kept select 1 from x")
    idle = [db.execute("select 1") for _ in range(3)]
    for request in idle:
        request.wait(SOON)
    until(lambda: running(address) == 2)
    own.restart(number=number)
    for request in (reading, writing):
        result = request.getwait(SOON + 60)
        assert result.status == 2
        assert result.code in (705, 714)
        assert isinstance(result.error, psycopg2.Error)
    for _ in range(5):
        assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    assert db.execute("select count(*) from kept").getwait(SOON).data[0].count == 0
    db.execute("drop table kept").wait(SOON)
    nothing_is_busy()


def running(address: Address) -> int:
    """How many statements of others run."""
    watcher = was.postgresql(address.where, "template1", address.auth)
    sql = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active'"
    return int(watcher.execute(sql).getwait(SOON).data[0].count) - 1


def test_a_backend_that_is_terminated(db: Any) -> None:
    request = db.execute("select pg_sleep(60) for update")
    kill = (
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where query like '%for update' and pid <> pg_backend_pid()"
    )
    # It only reads, by its first word, so it is sent again on a new connection; that one is ended as well.
    until(lambda: db.execute(kill).getwait(SOON) and request.is_done)
    result = request.getwait(SOON)
    assert (result.status, result.code, result.reason) == (2, 705, "Connection Closed By Peer")
    assert isinstance(result.error.__cause__ or result.error, (psycopg2.Error, PeerClosed))
    assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    nothing_is_busy()


def test_a_write_is_never_sent_twice(db: Any) -> None:
    db.execute("create table once (n int)").wait(SOON)
    try:
        # The work is done before the connection is lost: a repetition would do it again.
        die = "insert into once values (1); select pg_terminate_backend(pg_backend_pid())"
        result = db.execute(die).getwait(SOON)
        assert (result.status, result.code) == (2, 705)
        assert db.execute("select count(*) from once").getwait(SOON).data[0].count <= 1
    finally:
        db.execute("drop table once").wait(SOON)


def test_a_server_that_stops_answering_in_mid_query(peers: Peers, postgres: Address, capfd: Any) -> None:
    """A relay between us and the server goes silent, as a network does that loses its cable."""
    hold = gevent.event.Event()
    hold.set()

    def relay(link: Link) -> None:
        upstream = gevent.socket.create_connection((postgres.host, postgres.port))

        def back() -> None:
            while data := upstream.recv(65536):
                hold.wait()
                link.send(data)

        gevent.spawn(back)
        while data := link._socket.recv(65536):
            upstream.sendall(data)
        upstream.close()

    peer = peers(relay)
    stub = was.postgresql(peer.address, postgres.dbname, postgres.auth, timeout=0.5)
    assert stub.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    hold.clear()
    result = stub.execute("select 2").getwait(SOON)
    assert (result.status, result.code) == (2, 702)
    logs.current().flush()
    assert "cancelled" not in capfd.readouterr().out  # nobody waits until the server can be told
    hold.set()
    assert stub.execute("select 3 as n").getwait(SOON).data == [{"n": 3}]
    nothing_is_busy()


# Too much


def test_a_thousand_requests_share_ten_connections(db: Any) -> None:
    wasc.configure(db_connections=10, idle_time=60)
    requests = [db.execute("select %s::int as n, pg_backend_pid() as pid", (n,)) for n in range(1_000)]
    assert [isinstance(each, AsyncResult) for each in pool()._waiting] == [False] * 990  # none has a greenlet
    rows = [request.getwait(60).data[0] for request in requests]
    assert [row.n for row in rows] == list(range(1_000))
    assert len({row.pid for row in rows}) <= 10
    assert repr(pool()).endswith("0 busy, 10 idle, 0 opening, 0 waiting>")


def test_an_exhausted_pool_says_so(postgres: Address) -> None:
    wasc.configure(db_connections=1, idle_time=0.2)
    stub = was.postgresql(postgres.where, postgres.dbname, postgres.auth)
    first = stub.execute("select pg_sleep(0.6)")
    second = stub.execute("select 1")
    result = second.getwait(SOON)
    assert (result.status, result.code) == (2, 702)
    assert isinstance(result.error, ReadTimeout)
    assert "none of the 1 connections" in str(result.error)
    assert "1 busy" in was.status("connections", fancy=False)["connections"][str(pool().database)]
    first.wait(SOON)
    assert stub.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]


def test_those_who_wait_are_served_when_connections_are_lost(db: Any) -> None:
    wasc.configure(db_connections=2)
    die = "select pg_terminate_backend(pg_backend_pid()), set_config('a.b', 'c', false) into temporary lost"
    requests = [db.execute(die if n % 5 == 0 else f"select {n} as n") for n in range(40)]
    results = [request.getwait(SOON) for request in requests]
    assert [result.code for result in results] == [705 if n % 5 == 0 else 200 for n in range(40)]
    assert [result.data for result in results if result.status == 3] == [[{"n": n}] for n in range(40) if n % 5]
    nothing_is_busy()


def test_a_call_that_is_cancelled_while_it_waits_is_not_sent(db: Any, postgres: Address) -> None:
    wasc.configure(db_connections=1)
    db.execute("create sequence calls").wait(SOON)
    try:
        first = db.execute("select pg_sleep(0.1), nextval('calls')")
        second = db.execute("select nextval('calls')")
        second.cancel()
        third = db.execute("select nextval('calls') as n")
        assert (second.getwait(SOON).status, second.getwait(SOON).code) == (2, 706)
        assert (first.getwait(SOON).status, third.getwait(SOON).data) == (3, [{"n": 2}])
    finally:
        db.execute("drop sequence calls").wait(SOON)
    nothing_is_busy()


def test_the_server_has_no_connection_left(own: Postgres) -> None:
    own.restart("-c", "max_connections=8", "-c", "superuser_reserved_connections=0")
    address = own.address
    stub = was.postgresql(address.where, address.dbname, address.auth)
    requests = [stub.execute("select pg_sleep(0.2)") for _ in range(12)]
    results = [request.getwait(SOON) for request in requests]
    refused = [result for result in results if result.status == 2]
    assert refused
    assert all("too many clients" in str(result.error) for result in refused)
    assert stub.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    nothing_is_busy()


@pytest.mark.parametrize("value", ["x" * 100_000_000, b"\x00\xff" * 25_000_000], ids=["text", "bytes"])
def test_a_very_large_value(db: Any, value: str | bytes) -> None:
    # Sent and read: what the server sends back is as large. (As hexadecimal digits, bytes are twice as large.)
    found = db.execute("select %s as v", (value,)).getwait(120).data[0].v
    assert found == value


def test_nul_in_a_text(db: Any) -> None:
    result = db.execute("select %s", ("a\x00b",)).getwait(SOON)
    assert (result.status, result.code) == (2, 500)
    assert isinstance(result.error, ValueError)
    assert db.execute("select %s as v", (b"a\x00b",)).getwait(SOON).data[0].v == b"a\x00b"
    result = db.execute("select 1 \x00 union select 2").getwait(SOON)
    assert result.status in (2, 3)
    assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]


@pytest.mark.parametrize("args", [(1, 2), {"b": 1}, 5, (object(),)])
def test_values_that_do_not_fit(db: Any, args: Any) -> None:
    result = db.execute("select %(a)s" if isinstance(args, dict) else "select %s", args).getwait(SOON)
    assert (result.status, result.code, result.data) == (2, 500, None)
    assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    nothing_is_busy()


# TLS


def with_tls(own: Postgres, authority: trustme.CA, *options: str) -> None:
    """Restart the server with a certificate of ``authority``."""
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = own.directory / "server.pem", own.directory / "server.key"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    own.give(cert, key)
    own.restart("-c", "ssl=on", "-c", f"ssl_cert_file={cert}", "-c", f"ssl_key_file={key}", *options)


SQL_IS_SECURE = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"


def test_an_encrypted_connection_is_verified(own: Postgres, tmp_path: Path) -> None:
    authority = trustme.CA()
    with_tls(own, authority)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    seen: dict[Any, tuple[int, Any]] = {}
    for verify in (str(ca), False, True):
        skitai.alias("@tls", skitai.DB_PGSQL, own.address.member, ssl=True, verify=verify)
        result = was.postgresql("@tls").execute(SQL_IS_SECURE).getwait(SOON)
        seen[verify] = (result.status, result.data and result.data[0].ssl)
        # A kept connection under TLS is used again.
        assert was.postgresql("@tls").execute(SQL_IS_SECURE).getwait(SOON).status == result.status
    assert seen == {str(ca): (3, True), False: (3, True), True: (2, None)}


def test_a_server_that_asks_for_our_certificate(own: Postgres, tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, mine, hba = own.directory / "ca.pem", tmp_path / "mine.pem", own.directory / "hba.conf"
    authority.cert_pem.write_to_path(ca)
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(mine)
    mine.chmod(0o600)
    hba.write_text("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n")
    own.give(ca, hba)
    with_tls(own, authority, "-c", f"ssl_ca_file={ca}", "-c", f"hba_file={hba}")
    for cert, status in ((str(mine), 3), (None, 2)):
        skitai.alias("@tls", skitai.DB_PGSQL, own.address.member, ssl=True, verify=False, cert=cert)
        assert was.postgresql("@tls").execute(SQL_IS_SECURE).getwait(SOON).status == status


# Processes


def test_a_child_leaves_the_connections_of_its_parent_alone(db: Any) -> None:
    assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    before = pool()
    child = gevent.os.fork()
    if child == 0:
        code = 1
        try:
            assert not _engine.current().databases
            rows = db.execute("select 2 as n").getwait(SOON).data
            code = 0 if rows == [{"n": 2}] else 2
        finally:
            os._exit(code)
    done: list[int] = []
    watcher = gevent.get_hub().loop.child(child)
    watcher.start(lambda: done.append(watcher.rstatus))
    until(lambda: done)
    watcher.close()
    assert os.waitstatus_to_exitcode(done[0]) == 0
    assert pool() is before
    assert db.execute("select 3 as n").getwait(SOON).data == [{"n": 3}]
    assert "1 idle" in repr(before)


def test_idle_connections_are_closed_at_the_end(db: Any, postgres: Address) -> None:
    db.execute("select 1").wait(SOON)
    _engine.current().close()
    assert not _engine.current().databases
    counted = "select count(*) from pg_stat_activity where datname = %s and application_name like 'Skitai%%'"
    observer = was.postgresql(postgres.where, "template1", postgres.auth)
    until(lambda: observer.execute(counted, (postgres.dbname,)).getwait(SOON).data[0].count == 0)


@pytest.mark.parametrize("count", [1, 5], ids=["at once", "after waiting for a connection"])
def test_a_failed_call_leaves_nothing_for_the_garbage_collector(db: Any, count: int) -> None:
    wasc.configure(db_connections=1)

    def fail() -> None:
        requests = [db.execute("selec") for _ in range(count)]
        assert [request.getwait(SOON).code for request in requests] == [500] * count

    assert garbage_of(fail, 20) < 20


class Canceling:
    """A connection of psycopg2 on which the first statement takes longer than the caller before had allowed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.left = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self) -> Any:
        if self.left:
            self.left -= 1
            raise psycopg2.errors.QueryCanceled("canceling statement due to statement timeout")
        return self._connection.cursor()


def test_a_short_deadline_of_one_caller_is_not_that_of_the_next(postgres: Address) -> None:
    def stub(timeout: float | None) -> Any:
        return was.postgresql(postgres.where, postgres.dbname, postgres.auth, timeout=timeout)

    assert stub(1).execute("select 1 as n").getwait(SOON).code == 200
    (pool,) = (each for each in _engine.current().databases.values() if isinstance(each, DbPool) and each._idle)
    connection: Any = pool._idle[0]
    connection._connection = Canceling(connection._connection)
    assert stub(None).execute("show statement_timeout").getwait(SOON).data == [{"statement_timeout": "0"}]
    assert connection._connection.left == 0
