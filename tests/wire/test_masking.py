"""What may not be read in logs, errors and reprs: every kind of credential in every kind of text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.configuration import Options as RunOptions
from skitai.settings import TlsSettings
from skitai.wire import clusters, databases
from skitai.wire.events import RequestHead, ResponseHead
from skitai.wire.masking import MASK, hide_in, mask, mask_field
from skitai.wire.urls import parse_url

#: Texts with the secret ``s3cr3t`` in them.
SECRETS = [
    # URLs
    "http://user:s3cr3t@h/path",
    "https://s3cr3t@h/",
    "https://s3cr3t:x-oauth-basic@h/",
    "ws://u:s3cr3t@h:80/?a=b#c",
    "http://u:s3cr3t@[::1]:8080/",
    "http://u:p@s3cr3t@h/",
    "http://u:p/s3cr3t@h/",
    "http://u:p?s3cr3t@h/",
    "http://u:p#s3cr3t@h/",
    "http://u:p s3cr3t@h/",
    "http://u:p\\s3cr3t@h/",
    "http:///u:s3cr3t@h/",
    "http:/u:s3cr3t@h/",
    "http:u:s3cr3t@h",
    "HTTP://U:s3cr3t@H",
    "http://ü:s3cr3t@h/",
    "http://h/?next=http://u:s3cr3t@h2/",
    "http://a:1/ and http://u:s3cr3t@b:2/",
    "(http://u:s3cr3t@h)",
    "http://u:s3cr3t@h/ http://u:p w@h/",
    "redis://:s3cr3t@h postgres://u:a b@h/db",
    "{b'Authorization': b'Basic s3cr3t'}",
    "(b'Cookie', b'sid=s3cr3t')",
    "cannot open 'http://u:s3cr3t@h/': no",
    '"http://u:s3cr3t@h/"',
    "first\nhttp://u:s3cr3t@h/\nlast",
    # DSNs of databases
    "postgres://u:s3cr3t@h:5432/db?sslmode=require",
    "postgresql+psycopg2://u:s3cr3t@h/db",
    "mongodb://u:s3cr3t@h1:27017,h2:27018,[::1]:27019/db?replicaSet=r",
    "mongodb+srv://u:s3cr3t@cluster.example/",
    "redis://:s3cr3t@h:6379/0",
    "rediss://u:s3cr3t@h",
    "unix://u:s3cr3t@/run/redis.sock",
    "amqp://u:s3cr3t@h//",
    "redis://h/0?password=s3cr3t&db=1",
    "postgres://h/db?user=u&password=s3cr3t",
    "jdbc:pg://h/d?a=b&sslpassword=s3cr3t",
    "host=h password=s3cr3t dbname=d",
    "host=h password = s3cr3t dbname=d",
    "host=h password='a s3cr3t b' user=u",
    "password='it\\'s s3cr3t' user=u",
    "password='it''s s3cr3t' user=u",
    "PASSWORD=s3cr3t",
    "sslpassword=s3cr3t",
    "password='s3cr3t",
    "PGPASSWORD=s3cr3t psql",
    "passwd=s3cr3t",
    "pwd=s3cr3t;server=h",
    "password=a;s3cr3t&x",
    "u:s3cr3t@h:5432/db",
    "u:s3cr3t@h",
    "u:a@s3cr3t@h:1",
    "not 'u:s3cr3t@h'",
    "[u:s3cr3t@h:1, x]",
    # Queries, reprs and fields
    "/path?access_token=s3cr3t&a=b",
    "/path?a=b&api_key=s3cr3t#f",
    "/x?token=s3cr3t",
    "/x?client_secret=s3cr3t",
    "{'password': 's3cr3t', 'a': 1}",
    '{"passphrase": "s3cr3t"}',
    "Client(password='s3cr3t')",
    "{'secret': b's3cr3t'}",
    "Authorization: Basic s3cr3t",
    "authorization: Bearer s3cr3t",
    "('Authorization', 'Basic s3cr3t')",
    "{'Authorization': 'Digest s3cr3t'}",
    "Proxy-Authorization: Basic s3cr3t",
    "Cookie: sid=s3cr3t; a=b",
    "Set-Cookie: sid=s3cr3t; Path=/",
    "('Cookie', 'sid=s3cr3t')",
]


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_are_masked(text: str) -> None:
    assert "s3cr3t" not in mask(text)
    assert MASK in mask(text)
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://h/",
        "http://h:80/@user",
        "see https://[::1]:80/x, and mail me@h.example",
        "a@b",
        "mailto:a@b.example is it",
        "mongodb://h1:1,h2:2/d",
        "user:joe@h.example logged in",
        "tokens=3",
        "key=value",
        "12:30 @home",
        "@alias/path",
        "http://h:80: refused",
        "no password was given",
        "the author: me",
        "cookies are good",
        "a:b c@d",
        "no authorization, try again",
        "which authorization was sent",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h:80/a?b=c", f"http://{MASK}@h:80/a?b=c"),
        ("mongodb://u:p@h1:1,h2:2/d", f"mongodb://{MASK}@h1:1,h2:2/d"),
        ("host=h password='a b' user=u", f"host=h password={MASK} user=u"),
        ("/x?password=p&a=b", f"/x?password={MASK}&a=b"),
        ("at http://u:p@h/ again", f"at http://{MASK}@h/ again"),
    ],
)
def test_the_rest_can_be_read(text: str, shown: str) -> None:
    assert mask(text) == shown


#: Blanks cut a URL in two, and who can tell "http://joe:80 is not joe@host" from one then?
_PASSWORDS = st.text(st.characters(codec="utf-8").filter(lambda character: not character.isspace()), max_size=20)


@given(_PASSWORDS, _PASSWORDS, st.sampled_from(["http", "postgres", "redis", "mongodb+srv"]))
def test_no_password_in_a_url_is_shown_whatever_is_in_it(before: str, after: str, scheme: str) -> None:
    secret = f"x{before}s3cr3t{after}"
    assert "s3cr3t" not in mask(f"{scheme}://joe:{secret}@host:1/path")


@pytest.mark.parametrize(
    "text",
    [
        "=a:@" * 20_000,
        "a" * 80_000 + "@:",
        "http://" * 20_000 + "@",
        "a " * 40_000 + ":@",
        "password=" * 10_000,
        "a:" * 40_000 + "@",
        "'" * 40_000 + "password='" + "'" * 40_000,
        "cookie:" * 10_000,
        "http://h/@" * 8_000,
    ],
)
def test_masking_takes_linear_time(text: str) -> None:
    began = time.process_time()
    mask(text)
    assert time.process_time() - began < 5  # quadratic, each of these takes minutes


def test_fields() -> None:
    for name in ("Authorization", "COOKIE", "set-cookie", "Proxy-Authorization"):
        assert mask_field(name, "s3cr3t") == MASK
    assert mask_field("Location", "http://u:s3cr3t@h/") == f"http://{MASK}@h/"
    assert mask_field("Content-Type", "text/html") == "text/html"


def test_exceptions() -> None:
    error = ValueError("bad postgres://u:s3cr3t@h/", 5, "it is hunter2")
    hide_in(error, "hunter2")
    assert error.args == (f"bad postgres://{MASK}@h/", 5, f"it is {MASK}")


# What shows them


@pytest.mark.parametrize(
    "shown",
    [
        parse_url("http://u:s3cr3t@h/?token=s3cr3t"),
        RequestHead("GET", "http://u:s3cr3t@h/", 11, "h", True, (("Authorization", "s3cr3t"),), {}),
        ResponseHead(200, "OK", 11, [("Set-Cookie", "a=s3cr3t"), ("Location", "http://u:s3cr3t@h/")], True),
        clusters.parse_member("postgresql", "h:1/db/u/s3cr3t"),
        clusters.parse("a", "postgresql", "h:1/db/u/s3cr3t"),
        databases.parse("postgresql", "h:1/db/u/s3cr3t"),
        databases.parse("postgresql", "h:1", "postgres://u:s3cr3t@h/db"),
        databases.parse("sqlite3", "file:/x?password=s3cr3t"),
        RunOptions(
            passphrase="s3cr3t", backplane="redis://:s3cr3t@h", gw_secret_key="s3cr3t", smtpda={"password": "s3cr3t"}
        ),
        RunOptions(tls={"certificates": [{"passphrase": "s3cr3t"}]}, clusters={"@a": ("postgresql", "h/d/u/s3cr3t")}),
        TlsSettings(certificates=({"certfile": "c", "passphrase": "s3cr3t"},)),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_reprs(shown: object) -> None:
    assert "s3cr3t" not in repr(shown)
    assert "s3cr3t" not in str(shown)


@pytest.mark.parametrize("server", ["u:s3cr3t@h:5432", "u:s3cr3t@h", "u:s3cr3t@h:0", "u:a@s3cr3t@h:1/db"])
def test_errors_of_servers(server: str) -> None:
    with pytest.raises(Exception, match="server") as caught:
        clusters.parse("a", "postgresql", server)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://u:s3cr3t@h/",
        "http://u:s3cr3t@h:0/",
        "http://u:s3cr3t@h h/",
        "http://u:s3cr3t@1.2/",
        "http://u:@s3cr3t@h/",
        "http://u:s3cr3t%zz@h/",
        "http://u:s3cr3t@h\n/",
        "http://u:s3cr3t%ff@h/",
        "http://u:s3cr3t/@h/",
    ],
)
def test_errors_of_urls(url: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_url(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cr3t" not in str(error)
        error = error.__cause__
