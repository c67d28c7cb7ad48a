"""What clients do wrong is logged a bounded number of times."""

from __future__ import annotations

import io
from typing import Any

import pytest

from skitai.hub.complaints import MOST, Complaints
from skitai.net.logs import LogFile, Logger
from skitai.net.timers import sweep


@pytest.fixture
def log() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def complain(log: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> Complaints:
    monkeypatch.setattr(sweep, "now", 1_000.0)

    def sink(data: bytes) -> None:
        log.write(data)

    return Complaints(Logger(LogFile(sink=sink, batched=False)))


def test_the_first_ones_are_written_and_the_others_are_counted(complain: Complaints, log: io.BytesIO) -> None:
    for number in range(1_000):
        complain("some kind", f"line {number}.")
    complain("another kind", "this is heard")
    complain.tick()
    text = log.getvalue().decode()
    assert f"line {MOST - 1}." in text and f"line {MOST}." not in text
    assert "this is heard" in text and "left out" not in text
    sweep.now += MOST
    complain.tick()
    complain("some kind", "again")
    lines = log.getvalue().decode().splitlines()
    assert f"{1_000 - MOST} more lines about clients were left out: some kind" in lines[-2]
    assert lines[-1].endswith("again")
    complain.close()
    assert len(log.getvalue().decode().splitlines()) == len(lines)


def test_a_flood_that_goes_on_is_heard_of_once_a_second(complain: Complaints, log: io.BytesIO) -> None:
    for _ in range(60):
        for _ in range(100):
            complain("some kind", "line")
        sweep.now += 1
        complain.tick()
    complain.close()
    lines = log.getvalue().decode().splitlines()
    assert len(lines) == MOST + 59 + 1
    assert "more lines about clients" in lines[-1]


def test_a_flood_of_refused_requests(serve: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    server = serve(app)
    for _ in range(2 * MOST):
        assert server.get("/" + "a" * 9_000).status == 414
    assert server.messages_text().count("refused") <= MOST + 3
