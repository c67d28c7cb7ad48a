"""URLs of calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.wire import urls
from skitai.wire.http1 import serialize_request


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://h", ("http", "h", 80, "/", "h")),
        ("HTTP://H:80/a?b=c#d", ("http", "h", 80, "/a?b=c", "h")),
        ("https://h:8443/ä b", ("https", "h", 8443, "/%C3%A4%20b", "h:8443")),
        ("https://h/%C3%A4?q=%20", ("https", "h", 443, "/%C3%A4?q=%20", "h")),
        ("http://[::1]:81/x", ("http", "::1", 81, "/x", "[::1]:81")),
        ("http://h?a=1", ("http", "h", 80, "/?a=1", "h")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example")),
    ],
)
def test_parts(url: str, parts: tuple[object, ...]) -> None:
    assert urls.parse_url(url)[:5] == parts


def test_user_and_password_in_a_url() -> None:
    assert urls.parse_url("http://us%40er:p%3Aw@h/").userinfo == ("us@er", "p:w")
    assert urls.parse_url("http://h/").userinfo is None


@pytest.mark.parametrize(
    "url", ["", "h", "/x", "//h/", "ftp://h/", "http://", "http:///x", "http://h:x/", "http://h:70000/", "http://h\n/",
            "http://h/\r\nX: y", "http://a b/", "http://[::1/", "http://a%00b/"],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        urls.parse_url(url)


@given(st.text(max_size=60))
def test_a_target_is_always_fit_for_a_request_line(path: str) -> None:
    target = urls.quote_target(path)
    assert target.startswith("/")
    serialize_request("GET", target, [])


@given(st.text(max_size=60))
def test_a_url_is_refused_or_fit(text: str) -> None:
    try:
        url = urls.parse_url("http://" + text)
    except ValueError:
        return
    serialize_request("GET", url.target, [("Host", url.authority)])


@pytest.mark.row("WAS-HTTP-02")
@pytest.mark.parametrize(
    ("url", "data", "full"),
    [
        ("http://h/a", {"k": "v", "n": 1}, "http://h/a?k=v&n=1"),
        ("http://h/a?x=1", {"k": "ä &"}, "http://h/a?x=1&k=%C3%A4+%26"),
        ("http://h/a", "k=v", "http://h/a?k=v"),
        ("http://h/a", b"k=v", "http://h/a?k=v"),
        ("http://h/a#f", {"k": ["1", "2"]}, "http://h/a?k=1&k=2#f"),
        ("@alias/a", {"k": "v"}, "@alias/a?k=v"),
        ("http://h/a", {}, "http://h/a"),
        ("http://h/a", None, "http://h/a"),
    ],
)
def test_query(url: str, data: object, full: str) -> None:
    assert urls.add_query(url, data) == full
