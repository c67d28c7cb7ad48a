"""When a loop that stands still is reported, with a clock of our own."""

from __future__ import annotations

from skitai.net.watchdog import REPORT_EVERY, Watchdog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_reports_once_for_each_time_that_the_loop_stands_still() -> None:
    clock, said = Clock(), list[str]()
    watchdog = Watchdog(1.0, said.append, lambda frame: f"GET /{frame.f_code.co_name}", clock)
    for clock.now in (0.5, 1.0, 1.2):
        watchdog.look()
    assert said == []
    for clock.now in (1.3, 1.6, 5.0):
        watchdog.look()
    (text,) = said
    assert text.startswith("the loop is held by GET /look for 1.3 s now")  # the innermost frame
    assert "watchdog.look()" in text
    watchdog._turned()
    watchdog.look()
    assert said[1:] == ["the loop goes on after 5.0 s"]
    watchdog.look()
    assert len(said) == 2


def test_reports_that_follow_each_other_are_counted() -> None:
    clock, said = Clock(), list[str]()
    watchdog = Watchdog(1.0, said.append, clock=clock)

    def stand_still() -> None:
        clock.now += 2.0
        watchdog.look()
        watchdog._turned()
        watchdog.look()

    for _ in range(3):
        stand_still()
    assert [text.split(":")[0] for text in said] == [
        "the loop is held for 2.0 s now, and all other requests wait",
        "the loop goes on after 2.0 s",
    ]
    clock.now += REPORT_EVERY
    watchdog._turned()
    stand_still()
    assert "(2 times more since the last report)" in said[2]


def test_one_that_was_stopped_says_nothing() -> None:
    clock, said = Clock(), list[str]()
    watchdog = Watchdog(1.0, said.append, clock=clock)
    watchdog.stop()
    clock.now = 100.0
    watchdog.look()
    assert said == []
