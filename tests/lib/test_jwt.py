"""Tokens: ours, those of others, and those that must not be believed."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from skitai.lib import jwt

KEY = b"8fa06210-e109-11e6-934f-001b216d6e71"
CLAIM = {"user": "Hans Roh", "roles": ["user"]}


def standard(data: bytes, padding: bool = False) -> str:
    text = base64.b64encode(data).decode()
    return text if padding else text.rstrip("=")


def sign(claim: object, key: bytes = KEY, alg: str = "HS256", padding: bool = False) -> str:
    """A token as version 0.26 made it: standard base64."""
    head = standard(json.dumps({"alg": alg, "typ": "JWT"}).encode(), padding)
    text = f"{head}.{standard(json.dumps(claim, ensure_ascii=False).encode(), padding)}"
    digest = hmac.new(key, text.encode(), {"HS384": hashlib.sha384}.get(alg, hashlib.sha256)).digest()
    return f"{text}.{standard(digest, padding)}"


@pytest.mark.row("GW-14", "CONST-22")
def test_a_token_says_what_was_put_in() -> None:
    token = jwt.gen_token(KEY, CLAIM, "HS256")
    assert isinstance(token, str)
    assert token.count(".") == 2
    assert jwt.gen_token(KEY, CLAIM) == token
    assert jwt.get_claim(KEY, token) == CLAIM


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_every_algorithm_of_hmac(alg: str) -> None:
    key = KEY * 2
    token = jwt.gen_token(key, CLAIM, alg)
    assert jwt.get_claim(key, token) == jwt.get_claim(key.decode(), token.encode()) == CLAIM


@pytest.mark.parametrize("alg", ["none", "RS256", "", "hs256"])
def test_no_other_algorithm_can_be_asked_for(alg: str) -> None:
    with pytest.raises(ValueError, match="HS256"):
        jwt.gen_token(KEY, CLAIM, alg)


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("n", range(12))
def test_standard_base64_is_read_too(n: int, padding: bool) -> None:
    # Names with every value of the last six bits, so that "+", "/" and "=" all come up.
    claim = {"user": "ÿþ?>" * n + "x" * n, "n": n}
    assert jwt.get_claim(KEY, sign(claim, padding=padding)) == claim


def test_a_wrong_signature_is_not_believed() -> None:
    other = b"x" * 32
    for token in (jwt.gen_token(other, CLAIM), sign(CLAIM, other), sign({"u": "ÿ?" * 9}, other, padding=True)):
        assert jwt.get_claim(KEY, token) is None


def test_a_changed_claim_is_not_believed() -> None:
    head, _, signature = sign(CLAIM, padding=True).split(".")
    changed = standard(json.dumps({**CLAIM, "roles": ["admin"]}).encode(), padding=True)
    assert jwt.get_claim(KEY, f"{head}.{changed}.{signature}") is None


@pytest.mark.parametrize("alg", ["none", "None", "", None, "RS256", 5])
def test_no_signature_is_not_believed(alg: object) -> None:
    head = standard(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    for padded in ("", "="):
        text = f"{head}.{standard(json.dumps(CLAIM).encode())}{padded}"
        assert jwt.get_claim(KEY, text + ".") is None
        assert jwt.get_claim(KEY, text + "." + standard(hmac.digest(KEY, text.encode(), "sha256"))) is None


def test_the_life_of_a_token_ends() -> None:
    over = {**CLAIM, "exp": int(time.time()) - 10, "note": "ÿ?>" * 5}
    assert jwt.get_claim(KEY, jwt.gen_token(KEY, over)) is None
    assert jwt.get_claim(KEY, sign(over, padding=True)) is None
    ahead = {**CLAIM, "exp": int(time.time()) + 3600}
    assert jwt.get_claim(KEY, jwt.gen_token(KEY, ahead)) == ahead


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "....", "ä.b.c", "=.=.=", "a+/=.b.c", b"\xff.\xff.\xff"])
def test_what_is_no_token_gives_none(token: str | bytes) -> None:
    assert jwt.get_claim(KEY, token) is None
