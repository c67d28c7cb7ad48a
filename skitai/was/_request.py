"""A request under way: what a service returns at once, and what its result is asked of later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.hub import Waiter
from greenlet import getcurrent

from skitai.net import faults, logs
from skitai.net import pool as workers
from skitai.was import _cache, _callback, _clusters
from skitai.was._results import Results
from skitai.was._task import Task
from skitai.wire import outcomes
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._context import Context
    from skitai.was._result import Result

#: Seconds that a wait takes at most when it does not say.
WAIT = 5.0


class Request:
    """One call of a service, begun when it was made.

    Waiting never ends the work: what nobody waits for any longer completes all the same, and gives its connection back.

    Args:
        context: the ``was`` that was called.
        call: what it was asked for.
    """

    __slots__ = (
        "_cache_time", "_done", "_handed", "_hub", "_left", "_results", "_tasks", "_waiters", "call", "context",
        "created",
    )  # fmt: skip

    def __init__(self, context: Context, call: Call) -> None:
        self.context = context
        self.call = call
        self.created = time.monotonic()
        self._hub = get_hub()
        self._tasks: list[Task] = []
        self._left = 0
        self._waiters: list[Waiter[bool]] = []
        self._done: tuple[Result, ...] | None = None
        self._handed: tuple[Result, ...] | None = None
        self._results: Results | None = None
        self._cache_time = 0.0

    # Beginning: one of these, once

    def start(self) -> Request:
        """Send it to where its URI points; never blocks.

        Raises:
            UnknownAlias: there is no such cluster.
        """
        call = self.call
        if call.uri[:1] != "@":
            self._tasks = [Task(self)]
        else:
            name, path = _clusters.split(call.uri)
            cluster = _clusters.find(name)
            if call.is_map:
                self._tasks = [Task(self, cluster, path, member) for member in cluster.balancer.states]
            else:
                self._tasks = [Task(self, cluster, path)]
        self._left = len(self._tasks)
        for task in self._tasks:
            task.start()
        return self

    def settle(self, results: tuple[Result, ...]) -> Request:
        """Take results that are there already: from the cache, or of a call that could not be made."""
        faults.guarded(self.call.close)
        if self.call.callback is not None:
            workers.spawn(self._call_back, results)
        else:
            self._hand(results)
        return self

    # Waiting

    def getwait(self, timeout: float | None = WAIT, reraise: bool = False) -> Result:
        """Return the result; the second time, the same one.

        Args:
            timeout: seconds from the creation of the request, not from now; a result that is there is returned even
                when they have passed. ``None`` waits for as long as the work takes.
            reraise: raise when the status is not 3.

        Raises:
            ValueError: a map has several results: use :meth:`getswait`.
            RuntimeError: the request has a callback, or another native thread made it.
        """
        if self.call.is_map:
            raise ValueError("Multiple Results, Use getswait")
        result = self._obtain(timeout)[0]
        if reraise:
            result.reraise()
        return result

    def getswait(self, timeout: float | None = WAIT, reraise: bool = False) -> Results:
        """Return the results of all members, or the only one in a list. See :meth:`getwait`.

        With ``reraise``, raises as the first result does whose status is not 3.
        """
        found = self._obtain(timeout)
        if self._results is None:
            self._results = Results(self.call, found)
        if reraise:
            self._results.reraise()
        return self._results

    def wait(self, timeout: float | None = WAIT, reraise: bool = True) -> None:
        """Wait and return nothing; raise when a status is not 3, unless ``reraise`` is False. See :meth:`getwait`."""
        for result in self._obtain(timeout):
            if reraise:
                result.reraise()

    def cache(self, timeout: float = 300) -> None:
        """Give what was obtained to identical calls of the next ``timeout`` seconds; ignored when a status is not 3.

        After a wait that timed out, the late answer is kept when it comes.

        Raises:
            ValueError: nothing was waited for yet.
        """
        if self._handed is None:
            raise ValueError("call getwait, getswait first")
        if all(result.status == outcomes.NORMAL for result in self._handed):
            _cache.results.store(self.call.key, self._handed, timeout)
        elif self._left:
            self._cache_time = timeout
        elif any(result.status == outcomes.TIMED_OUT for result in self._handed):
            self._store_late(timeout)

    def cancel(self) -> None:
        """End the work: nobody wants the answer any more. Does nothing when it is there already.

        A database is asked to end the statement, a connection to an HTTP server is closed. The result has status 2.
        """
        for task in self._tasks:
            task.cancel()

    # How it is

    @property
    def is_done(self) -> bool:
        """Whether all answers are there, or are known never to come."""
        return not self._left

    @property
    def status(self) -> int:
        """0 while nothing is known, else the status of the result; of several, the first that is not 3."""
        statuses = [result.status for result in self._known()]
        return next((status for status in statuses if status != outcomes.NORMAL), outcomes.NORMAL if statuses else 0)

    @property
    def code(self) -> int | list[int]:
        """The code of the result, for a map of each; 0 while nothing is known."""
        codes = [result.code for result in self._known()]
        if not codes:
            return 0
        return codes if self.call.is_map else codes[0]

    status_code = code

    # For tasks

    def task_done(self) -> None:
        """One more task has its result."""
        self._left -= 1
        if self._left > 0:
            return
        # What is not ours (a file of the caller, an object that the cache cannot copy) must not keep the result back.
        faults.guarded(self.call.close)
        self._done = done = self._collect()
        # Tasks know their request: without this cycle an ended request goes at once, not when the garbage collector
        # comes. On the fan-out page of `benchmarks/`, cycles cost 40 % of the time of the process.
        self._tasks = []
        if self._cache_time > 0:
            faults.guarded(self._store_late, self._cache_time)
        if self.call.callback is not None:
            workers.spawn(self._call_back, done)
        elif self._waiters:
            self._wake()

    # Internals

    def _obtain(self, timeout: float | None) -> tuple[Result, ...]:
        if self.call.callback is not None:
            raise RuntimeError("this request has a callback, which gets the result: nobody can wait for it")
        if self._handed is not None:
            return self._handed
        if self._left:
            self._wait(timeout)
        return self._hand(self._done or self._collect())

    def _wait(self, timeout: float | None) -> None:
        hub = get_hub()
        if hub is not self._hub:
            raise RuntimeError("a request can be waited for only in the native thread that made it")
        remaining = None if timeout is None else self.created + timeout - time.monotonic()
        if remaining is not None and remaining <= 0:
            self._look_once()
            return
        waiter: Waiter[bool] = Waiter(hub)
        self._waiters.append(waiter)
        timer = None
        if remaining is not None:
            timer = hub.loop.timer(remaining)
            timer.start(waiter.switch, False)
        try:
            waiter.get()
        finally:
            if timer is not None:
                timer.close()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if self._left:
            self._look_once()

    def _look_once(self) -> None:
        """Time is over, but an answer may have arrived while this process computed."""
        for task in self._tasks:
            task.poll()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        hub = self._hub
        if getcurrent() is hub and len(waiters) == 1:
            waiters[0].switch(True)  # straight on: saves a turn of the loop
            return
        for waiter in waiters:
            hub.loop.run_callback(waiter.switch, True)

    def _collect(self) -> tuple[Result, ...]:
        call = self.call
        return tuple([task.result or call.result.timed_out(call, task.node) for task in self._tasks])

    def _hand(self, results: tuple[Result, ...]) -> tuple[Result, ...]:
        if self._handed is None:  # else another greenlet waited for the same, and has them
            if self.call.filter is not None:
                for result in results:
                    result.before_filter()
                    self.call.filter(result)
            self._handed = results
        return self._handed

    def _known(self) -> tuple[Result, ...]:
        if self._handed is not None:
            return self._handed
        return self._done or ()

    def _store_late(self, timeout: float) -> None:
        results = self._done or ()
        if results and all(result.status == outcomes.NORMAL for result in results):
            _cache.results.store(self.call.key, results, timeout)

    def _call_back(self, results: tuple[Result, ...]) -> None:
        try:
            self.context.activate()
            try:
                result = self._hand(results)[0]
            except Exception as error:  # of the filter: without a word the callback would be waited for in vain
                faults.report(error, self.context.log_tag)
                result = self.call.result.failed(self.call, results[0].node, error)
            _callback.invoke(self.call.callback, result)
        except BaseException as error:  # a Timeout of gevent and sys.exit() too: it is the end of this call only
            faults.report(error, self.context.log_tag)
            faults.reraise_end(error)

    def __repr__(self) -> str:
        state = f"waiting for {self._left}" if self._left else f"status={self.status}"
        return f"<Request {self.call.name} {mask(self.call.uri)} {state}>"


def refused(context: Context, call: Call, error: Exception) -> Request:
    """Return a request for a call that could not be made: status 2, code 731. It is logged."""
    logs.current().app.log(f"Request Failed: was.{call.name} {mask(call.uri)}: {error}", "error", context.log_tag)
    result = call.result.failed(call, None, error, outcomes.REQUEST_FAILED)
    return Request(context, call).settle((result,))


def make(context: Context, call: Call) -> Any:
    """Return the request for ``call``: answered by the cache, or sent."""
    kept = _cache.results.find(call)
    request = Request(context, call)
    return request.start() if kept is None else request.settle(kept)
