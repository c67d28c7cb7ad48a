"""The HTTP client: from a task to a request on the wire and back to its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from skitai.errors import ConnectionFailed, ConnectTimeout, ReadTimeout, SkitaiError, WriteTimeout
from skitai.was import _clients, _engine, _settings
from skitai.was._http_attempt import HttpAttempt
from skitai.was._http_pool import HttpPool, Origin
from skitai.was._http_result import HttpResult
from skitai.wire import urls
from skitai.wire.auth import Authorization, bearer, parse_challenges
from skitai.wire.client_certificate import ClientCertificate
from skitai.wire.fields import field_line
from skitai.wire.http1 import ResponseHead

if TYPE_CHECKING:
    from skitai.was._http_call import HttpCall
    from skitai.was._task import Task

_TIMEOUTS = (ConnectTimeout, ReadTimeout, WriteTimeout)


def start(task: Task) -> HttpRun:
    """Send the request of ``task``; see :mod:`skitai.was._clients`."""
    call = cast("HttpCall", task.call)
    default, cert = _settings.security(call.verify)
    http2 = _settings.current.http2 if call.http2 is None else call.http2
    if task.cluster is None:
        url = urls.parse_url(call.uri)
        origin = _origin(url.scheme, url.host, url.port, default, cert, http2)
        run = HttpRun(task, origin, url.target, url.authority)
    else:
        definition, state = task.cluster.definition, task.member
        assert state is not None
        if call.verify is None and definition.verify is not None:
            default = definition.verify
        cert = definition.cert or cert
        if call.http2 is None and definition.http2 is not None:
            http2 = definition.http2
        scheme = "https" if definition.tls else "http"
        host, port = state.member.host, state.member.port
        origin = _origin(scheme, host, port, default, cert, http2)
        run = HttpRun(task, origin, urls.quote_target(task.path), urls.authority(scheme, host, port))
    run.send()
    return run


_clients.table["http"] = start


def _origin(
    scheme: str, host: str, port: int, verify: bool | str, cert: ClientCertificate | None, http2: bool | None
) -> Origin:
    if scheme == "https":
        return Origin(scheme, host, port, verify, http2 is not False, cert)
    # What is not encrypted is not verified either: connections need not be kept apart for it.
    return Origin(scheme, host, port, True, http2 is True)


class HttpRun:
    """One task at one server: one attempt, or a second one for a stale connection and for a challenge."""

    __slots__ = (
        "_attempt", "_authority", "_call", "_has_authorized", "_has_repeated", "_origin", "_target", "_task",
        "_transaction",
    )  # fmt: skip

    def __init__(self, task: Task, origin: Origin, target: str, authority: str) -> None:
        self._task = task
        self._call = cast("HttpCall", task.call)
        self._origin = origin
        self._target = target
        self._authority = authority
        self._transaction = task.request.context.transaction_lines()
        self._has_repeated = False
        self._has_authorized = False
        self._attempt: HttpAttempt | None = None

    def send(self) -> None:
        """Send the request, at once when there is a connection for it."""
        try:
            head = self._head()
        except Exception as error:  # in a callback, after a challenge or for another member, nobody would hear of it
            self._task.fail(error, False, (self._origin.host, self._origin.port))
            return
        call = self._call
        self._attempt = attempt = HttpAttempt(
            self, call.method, head, call.body, call.timeout, _settings.current.total_time
        )
        engine = _engine.current()
        pool = engine.pools.get(self._origin)
        if pool is None:
            pool = engine.pools[self._origin] = HttpPool(engine, self._origin)
        pool.submit(attempt)

    def _head(self) -> bytes:
        """Return request line and header section. Raises when the credentials do not fit into a field."""
        call = self._call
        host = "" if call.lines.startswith("Host:") else field_line("Host", self._authority)
        more = "" if call.use_cache else _no_cache(call.lines)
        if call.auth is not None:
            more += self._authorization()
        head = f"{call.method} {self._target} HTTP/1.1\r\n{host}{call.lines}{self._transaction}{more}\r\n"
        return head.encode("latin-1")

    def poll(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        if self._attempt is not None:
            self._attempt.poll()

    def cancel(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        self._has_repeated = True
        if self._attempt is not None:
            self._attempt.cancel()

    # As the asker of an attempt

    def attempt_answered(self, attempt: HttpAttempt, head: ResponseHead, content: bytes) -> None:
        """The answer is complete: hand it on, or answer its challenge."""
        task, call = self._task, self._call
        node = (self._origin.host, self._origin.port)
        if head.status == 401 and call.auth is not None and self._answer_challenge(head):
            self.send()
            return
        assert issubclass(call.result, HttpResult)
        try:
            result = call.result.answered(call, node, head, content)
        except SkitaiError as error:
            result = call.result.failed(call, node, error)
        task.succeed(result)

    def attempt_failed(self, attempt: HttpAttempt, error: Exception) -> None:
        """There is no answer: send again where that is safe, or give up."""
        can_repeat = not attempt.was_sent or self._call.can_repeat
        if can_repeat and not self._has_repeated and self._was_stale(attempt, error):
            self._has_repeated = True
            pool = _engine.current().pools.get(self._origin)
            if pool is not None:
                pool.drop_idle()
            self.send()
            return
        self._task.fail(error, can_repeat, (self._origin.host, self._origin.port))

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._task.break_off(error)

    def _was_stale(self, attempt: HttpAttempt, error: Exception) -> bool:
        """The server closed a kept connection while our request was under way (RFC 9112 section 9.3.1)."""
        return (
            attempt.was_on_kept
            and not attempt.was_answered
            and isinstance(error, ConnectionFailed)
            and not isinstance(error, _TIMEOUTS)
        )

    # Credentials

    def _authorization(self) -> str:
        credentials = self._call.auth
        assert credentials is not None
        if credentials.user is None:
            return field_line("Authorization", bearer(credentials.secret))
        known = _engine.current().authorizations.get((self._origin, credentials.user))
        if known is None:
            return ""
        value = known.value(credentials.user, credentials.secret, self._call.method, self._target)
        return field_line("Authorization", value)

    def _answer_challenge(self, head: ResponseHead) -> bool:
        """Choose how to authorize; return whether the request should be sent again with that."""
        call = self._call
        credentials = call.auth
        if credentials is None or credentials.user is None or self._has_authorized:
            return False
        self._has_authorized = True
        values = [value for name, value in head.fields if name.lower() == "www-authenticate"]
        chosen = Authorization.choose(parse_challenges(values))
        if chosen is None:
            return False
        known = _engine.current().authorizations
        before = known.get((self._origin, credentials.user))
        if len(known) > 1_000:
            known.clear()
        known[self._origin, credentials.user] = chosen
        if before is not None and before.is_basic and chosen.is_basic:
            return False  # the same password would be sent again
        return isinstance(call.body, bytes) or call.body.can_repeat


def _no_cache(lines: str) -> str:
    return "" if "\r\ncache-control:" in "\r\n" + lines.lower() else "Cache-Control: no-cache\r\n"
