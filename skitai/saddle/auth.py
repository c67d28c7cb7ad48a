"""Who may call the functions of an app: ``app.authenticate`` for all, ``@app.route(..., authenticate=True)`` for one.

``part.authenticate`` does it for the functions of a part and of those in it.

A guard asks for a login by Basic (RFC 7617) or Digest (RFC 7616), as ``app.authorization`` says, and lets nobody in
when it cannot check one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from skitai.constants import WS_EVT_INIT
from skitai.net import logs
from skitai.saddle import options
from skitai.saddle.accounts import NOBODY, Account, User
from skitai.saddle.errors import SetupError
from skitai.saddle.nonces import Nonces
from skitai.wire.fields import Fields
from skitai.wire.logins import ALGORITHMS, BasicLogin, DigestLogin, parse_login, quoted
from skitai.wire.target import split_target

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.endpoint import Guard
    from skitai.saddle.routes import Route
    from skitai.saddle.service import Was

BASIC, DIGEST = "basic", "digest"

#: Users that are looked through for how their passwords are kept.
_MOST_LOOKED_AT = 100

_nonces = Nonces()


def guard(app: Saddle, route: Route, method: str) -> Guard | None:
    """See :mod:`skitai.saddle.guards`.

    Raises:
        SetupError: ``app.authorization`` is not known.
    """
    if not is_guarded(app, route):
        return None
    if app.authorization not in (BASIC, DIGEST):
        raise SetupError(f"app.authorization is 'digest' or 'basic', not {app.authorization!r}")
    if method == "OPTIONS":
        # Browsers send no login with a preflight. A function that was not written for OPTIONS alone must not run.
        return None if route.methods == {"OPTIONS"} else options.answer
    return _ask_for_login


def is_guarded(app: Saddle, route: Route) -> bool:
    """Tell whether a route needs a login. ``authenticate=False`` does not lift what the app or a part says."""
    return bool(app.authenticate or route.options.get("authenticate") or any(part.authenticate for part in route.chain))


def complain(app: Saddle) -> None:
    """Log an error when an app asks for logins and has nothing to check them by: everyone gets 401 then."""
    if not any(is_guarded(app, route) for route in app.all_routes()):
        return
    missing = []
    if not app.realm:
        missing.append('app.realm = "..."')
    if not _has_users(app):
        missing.append('app.users = {"name": "password"}')
    if missing:
        names = f"{app.name or app.packagename} asks for logins, but nobody can log in"
        logs.current().app.log(f"{names}: set {' and '.join(missing)}", "error", "auth")


def _has_users(app: Saddle) -> bool:
    users = app.users
    return callable(getattr(users, "get", None)) and not (isinstance(users, Mapping) and not users)


def _ask_for_login(was: Was) -> Any:
    """The guard of a route that needs a login."""
    if isinstance(was.request.user, User):
        return None  # another call of the same request asked for it, and its count is good once
    value = was.exchange.header("authorization")
    if value is None:
        # Some browsers send no login with the handshake of a WebSocket, and have no way to ask their user.
        return None if was.event == WS_EVT_INIT else _refuse(was)
    login = parse_login(value)
    app = was.app
    if login is None or isinstance(login, BasicLogin) != (app.authorization == BASIC):
        return _refuse(was, "a login that is malformed or not of the kind that was asked for")
    if not app.realm or not _has_users(app):
        return _refuse(was, "a login, but the app has no realm or no users")
    entry = app.users.get(login.user)
    account = NOBODY if entry is None else Account.of(entry)
    if not account.is_proved(login, app.realm, was.exchange.method) or entry is None:
        if isinstance(login, DigestLogin) and login.algorithm != ALGORITHMS[-1] and len(_kept_by(app)) > 1:
            # Passwords of some users may be encrypted by the other algorithm. Everybody is asked for it, in the words
            # that make a browser try again by itself: whether there is such a user must not be seen.
            why = f"a login of {login.user!r} that is wrong, or by an algorithm that cannot be checked"
            return _refuse(was, why, ALGORITHMS[-1:], is_stale=True)
        return _refuse(was, f"a wrong user or password for {login.user!r}")
    if isinstance(login, DigestLogin):
        if login.realm != app.realm or not _is_target(login.uri, was.exchange.target):
            return _refuse(was, f"a login of {login.user!r} that is for something else")
        if not _nonces.use(login.nonce, app.realm, login.count):
            return _refuse(was, f"a login of {login.user!r} by a nonce that is stale or replayed", is_stale=True)
    was.request.user = User(login.user, app.realm, account.info)
    was.exchange.user = login.user
    return None


def _is_target(uri: str, target: str) -> bool:
    """Tell whether a login is for this request. Some clients send the whole URL in one place and not in the other."""
    return uri == target or split_target(uri) == split_target(target)


def _algorithms(app: Saddle) -> Iterable[str]:
    """Return what Digest is offered by: encrypted passwords can be checked by one algorithm only."""
    kept = _kept_by(app)
    return ALGORITHMS if len(kept) != 1 else tuple(kept)


def _kept_by(app: Saddle) -> frozenset[str]:
    """Return by which algorithms passwords are encrypted: of all users, so that it says nothing of one of them.

    Where users cannot be looked through, as in a database, it may be any.
    """
    users = app.users
    if not isinstance(users, Mapping) or len(users) > _MOST_LOOKED_AT:
        return frozenset(ALGORITHMS)
    found: set[str] = set()
    for entry in users.values():
        with suppress(SetupError):  # said when its user comes; the others need not suffer for it
            algorithm = Account.of(entry).algorithm
            found |= {algorithm} if algorithm is not None else set()
    return frozenset(found)


def _refuse(was: Was, why: str = "", algorithms: Iterable[str] | None = None, is_stale: bool = False) -> Any:
    """Return a 401 with its challenges.

    Args:
        why: what came, for the log; nothing is logged for a client that has not been asked before.
        algorithms: in place of those that are offered to all.
    """
    if why:
        request = f"{was.exchange.method} {was.exchange.target}"
        address = was.exchange.peer[0]
        logs.current().app.log(f"401 for {request} from {address}: {why}", "warn", was.log_tag)
    return was.response("401 Unauthorized", headers=_challenges(was.app, algorithms, is_stale))


def _challenges(app: Saddle, algorithms: Iterable[str] | None, is_stale: bool) -> Fields:
    # Without a realm nobody gets in, and a challenge must have one all the same.
    realm = app.realm or ""
    sent = quoted(realm.encode().decode("latin-1"))
    if app.authorization == BASIC:
        return [("WWW-Authenticate", f'Basic realm={sent}, charset="UTF-8"')]
    # The same nonce in both: requests puts the pieces of several challenges together.
    nonce = _nonces.make(realm)
    common = f'Digest realm={sent}, qop="auth", nonce="{nonce}", opaque="{nonce[-16:]}", charset=UTF-8'
    stale = ", stale=true" if is_stale else ""
    offered = _algorithms(app) if algorithms is None else algorithms
    return [("WWW-Authenticate", f"{common}, algorithm={algorithm}{stale}") for algorithm in offered]
