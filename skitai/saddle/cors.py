"""Cross-origin requests (Fetch, section "CORS protocol"): which pages of other sites may call the functions of an app.

A browser says in Origin from where a page asks. With ``access_control_allow_origin`` unset that must be the host that
is asked; else it must be one that is named there, and the response says so. A preflight, which asks whether a request
may be made at all, is answered here for routes that list OPTIONS, and their functions are not called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skitai.saddle.auth import is_guarded
from skitai.saddle.endpoint import Endpoint
from skitai.saddle.errors import BadRequest, HttpError, MethodNotAllowed, SetupError
from skitai.saddle.table import METHODS
from skitai.wire.origins import is_same_host, read_origin

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.endpoint import Guard
    from skitai.saddle.routes import Route
    from skitai.saddle.service import Was

ANYONE = "*"
ALLOW_ORIGIN, MAX_AGE = "access_control_allow_origin", "access_control_max_age"

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_is_list_of_names = re.compile(rf"(?:[ \t]*{_TOKEN}[ \t]*(?:,|$))*").fullmatch
_is_method = re.compile(_TOKEN).fullmatch


def guard(app: Saddle, route: Route, method: str) -> Guard | None:
    """See :mod:`skitai.saddle.guards`.

    Raises:
        SetupError: an origin is none, or the age is no number of seconds.
    """
    policy = Policy(app, route)
    return policy.answer_options if method == "OPTIONS" else policy.check_request if policy.origins else SameHost()


class SameHost:
    """The guard where nothing was allowed: pages of the host itself only."""

    #: Requests without Origin need not come here.
    is_for_origins = True

    def __call__(self, was: Was) -> None:
        origin = was.exchange.header("origin")
        if origin is not None and not _is_same_host(origin, was):
            raise _forbidden(origin, was)


class Policy:
    """What the app, or a route for itself, says about other origins.

    Args:
        app: of the route. route: whose options go before what the app says.

    Attributes:
        origins: that may ask, in lower case; empty when only the own host may. max_age: seconds for which browsers may
            keep the answer to a preflight, 0 when nothing is said.
    """

    def __init__(self, app: Saddle, route: Route) -> None:
        self.route = route
        self.origins = _origins(route.options.get(ALLOW_ORIGIN, app.access_control_allow_origin))
        self.max_age = route.options.get(MAX_AGE, app.access_control_max_age)
        self.has_login = is_guarded(app, route)
        if not isinstance(self.max_age, int) or self.max_age < 0:
            raise SetupError(f"{MAX_AGE} is a number of seconds, not {self.max_age!r}")

    def check_request(self, was: Was) -> None:
        """The guard for all methods but OPTIONS: refuse an origin that is not allowed, or tell that it is.

        Raises:
            HttpError: 403.
        """
        origin = was.exchange.header("origin")
        if ANYONE in self.origins:
            was.add_extra_field("Access-Control-Allow-Origin", ANYONE)
        else:
            if self.origins:
                # Also without an Origin: a cache must not give this response to a page that has one.
                was.add_extra_field("Vary", "Origin")
            if origin is None:
                return
            if origin.lower() in self.origins:
                was.add_extra_field("Access-Control-Allow-Origin", origin)
            elif not _is_same_host(origin, was):
                raise _forbidden(origin, was)
        if origin is not None and self.has_login and self.origins:
            was.add_extra_field("Access-Control-Allow-Credentials", "true")

    def answer_options(self, was: Was) -> bytes | None:
        """The guard for OPTIONS: answer a preflight, and let anything else pass as a request.

        Raises:
            HttpError: 403, also for the origin of a preflight. MethodNotAllowed: the method that is asked for is none
                of the route. BadRequest: the preflight is malformed.
        """
        method = was.exchange.header("access-control-request-method")
        if method is None or was.exchange.header("origin") is None:
            self.check_request(was)
            return None
        if not _is_method(method):
            raise BadRequest("what the preflight asks for is no method")
        policy = self._policy_of(was, method)
        policy.check_request(was)
        policy.allow(was)
        return b""

    def allow(self, was: Was) -> None:
        """Tell what a request may have. Raises BadRequest when the names of header fields are none."""
        was.response.set_header("Access-Control-Allow-Methods", ", ".join(self._methods))
        asked = was.exchange.header("access-control-request-headers")
        if asked:
            if not _is_list_of_names(asked):
                raise BadRequest("what the preflight asks for are no header fields")
            was.response.set_header("Access-Control-Allow-Headers", asked)
        if self.max_age:
            was.response.set_header("Access-Control-Max-Age", str(self.max_age))

    @property
    def _methods(self) -> list[str]:
        """The methods of the route, in the order in which they were listed."""
        given = self.route.options.get("methods") or METHODS
        return [each.upper() for each in ([given] if isinstance(given, str) else given)]

    def _policy_of(self, was: Was, method: str) -> Policy:
        """Return the policy of the function that the request itself would come to: another one may share the rule."""
        if not self.route.methods or method in self.route.methods:
            return self
        target, _ = was.app.table.find(was.path, method)
        endpoints = [target] if isinstance(target, Endpoint) else target.endpoints
        for endpoint in endpoints:
            if "OPTIONS" in endpoint.route.methods:
                return Policy(was.app, endpoint.route)
        raise MethodNotAllowed(self._methods)


def _origins(given: str | Iterable[str] | None) -> frozenset[str]:
    """Return the origins in a setting.

    Raises:
        SetupError: one is none.
    """
    origins = [given] if isinstance(given, str) else list(given or ())
    for origin in origins:
        if origin not in (ANYONE, "null") and not (isinstance(origin, str) and read_origin(origin.lower())):
            raise SetupError(
                f"{ALLOW_ORIGIN} is '*', an origin as 'https://example.com:8080' without a path, or a list of them; "
                f"{origin!r} is none"
            )
    return frozenset(origin.lower() for origin in origins)


def _is_same_host(origin: str, was: Was) -> bool:
    header = was.exchange.header
    return is_same_host(origin, header("host") or "", header("sec-fetch-site"))


def _forbidden(origin: str, was: Was) -> HttpError:
    # The host is named for those whose proxy does not pass it on, and who wonder why their own pages are refused.
    return HttpError(403, f"pages of {origin!r} may not ask here, at {was.exchange.header('host', '')!r}")
