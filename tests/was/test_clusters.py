"""Clusters: one member for a call, another when it fails, or all of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from gevent.event import Event

from skitai import was
from skitai.errors import RequestFailed
from skitai.net import logs
from skitai.was import _clusters, _task
from skitai.was._result import Result
from skitai.was._results import Results
from skitai.wire import clusters

from .conftest import Link, Peer, Peers, Received, until


def named(peers: Peers, *names: str) -> list[Peer]:
    """Peers that tell their name and what they were asked."""
    return [
        peers.http(lambda received, link, name=name: link.reply(f"{name} {received.target}".encode())) for name in names
    ]


def define(*members: Peer | str, name: str = "@c", kind: str = "http") -> None:
    clusters.define(name, kind, [member if isinstance(member, str) else member.address for member in members])


def states(name: str = "c") -> Any:
    return _clusters.find(name).balancer.states


# Load balancing


@pytest.mark.row("LB-01", "LB-06", "WAS-GEN-07")
@pytest.mark.parametrize("service", ["get", "post", "put", "delete", "patch", "upload", "options"])
@pytest.mark.parametrize("lb", [True, False])
def test_each_call_goes_to_one_member_in_turn(peers: Peers, service: str, lb: bool) -> None:
    define(*named(peers, "a", "b", "c"))
    called = getattr(was, service).lb if lb else getattr(was, service)
    data = {"x": "1"} if service == "upload" else None
    answers = [called("@c/path", data).getwait(5).text for _ in range(6)]
    assert answers == ["a /path", "b /path", "c /path"] * 2


def test_path_and_query_after_the_alias(peers: Peers) -> None:
    define(*named(peers, "a"))
    assert [was.get(uri).getwait(5).text for uri in ("@c", "@c/", "@c/x/y?z=1", "@c?z=1")] == [
        "a /", "a /", "a /x/y?z=1", "a /?z=1",
    ]  # fmt: skip
    assert was.get("@c/x", {"q": "ä"}).getwait(5).text == "a /x?q=%C3%A4"


def test_lb_of_a_plain_url_is_a_plain_call(peers: Peers) -> None:
    assert was.get.lb(named(peers, "a")[0].url()).getwait(5).text == "a /"


@pytest.mark.row("WAS-RES-16")
def test_the_member_that_answered_is_told(peers: Peers) -> None:
    one, two = named(peers, "a", "b")
    define(one, two)
    assert [was.get("@c").getwait(5).node for _ in range(2)] == [("127.0.0.1", one.port), ("127.0.0.1", two.port)]


def test_the_host_field_is_that_of_the_member(peers: Peers) -> None:
    peer = named(peers, "a")[0]
    define(peer)
    was.get("@c").getwait(5)
    assert peer.received[0].header("host") == peer.address


def test_a_busy_member_is_spared(peers: Peers) -> None:
    release = Event()
    slow = peers.after(release, b"slow")
    (quick,) = named(peers, "quick")
    define(slow, quick)
    first = was.get("@c")
    assert [was.get("@c").getwait(5).text for _ in range(5)] == ["quick /"] * 5
    release.set()
    assert first.getwait(5).text == "slow"


@pytest.mark.row("LB-03")
@pytest.mark.parametrize("service", ["get", "post", "put"])
def test_fail_over_when_nobody_listens(peers: Peers, service: str, capfd: pytest.CaptureFixture[str]) -> None:
    define(peers.refusing(), peers.refusing(), *named(peers, "alive"))
    assert getattr(was, service)("@c/x").getwait(5).text == "alive /x"
    logs.current().flush()
    assert capfd.readouterr().out.count("Cluster Response Error, Switch To Another...") == 2


def test_fail_over_for_callbacks_and_while_nobody_waits(peers: Peers) -> None:
    define(peers.refusing(), *named(peers, "alive"))
    found = []
    done = Event()
    was.get("@c", callback=lambda result: (found.append(result.text), done.set()))
    assert done.wait(5)
    assert found == ["alive /"]


BROKEN = {
    "reset": lambda link: link.reset(),
    "close": lambda link: link.close(),
    "garbage": lambda link: link.send(b"garbage\r\n\r\n"),
    "truncated": lambda link: link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(("service", "status"), [("get", 3), ("put", 3), ("delete", 3), ("post", 2), ("patch", 2)])
def test_fail_over_only_while_it_is_safe(peers: Peers, how: str, service: str, status: int) -> None:
    def behave(link: Link) -> None:
        link.read()
        asked.append(link)
        BROKEN[how](link)

    asked: list[Link] = []
    broken = peers(behave)
    (alive,) = named(peers, "alive")
    define(broken, alive)
    result = getattr(was, service)("@c/x").getwait(5)
    assert result.status == status, result
    assert len(asked) == 1
    assert len(alive.received) == (1 if status == 3 else 0)


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "503 Busy"])
def test_an_answer_is_no_failure(peers: Peers, status: str) -> None:
    define(peers.saying(b"", status), *named(peers, "b"))
    assert was.get("@c").getwait(5).code == int(status[:3])
    assert [state.failures for state in states()] == [0, 0]


def test_the_last_failure_is_told_when_all_fail(peers: Peers) -> None:
    members = [peers.refusing() for _ in range(3)]
    define(*members)
    result = was.get("@c").getwait(5)
    assert (result.status, result.code) == (2, 714)
    assert result.node == ("127.0.0.1", int(members[2].split(":")[1]))
    assert [state.failures for state in states()] == [1, 1, 1]


@pytest.mark.row("LB-04", "LB-05")
def test_a_dead_member_is_avoided_and_comes_back(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(_task, "monotonic", lambda: now)
    dead = peers.refusing()
    (alive,) = named(peers, "alive")
    define(dead, alive)
    for _ in range(4):
        assert was.get("@c").getwait(5).text == "alive /"
    assert (states()[0].failures, states()[0].aside_until) == (1, now + 1)
    now += 1.0
    risen = peers.http(lambda received, link: link.reply(b"risen"), port=int(dead.split(":")[1]))
    assert {was.get("@c").getwait(5).text for _ in range(4)} == {"alive /", "risen"}
    assert risen.received
    assert states()[0].failures == 0


def test_a_failure_of_the_caller_is_not_held_against_a_member(peers: Peers) -> None:
    define(*named(peers, "a", "b"))

    def pieces():
        yield b"x"
        raise ZeroDivisionError

    assert was.post("@c", pieces()).getwait(5).status == 2
    assert [(state.failures, state.in_flight) for state in states()] == [(0, 0), (0, 0)]


@pytest.mark.row("ALIAS-01")
def test_a_cluster_that_is_defined_again_starts_anew(peers: Peers) -> None:
    define(peers.refusing())
    assert was.get("@c").getwait(5).status == 2
    define(*named(peers, "a"))
    assert was.get("@c").getwait(5).text == "a /"
    assert states()[0].failures == 0


def test_a_cluster_of_another_kind_is_not_asked_by_http(peers: Peers) -> None:
    define("127.0.0.1/db", kind="postgresql")
    result = was.get("@c").getwait(5)
    assert (result.status, result.code) == (2, 731)
    assert "postgresql" in str(result.error)


def test_an_upload_goes_to_the_next_member_with_its_file(peers: Peers, tmp_path: Any) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"abc")
    (alive,) = named(peers, "alive")
    define(peers.refusing(), alive)
    file = path.open("rb")
    assert was.upload("@c", {"f": file}).getwait(5).status == 3
    assert b"abc" in alive.received[0].body
    assert file.closed


# Map-reduce


@pytest.mark.row("MAP-01", "MAP-02", "MAP-03")
@pytest.mark.parametrize("service", ["get", "post", "put", "delete", "upload"])
def test_map_asks_every_member_and_keeps_their_order(peers: Peers, service: str) -> None:
    gate = [Event() for _ in range(3)]

    def member(number: int) -> Peer:
        def answer(received: Received, link: Link) -> None:
            gate[number].wait()
            link.reply(b"%d" % number)
            if number:
                gate[number - 1].set()  # they complete in reverse

        return peers.http(answer)

    define(*[member(number) for number in range(3)])
    data = {"x": "1"} if service == "upload" else None
    request = getattr(was, service).map("@c/x", data)
    gate[2].set()
    results = request.getswait(5)
    assert isinstance(results, Results)
    assert [result.data for result in results] == results.data == [b"0", b"1", b"2"]
    assert results.status == [3, 3, 3]
    assert results.code == results.status_code == [200, 200, 200]
    assert len(results) == 3
    assert results[1].data == b"1"
    assert isinstance(results[0], Result)
    assert results[1:] == results.results[1:]
    assert request.code == [200, 200, 200]
    assert request.status == 3


@pytest.mark.row("MAP-04")
def test_one_status_for_each_member(peers: Peers) -> None:
    release = Event()
    slow = peers.after(release, b"slow")
    (alive,) = named(peers, "alive")
    dead = peers.refusing()
    define(alive, slow, dead)
    request = was.get.map("@c")
    until(lambda: request._left == 1)
    results = request.getswait(0)
    release.set()
    assert results.status == [3, 1, 2]
    assert results.code == [200, 730, 714]
    assert [result.node[1] for result in results] == [alive.port, slow.port, int(dead.split(":")[1])]
    assert results.data == [b"alive /", None, None]
    with pytest.raises(Exception, match="730 Timeout"):
        results.reraise()
    assert request.getswait(5) is results


@pytest.mark.row("WAS-REQ-08")
def test_getwait_is_not_for_maps(peers: Peers) -> None:
    define(*named(peers, "a"))
    request = was.get.map("@c")
    with pytest.raises(ValueError, match="Multiple Results, Use getswait"):
        request.getwait(5)
    assert request.getswait(5).data == [b"a /"]


def test_a_map_has_no_fail_over_and_asks_also_who_is_put_aside(peers: Peers) -> None:
    (alive,) = named(peers, "alive")
    define(peers.refusing(), alive)
    for _ in range(3):
        assert was.get.map("@c").getswait(5).status == [2, 3]
    assert len(alive.received) == 3


def test_reraise_of_a_map(peers: Peers) -> None:
    define(*named(peers, "a"), peers.refusing())
    with pytest.raises(RequestFailed, match="714"):
        was.get.map("@c").getswait(5, reraise=True)
    with pytest.raises(RequestFailed, match="714"):
        was.get.map("@c").wait(5)


@pytest.mark.row("MAP-09")
def test_a_file_goes_whole_to_every_member(peers: Peers, tmp_path: Any) -> None:
    path = tmp_path / "big.bin"
    content = bytes(range(256)) * 3000
    path.write_bytes(content)
    members = named(peers, "a", "b", "c")
    define(*members)
    file = path.open("rb")
    assert was.upload.map("@c", {"f": file}).getswait(5).status == [3, 3, 3]
    assert file.closed
    assert all(content in member.received[0].body for member in members)


def test_a_generator_goes_whole_to_every_member(peers: Peers) -> None:
    members = named(peers, "a", "b")
    define(*members)
    assert was.put.map("@c", iter([b"ab", b"cd"])).getswait(5).status == [3, 3]
    assert [member.received[0].body for member in members] == [b"abcd", b"abcd"]


def test_a_map_of_a_url_has_one_result(peers: Peers) -> None:
    assert was.get.map(named(peers, "a")[0].url()).getswait(5).data == [b"a /"]


def test_each_member_gets_a_transaction_number_of_its_own(peers: Peers, in_request: Any) -> None:
    members = named(peers, "a", "b")
    define(*members)
    in_request.get.map("@c").getswait(5)
    assert [member.received[0].header("x-ltxn-id") for member in members] == ["1001", "1002"]


def test_nothing_stays_in_flight(peers: Peers) -> None:
    define(*named(peers, "a", "b"), peers.refusing())
    requests = [was.get("@c") for _ in range(10)] + [was.get.map("@c") for _ in range(5)]
    for request in requests:
        request.getswait(5)
    assert [state.in_flight for state in states()] == [0, 0, 0]
