"""What a part does around each of its functions, and when its app starts and ends.

    try:
        try:
            content = before_request(was)
            if content:
                return content
            content = function(was, ...)
        except:
            content = failed_request(was, sys.exc_info())
            if content is None:
                raise
        else:
            finish_request(was)
    finally:
        teardown_request(was)
    return content

The hooks of an app nest around those of the part that a function is in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skitai.saddle.contents import discard

Hook = Callable[..., Any]
#: Runs what a request is routed to and returns its content; takes ``was``.
Run = Callable[[Any], Any]


@dataclass
class Hooks:
    """The hooks of one part; of each kind the one that was registered last."""

    before_request: Hook | None = None
    finish_request: Hook | None = None
    failed_request: Hook | None = None
    teardown_request: Hook | None = None
    startup: Hook | None = None
    onreload: Hook | None = None
    shutdown: Hook | None = None
    got_template: Hook | None = None
    template_rendered: Hook | None = None

    @property
    def is_around_requests(self) -> bool:
        """Whether there is one that runs for each request."""
        return bool(self.before_request or self.finish_request or self.failed_request or self.teardown_request)

    def around(self, run: Run) -> Run:
        """Return ``run`` with these hooks around it, as the head of this module shows."""
        return _around(self, run) if self.is_around_requests else run


def _around(hooks: Hooks, run: Run) -> Run:
    before, finish = hooks.before_request, hooks.finish_request
    failed, teardown = hooks.failed_request, hooks.teardown_request

    def run_with_hooks(was: Any) -> Any:
        content = None
        try:
            try:
                content = before(was) if before is not None else None
                if content:
                    return content
                content = run(was)
            except Exception:
                content = failed(was, sys.exc_info()) if failed is not None else None
                if content is None:
                    raise
            else:
                if finish is not None:
                    finish(was)
        except BaseException:
            discard(content)
            content = None
            raise
        finally:
            if teardown is not None:
                _tear_down(teardown, was, content)
        return content

    return run_with_hooks


def _tear_down(teardown: Hook, was: Any, content: Any) -> None:
    try:
        teardown(was)
    except BaseException:
        discard(content)
        raise
