"""What the test client leaves behind: nothing."""

from __future__ import annotations

import gevent

from skitai.was._context import current, wasc


def test_the_request_is_over_when_the_client_has_its_answer(app) -> None:
    seen = []

    @app.route("/")
    def page(was):
        seen.append((was, current()))
        return ""

    def visit() -> object:
        before = current()
        app.test_client().get("/")
        assert current() is before
        return before

    visit()
    assert gevent.spawn(visit).get() is wasc
    assert all(given is found for given, found in seen)
