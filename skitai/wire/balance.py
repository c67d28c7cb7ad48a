"""Which member of a cluster gets the next request. Decisions only: the clock is an argument.

Among the members that are not put aside, the one with the fewest requests in flight (per weight) is chosen; equal ones
take turns. A member that cannot be reached is put aside for one second, twice as long each time it fails again, a
minute at most, and is then tried again by one request. When all are put aside, the one whose time is over first is
tried.
"""

from __future__ import annotations

from collections.abc import Container

from skitai.wire.clusters import Member

FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 60.0


class MemberState:
    """What is known about one member at the moment."""

    __slots__ = ("aside_until", "failures", "in_flight", "is_on_trial", "member", "position")

    def __init__(self, member: Member, position: int) -> None:
        self.member = member
        self.position = position
        self.in_flight = 0
        self.failures = 0
        self.aside_until = 0.0
        self.is_on_trial = False

    def is_aside(self, now: float) -> bool:
        """Whether requests should rather go to others at the monotonic time ``now``."""
        return self.aside_until > now

    def begin(self) -> None:
        """A request is on its way to this member; call :meth:`succeed`, :meth:`fail` or :meth:`end` once for it."""
        self.in_flight += 1

    def end(self) -> None:
        """The request ended in a way that says nothing about the member."""
        self.in_flight -= 1

    def succeed(self) -> None:
        """The member answered: whatever was held against it is forgotten."""
        self.in_flight -= 1
        if self.failures:
            self.failures = 0
            self.aside_until = 0.0
            self.is_on_trial = False

    def fail(self, now: float) -> None:
        """The network failed between us and the member.

        Requests that were under way together fail together; while it is aside they count as one failure.
        """
        self.in_flight -= 1
        if self.is_aside(now) and not self.is_on_trial:
            return
        self.is_on_trial = False
        self.failures += 1
        self.aside_until = now + back_off(self.failures)

    def __repr__(self) -> str:
        return f"<{self.member!r} {self.in_flight} in flight, {self.failures} failures>"


def back_off(failures: int) -> float:
    """Return for how many seconds a member is put aside after so many failures in a row."""
    # 2 ** 6 is past the longest, and the power of a number that nobody bounds would be a large integer.
    return min(FIRST_BACK_OFF * 2.0 ** min(failures - 1, 6), LONGEST_BACK_OFF)


class Balancer:
    """The members of one cluster and whose turn it is."""

    def __init__(self, members: tuple[Member, ...]) -> None:
        self.states = [MemberState(member, position) for position, member in enumerate(members)]
        self._turn = 0

    def choose(self, now: float, tried: Container[MemberState] = ()) -> MemberState | None:
        """Return the member for the next request, not one of ``tried``; ``None`` when all were tried.

        One that comes back from being put aside is given to one request only: its time is moved on, so that the
        others find out from that request how it is.
        """
        states = [state for state in self.states if state not in tried]
        if not states:
            return None
        live = [state for state in states if state.aside_until <= now]
        if not live:
            return min(states, key=lambda state: state.aside_until)
        chosen = live[0] if len(live) == 1 else self._least_busy(live)
        if chosen.failures:
            chosen.is_on_trial = True
            chosen.aside_until = now + back_off(chosen.failures)
        return chosen

    def _least_busy(self, live: list[MemberState]) -> MemberState:
        count = len(self.states)
        turn = self._turn
        chosen = min(live, key=lambda s: (s.in_flight / s.member.weight, (s.position - turn) % count))
        self._turn = chosen.position + 1
        return chosen

    def __repr__(self) -> str:
        return f"<Balancer {self.states}>"
