"""The choice among members, with a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire.balance import Balancer, MemberState, back_off
from skitai.wire.clusters import Member


def balancer(*weights: int) -> Balancer:
    return Balancer(tuple(Member(f"h{n}", 80, weight=weight) for n, weight in enumerate(weights)))


def chosen(cluster: Balancer, now: float = 0.0) -> MemberState:
    state = cluster.choose(now)
    assert state is not None
    return state


def test_equal_members_take_turns() -> None:
    cluster = balancer(1, 1, 1)
    found = []
    for _ in range(6):
        state = chosen(cluster)
        state.begin()
        state.succeed()
        found.append(state.position)
    assert found == [0, 1, 2, 0, 1, 2]


@pytest.mark.row("LB-02")
def test_the_one_with_fewest_in_flight_is_next() -> None:
    cluster = balancer(1, 1, 1)
    cluster.states[0].in_flight = 2
    cluster.states[1].in_flight = 1
    assert chosen(cluster).position == 2
    cluster.states[2].in_flight = 5
    assert chosen(cluster).position == 1


def test_weights_share_what_is_in_flight() -> None:
    cluster = balancer(1, 3)
    for _ in range(40):
        chosen(cluster).begin()
    assert [state.in_flight for state in cluster.states] == [10, 30]


@pytest.mark.row("LB-04")
def test_back_off_doubles_up_to_a_minute() -> None:
    assert [back_off(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off(10**9) == 60


def test_a_failed_member_is_put_aside_and_tried_again() -> None:
    cluster = balancer(1, 1)
    bad = cluster.states[0]
    bad.begin()
    bad.fail(100.0)
    assert {chosen(cluster, 100.9).position for _ in range(4)} == {1}
    trial = chosen(cluster, 101.0)
    assert trial is bad
    trial.begin()
    # While one request finds out, the others go elsewhere.
    assert {chosen(cluster, 101.0).position for _ in range(4)} == {1}
    trial.fail(101.01)
    assert bad.failures == 2
    assert not {chosen(cluster, 103.0).position for _ in range(4)} & {0}
    assert {chosen(cluster, 103.02).position for _ in range(2)} == {0, 1}
    bad.begin()
    bad.succeed()
    assert bad.failures == 0
    assert {chosen(cluster, 103.02).position for _ in range(4)} == {0, 1}


def test_requests_that_fail_together_count_once() -> None:
    state = balancer(1, 1).states[0]
    for _ in range(50):
        state.begin()
    for _ in range(50):
        state.fail(10.0)
    assert (state.failures, state.in_flight, state.aside_until) == (1, 0, 11.0)


def test_all_aside_still_gives_one() -> None:
    cluster = balancer(1, 1)
    for number, state in enumerate(cluster.states):
        state.begin()
        state.fail(10.0 - number)
    assert chosen(cluster, 10.0) is cluster.states[1]


def test_fail_over_goes_to_those_not_tried() -> None:
    cluster = balancer(1, 1, 1)
    tried: list[MemberState] = []
    while (state := cluster.choose(0.0, tried)) is not None:
        tried.append(state)
    assert len(tried) == len(set(tried)) == 3


STEPS = st.lists(st.tuples(st.sampled_from(["ok", "fail", "end"]), st.floats(0, 5)), max_size=60)


@given(STEPS, st.integers(1, 5))
def test_nothing_stays_in_flight_and_somebody_is_always_chosen(steps: list[tuple[str, float]], count: int) -> None:
    cluster = balancer(*[1] * count)
    now = 0.0
    for how, later in steps:
        now += later
        state = chosen(cluster, now)
        others = [each for each in cluster.states if not each.is_aside(now) and each is not state]
        assert not others or state.is_on_trial or not state.is_aside(now)
        state.begin()
        if how == "ok":
            state.succeed()
        elif how == "fail":
            state.fail(now)
        else:
            state.end()
    assert all(state.in_flight == 0 for state in cluster.states)
