"""Authorization as a server reads it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire.auth import Authorization, Challenge, basic
from skitai.wire.logins import BasicLogin, DigestLogin, account_hash, algorithm_of, parse_login, quoted

#: RFC 7616 section 3.9.1.
RFC = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={0}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{1}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
EXAMPLES = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


@pytest.mark.parametrize("algorithm", EXAMPLES)
def test_the_examples_of_the_rfc(algorithm: str) -> None:
    login = parse_login(RFC.format(algorithm, EXAMPLES[algorithm]))
    assert isinstance(login, DigestLogin)
    assert (login.user, login.realm) == ("Mufasa", "http-auth@example.org")
    assert (login.uri, login.count) == ("/dir/index.html", 1)
    secret = account_hash(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert login.expected(secret, "GET") == login.response
    assert login.expected(secret, "POST") != login.response
    assert algorithm_of(secret) == algorithm
    assert "Circle" not in repr(login) and login.response not in repr(login)


def test_basic() -> None:
    login = parse_login(basic("Hans Röh", "a:b"))
    assert login == BasicLogin("Hans Röh", "a:b")
    assert "a:b" not in repr(login)
    assert parse_login("bAsIc  " + b64encode(b"a:").decode()) == BasicLogin("a", "")


GOOD = RFC.format("MD5", EXAMPLES["MD5"])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YTpi YTpi",
        "Basic " + b64encode(b"no colon").decode(),
        "Basic " + b64encode(b"\xff:\xfe").decode(),
        "Basic " + b64encode(b"a\x00b:c").decode(),
        "Bearer token",
        "Digest",
        "Digest ,",
        "Digest username",
        GOOD + ", ",
        GOOD + ', username="again"',
        GOOD.replace("nc=00000001", "nc=1"),
        GOOD.replace("nc=00000001", "nc=0000000g"),
        GOOD.replace("qop=auth", "qop=auth-int"),
        GOOD.replace(", qop=auth", ""),
        GOOD.replace("MD5", "SHA-1"),
        GOOD.replace("MD5", "MD5-sess"),
        GOOD.replace('username="Mufasa", ', ""),
        GOOD.replace("Mufasa", "Muf\x01asa"),
        GOOD.replace("Mufasa", "Muf\xffasa"),
        GOOD.replace('cnonce="f2', 'cnonce="", x="f2'),
        GOOD.replace('uri="/dir', 'uri="/dir" "'),
        GOOD.replace(", uri", "; uri"),
        GOOD[:-1],
    ],
)
def test_malformed(value: str) -> None:
    assert parse_login(value) is None


@given(st.text(st.characters(max_codepoint=255)))
def test_nothing_is_an_error(text: str) -> None:
    for value in (text, f"Basic {text}", f"Digest {text}", f'{GOOD}, x="{text}"'):
        parse_login(value)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))), st.text(st.characters(exclude_categories=("Cs",))))
def test_what_our_client_sends_is_read(user: str, password: str) -> None:
    challenge = Challenge("digest", {"realm": 'R "x"', "nonce": "n", "qop": "auth", "algorithm": "SHA-256"})
    value = Authorization(challenge).value(user, password, "GET", "/a?b=c")
    login = parse_login(value.encode().decode("latin-1"))
    assert isinstance(login, DigestLogin)
    assert (login.user, login.realm, login.uri) == (user, 'R "x"', "/a?b=c")
    assert login.expected(account_hash("SHA-256", user, 'R "x"', password), "GET") == login.response


def test_extended_user_name() -> None:
    value = GOOD.replace('username="Mufasa"', "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe")
    login = parse_login(value)
    assert isinstance(login, DigestLogin) and login.user == "Jäsøn Doe"
    assert parse_login(value.replace("UTF-8", "utf-7")) is None
    assert parse_login(value.replace("%C3%A4", "%FF")) is None
    assert parse_login(value + ', username="x"') is None


@pytest.mark.parametrize("text", ["", "xyz", "a" * 31, "g" * 32, "a" * 40])
def test_no_hash(text: str) -> None:
    assert algorithm_of(text) is None


def test_quoted() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
