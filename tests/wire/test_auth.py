"""Credentials, with the examples of the RFCs."""

import pytest

from skitai.wire.auth import Authorization, Challenge, Credentials, basic, bearer, credentials, parse_challenges


@pytest.mark.parametrize(
    ("given", "found"),
    [(("u", "p"), Credentials("u", "p")), ("u:p:q", Credentials("u", "p:q")), (("t",), Credentials(None, "t")),
     (["u", "p"], Credentials("u", "p")), (None, None), ("", None)],
)  # fmt: skip
def test_forms(given: object, found: object) -> None:
    assert credentials(given) == found


@pytest.mark.parametrize("given", ["token", ("a", "b", "c"), (1, 2), 5, {"u": "p"}])
def test_other_forms_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match="password"):
        credentials(given)


def test_secrets_are_not_shown() -> None:
    assert "pw" not in repr(Credentials("user", "pw"))
    assert "tok" not in repr(Credentials(None, "tok")).replace("token", "")


def test_basic_and_bearer() -> None:
    assert basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert bearer("abc") == "Bearer abc"


def test_challenges() -> None:
    both = 'Digest realm="a, \\"b\\"", qop="auth,auth-int", nonce=xyz, Basic realm="c"'
    assert parse_challenges([both, "Bearer"]) == [
        Challenge("digest", {"realm": 'a, "b"', "qop": "auth,auth-int", "nonce": "xyz"}),
        Challenge("basic", {"realm": "c"}),
        Challenge("bearer", {}),
    ]


@pytest.mark.parametrize("value", ["", ",", "Negotiate", 'Digest realm="x"', 'Digest nonce="n", qop="auth-int"',
                                   'Digest nonce="n", algorithm=XYZ', "= = =", "a" * 10_000, '"' * 1_000])  # fmt: skip
def test_challenges_that_we_cannot_answer(value: str) -> None:
    assert Authorization.choose(parse_challenges([value])) is None


def test_the_strongest_is_chosen() -> None:
    offered = ['Basic realm="r"', 'Digest realm="r", nonce="n", algorithm=SHA-256', 'Digest realm="r", nonce="n"']
    chosen = Authorization.choose(parse_challenges(offered))
    assert chosen is not None
    assert "algorithm=SHA-256" in chosen.value("u", "p", "GET", "/")


RFC_7616 = 'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
     ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")],
)  # fmt: skip
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = f'Digest {RFC_7616}algorithm={algorithm}, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    chosen = Authorization.choose(parse_challenges([challenge]))
    assert chosen is not None
    value = chosen.value("Mufasa", "Circle of Life", "GET", "/dir/index.html", CNONCE)
    assert f'response="{response}"' in value
    assert "nc=00000001" in value
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in value
    assert "nc=00000002" in chosen.value("Mufasa", "Circle of Life", "GET", "/dir/index.html")


def test_the_example_of_rfc_2069_as_corrected() -> None:
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    chosen = Authorization.choose(parse_challenges([challenge]))
    assert chosen is not None
    value = chosen.value("Mufasa", "CircleOfLife", "GET", "/dir/index.html")
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in value


def test_a_session_algorithm() -> None:
    chosen = Authorization.choose(parse_challenges(['Digest realm="r", nonce="n", qop=auth, algorithm=MD5-sess']))
    assert chosen is not None
    assert "algorithm=MD5-sess" in chosen.value("u", "p", "GET", "/")
