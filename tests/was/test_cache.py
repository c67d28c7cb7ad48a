"""Results that are kept for identical calls."""

from __future__ import annotations

from typing import Any

import pytest
from gevent.event import Event

from skitai import was
from skitai.was import _cache
from skitai.was._cache import ResultCache
from skitai.was._http_call import HttpCall
from skitai.was._http_result import HttpResult
from skitai.wire import clusters

from .conftest import Link, Peer, Peers, Received, until


def counting(peers: Peers) -> Peer:
    """A peer that answers with a new number each time."""
    numbers = iter(range(1, 100))
    return peers.http(
        lambda received, link: link.reply(b'{"n": %d}' % next(numbers), "200 OK", "Content-Type: application/json")
    )


@pytest.mark.row("CACHE-01", "CACHE-06", "WAS-RES-13")
def test_an_identical_call_is_answered_without_the_network(peers: Peers) -> None:
    peer = counting(peers)
    first = was.get(peer.url("/a")).getwait(5)
    assert not first.is_cached
    first.cache(60)
    request = was.get(peer.url("/a"), meta={"mine": 1})
    again = request.getwait(0)
    assert (again.data, again.status, again.code, again.is_cached) == ({"n": 1}, 3, 200, True)
    assert again.meta == {"mine": 1}
    assert request.getswait(0).is_cached
    again.reraise()
    assert len(peer.received) == 1


def test_what_one_caller_does_to_the_data_another_does_not_see(peers: Peers) -> None:
    peer = counting(peers)
    first = was.get(peer.url()).getwait(5)
    first.cache(60)
    first.data["n"] = 99
    was.get(peer.url()).getwait(5).data["n"] = 98
    assert was.get(peer.url()).getwait(5).data == {"n": 1}


@pytest.mark.row("CACHE-02")
def test_only_an_answer_is_kept(peers: Peers) -> None:
    refusing = peers.refusing()
    was.get(f"http://{refusing}/").getwait(5).cache(60)
    assert len(_cache.results) == 0
    was.get(peers.saying(b"", "404 Not Found").url()).getwait(5).cache(60)
    assert len(_cache.results) == 1


@pytest.mark.row("CACHE-04", "WAS-REQ-05")
def test_the_request_can_cache_as_well(peers: Peers) -> None:
    peer = counting(peers)
    request = was.get(peer.url())
    with pytest.raises(ValueError, match="call getwait, getswait first"):
        request.cache(60)
    request.getwait(5)
    request.cache(60)
    assert was.get(peer.url()).getwait(5).is_cached
    request.cache(0)
    assert not was.get(peer.url()).getwait(5).is_cached


def test_a_timeout_of_nothing_drops_what_is_kept(peers: Peers) -> None:
    peer = counting(peers)
    was.get(peer.url()).getwait(5).cache(60)
    was.get(peer.url()).getwait(5).cache(0)
    assert was.get(peer.url()).getwait(5).data == {"n": 2}


@pytest.mark.row("CACHE-13")
def test_use_cache_false_asks_again_and_replaces(peers: Peers) -> None:
    peer = counting(peers)
    was.get(peer.url()).getwait(5).cache(60)
    fresh = was.get(peer.url(), use_cache=False).getwait(5)
    assert (fresh.data, fresh.is_cached) == ({"n": 2}, False)
    assert peer.received[1].header("cache-control") == "no-cache"
    fresh.cache(60)
    assert was.get(peer.url()).getwait(5).data == {"n": 2}


@pytest.mark.row("CACHE-03")
@pytest.mark.parametrize(
    "other",
    [
        lambda url: was.get(url + "x"),
        lambda url: was.get(url, {"q": "1"}),
        lambda url: was.get(url, auth=("u", "p")),
        lambda url: was.get(url, headers={"Cookie": "user=2"}),
        lambda url: was.delete(url),
        lambda url: was.post(url),
        lambda url: was.get.map(url),
        lambda url: was.rpc(url).method(),
    ],
)
def test_another_call_is_not_answered_by_it(peers: Peers, other: Any) -> None:
    peer = counting(peers)
    was.get(peer.url("/a")).getwait(5).cache(60)
    assert not other(peer.url("/a")).getswait(5).is_cached


def test_bodies_tell_calls_apart(peers: Peers) -> None:
    peer = counting(peers)
    was.post(peer.url(), {"a": 1}).getwait(5).cache(60)
    assert was.post(peer.url(), {"a": 1}).getwait(5).is_cached
    assert not was.post(peer.url(), {"a": 2}).getwait(5).is_cached
    assert not was.postform(peer.url(), {"a": 1}).getwait(5).is_cached


def test_what_is_streamed_is_not_kept(peers: Peers) -> None:
    peer = counting(peers)
    was.post(peer.url(), iter([b"a"])).getwait(5).cache(60)
    assert len(_cache.results) == 0


def test_the_transaction_makes_no_difference(peers: Peers, in_request: Any, outside: Any) -> None:
    peer = counting(peers)
    in_request.get(peer.url()).getwait(5).cache(60)
    assert in_request.get(peer.url()).getwait(5).is_cached
    assert outside.get(peer.url()).getwait(5).is_cached


@pytest.mark.row("MAP-05")
def test_a_map_is_kept_as_a_whole(peers: Peers) -> None:
    one, two = counting(peers), counting(peers)
    clusters.define("@c", "http", [one.address, two.address])
    results = was.get.map("@c").getswait(5)
    results[0].cache(60)
    assert len(_cache.results) == 0
    results.cache(60)
    again = was.get.map("@c").getswait(0)
    assert again.is_cached
    assert again.data == [{"n": 1}, {"n": 1}]
    assert [result.node for result in again] == [("127.0.0.1", one.port), ("127.0.0.1", two.port)]
    assert not was.get("@c").getwait(5).is_cached


def test_a_map_with_a_hole_is_not_kept(peers: Peers) -> None:
    clusters.define("@c", "http", [counting(peers).address, peers.refusing()])
    request = was.get.map("@c")
    request.getswait(5).cache(60)
    request.cache(60)
    assert len(_cache.results) == 0


def test_a_late_answer_is_kept_when_the_caller_asked_for_it(peers: Peers) -> None:
    release, answered = Event(), Event()

    def answer(received: Received, link: Link) -> None:
        release.wait()
        link.reply(b"late")
        answered.set()

    peer = peers.http(answer)
    request = was.get(peer.url())
    assert request.getwait(0.02).status == 1
    request.cache(60)
    assert len(_cache.results) == 0
    release.set()
    answered.wait()
    until(lambda: request.is_done)
    assert was.get(peer.url()).getwait(0).data == b"late"


def test_a_late_answer_that_has_come_is_kept_too(peers: Peers) -> None:
    release = Event()
    peer = peers.after(release, b"late")
    request = was.get(peer.url())
    assert request.getwait(0.02).status == 1
    release.set()
    until(lambda: request.is_done)
    request.cache(60)
    assert was.get(peer.url()).getwait(0).data == b"late"


def test_a_callback_gets_what_is_kept(peers: Peers) -> None:
    peer = counting(peers)
    was.get(peer.url()).getwait(5).cache(60)
    found = []
    done = Event()
    was.get(peer.url(), callback=lambda result: (found.append(result.is_cached), done.set()))
    assert done.wait(5)
    assert found == [True]


def test_a_filter_is_applied_to_what_is_kept(peers: Peers) -> None:
    peer = counting(peers)
    was.get(peer.url()).getwait(5).cache(60)
    seen: list[Any] = []
    was.get(peer.url(), filter=seen.append).getwait(5)
    assert [result.is_cached for result in seen] == [True]


# The cache itself, with a clock of our own


def entry(uri: str) -> tuple[HttpCall, tuple[HttpResult, ...]]:
    call = HttpCall("http", "GET", uri, False, b"", "", None, None, 10.0, None, True, None, None, HttpResult, "get")
    return call, (HttpResult(call, None, 3, 200, "OK"),)


def test_entries_expire() -> None:
    now = [0.0]
    cache = ResultCache(clock=lambda: now[0])
    call, results = entry("a")
    cache.store(call.key, results, 60)
    now[0] = 59.9
    assert cache.find(call) is not None
    now[0] = 60.0
    assert cache.find(call) is None
    assert len(cache) == 0


@pytest.mark.row("CACHE-20")
def test_when_full_the_fifth_that_expires_first_goes() -> None:
    cache = ResultCache(capacity=10, clock=lambda: 0.0)
    for number in range(10):
        call, results = entry(str(number))
        cache.store(call.key, results, 100 - number)
    call, results = entry("new")
    cache.store(call.key, results, 1)
    assert len(cache) == 9
    assert [number for number in range(10) if cache.find(entry(str(number))[0]) is None] == [8, 9]
    assert cache.find(call) is not None


def test_a_smaller_capacity_counts_at_once() -> None:
    cache = ResultCache(capacity=10)
    for number in range(10):
        call, results = entry(str(number))
        cache.store(call.key, results, 60)
    cache.capacity = 3
    call, results = entry("new")
    cache.store(call.key, results, 60)
    assert len(cache) == 3
    cache.capacity = 0
    cache.store(entry("x")[0].key, results, 60)
    assert cache.find(entry("x")[0]) is None
