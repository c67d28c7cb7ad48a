"""Whether a user exists cannot be told from what a wrong login gets: not by the answer, not by the work behind it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from skitai.saddle import accounts
from skitai.saddle.accounts import NOBODY, Account
from skitai.wire.auth import Authorization, basic, parse_challenges
from skitai.wire.logins import account_hash

REALM = "here"


def kept(algorithm: str, user: str) -> tuple[str, bool]:
    return account_hash(algorithm, user, REALM, "right"), True


class Collection:
    """Users that cannot be looked through."""

    def __init__(self, users: dict[str, Any]) -> None:
        self._users = users

    def get(self, name: str) -> Any:
        return self._users.get(name)


PLAIN = {"plain": "right", "other": "right"}
MD5 = {"md5": kept("MD5", "md5")}
SHA = {"sha": kept("SHA-256", "sha")}
USERS = {
    "plain": PLAIN, "MD5": MD5, "SHA-256": SHA, "plain and MD5": PLAIN | MD5, "MD5 and plain": MD5 | PLAIN,
    "SHA-256 and MD5": SHA | MD5, "all": PLAIN | SHA | MD5, "a collection": Collection(PLAIN | SHA | MD5),
    "a collection of MD5": Collection(MD5),
}  # fmt: skip
NAMES = ["plain", "md5", "sha", "nobody", "Plain", "", "plain2", "n" * 500, "é", "a:b"]


def guarded(app: Any, users: Any, kind: str) -> Any:
    app.authorization, app.realm, app.users, app.authenticate = kind, REALM, users, True
    app.route("/")(lambda was: "let in")
    return app


def shown(answer: Any) -> tuple[int, str, list[str]]:
    """All that a client sees, without what is new in each answer: its number, its time and the nonce."""
    fields = [
        re.sub(r'(nonce|opaque)="[^"]*"', r"\1", f"{name}: {value}")
        for name, value in answer.fields
        if name not in ("Date", "Content-Length")
    ]
    return answer.status, re.sub(r"GTID-\S+|Time: [^<]*", "", answer.text), fields


@pytest.mark.parametrize("kind", ["basic", "digest"])
@pytest.mark.parametrize("users", USERS)
def test_the_answer_is_the_same(app: Any, visit: Any, kind: str, users: str) -> None:
    client = visit(guarded(app, USERS[users], kind))
    for algorithm in ("MD5", "SHA-256") if kind == "digest" else ("",):
        answers = []
        for name in NAMES:
            if kind == "basic":
                value = basic(name.replace(":", ""), "wrong")
            else:
                (challenge,) = parse_challenges([_challenge(client, algorithm)])
                value = Authorization(challenge).value(name, "wrong", "GET", "/")
            answers.append(shown(client.get("/", headers={"Authorization": value})))
        assert answers == [answers[0]] * len(NAMES)
        assert answers[0][0] == 401


def _challenge(client: Any, algorithm: str) -> str:
    """A challenge of the app, for whatever algorithm a client would rather use."""
    value = next(value for name, value in client.get("/").fields if name.lower() == "www-authenticate")
    return re.sub(r"algorithm=[A-Z0-9-]+", f"algorithm={algorithm}", value)


@pytest.mark.parametrize("users", USERS)
def test_who_knows_the_password_gets_in(app: Any, visit: Any, users: str) -> None:
    """As a browser does: by the best algorithm that it is offered, again when it is told that this was stale."""
    client = visit(guarded(app, USERS[users], "digest"))
    known = USERS[users]
    for name in ("plain", "md5", "sha"):
        if known.get(name) is None:
            continue
        answer = client.get("/")
        for _ in range(2):
            assert answer.status == 401
            offered = parse_challenges(value for key, value in answer.fields if key.lower() == "www-authenticate")
            chosen = Authorization.choose(offered)
            assert chosen is not None
            answer = client.get("/", headers={"Authorization": chosen.value(name, "right", "GET", "/")})
            if answer.status == 200:
                break
        assert answer.text == "let in", name


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_the_work_is_the_same(app: Any, visit: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that were made and comparisons, of whatever user."""
    counts: Counter[str] = Counter()

    def counting(name: str) -> Any:
        real = getattr(accounts, name)

        def count(*args: Any) -> Any:
            counts[name] += 1
            if name == "compare_digest":
                counts[f"of {len(args[0])} and {len(args[1])}"] += 1
            return real(*args)

        return count

    for name in ("account_hash", "compare_digest"):
        monkeypatch.setattr(accounts, name, counting(name))
    client = visit(guarded(app, {"plain": "right", "long": "right" * 30, **SHA}, kind))
    seen = []
    for name in ("plain", "long", "sha", "nobody"):
        if kind == "basic":
            value = basic(name, "wrong")
        else:
            (challenge,) = parse_challenges([_challenge(client, "SHA-256")])
            value = Authorization(challenge).value(name, "wrong", "GET", "/")
        counts.clear()
        client.get("/", headers={"Authorization": value})
        seen.append(dict(counts))
    assert seen == [seen[0]] * 4
    assert seen[0]["compare_digest"] == 1


def test_nobody_has_no_password_that_can_be_known() -> None:
    assert len(NOBODY._password) >= 32
    assert Account("x").algorithm is None
