"""One reading of hosts: what others could read as another one is refused, names outside ASCII are mapped by UTS 46."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.errors import ConfigurationError
from skitai.hub.site import Site
from skitai.wire import clusters, urls
from skitai.wire.hosts import normal_host
from skitai.wire.target import is_valid_host

NORMAL = [
    ("example.com", "example.com"),
    ("EXAMPLE.com", "example.com"),
    ("example.com.", "example.com."),
    ("a_b", "a_b"),
    ("my-service", "my-service"),
    ("localhost", "localhost"),
    ("127.0.0.1", "127.0.0.1"),
    ("255.255.255.255",) * 2,
    ("1.2.3.4.example", "1.2.3.4.example"),
    ("0x7f.example", "0x7f.example"),
    ("::1", "::1"),
    ("[::1]", "::1"),
    ("[2001:DB8:0:0::1]", "2001:db8::1"),
    ("a" * 63, "a" * 63),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    # UTS 46 and IDNA 2008, by the tables of browsers
    ("b\u00fccher.example", "xn--bcher-kva.example"),
    ("B\u00dcCHER.example", "xn--bcher-kva.example"),
    ("bu\u0308cher.example", "xn--bcher-kva.example"),
    ("stra\u00dfe.de", "xn--strae-oqa.de"),
    ("fa\u00df.de", "xn--fa-hia.de"),
    ("\u1e9e.de", "xn--zca.de"),
    ("\u03c2.gr", "xn--3xa.gr"),
    ("\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com", "example.com"),
    ("a\u3002b", "a.b"),
    ("\u212a.com", "k.com"),
    ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "xn--mgba3gch31f060k.com"),
    ("my_service.b\u00fccher.example", "my_service.xn--bcher-kva.example"),
]

REFUSED = [
    "",
    ".",
    "..",
    ".a",
    "a..b",
    "a..",
    "a" * 64,
    ".".join(["a" * 60] * 5),
    "a b",
    " a",
    "a ",
    "a/b",
    "a\\b",
    "a@b",
    "a:b",
    "a?b",
    "a#b",
    "a%41",
    "%61",
    "a;b",
    "a,b",
    "a!b",
    "a*b",
    "a'b",
    'a"b',
    "<a>",
    "a|b",
    "a^b",
    "a`b",
    "{a}",
    "a\0b",
    "a\tb",
    # Not the four decimal numbers that everybody reads as an address
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "1.2.3.256",
    "1.2.3.4.5",
    "0",
    "0x",
    "a.1",
    "a.0x7f",
    "0x7F000001",
    "017700000001",
    "1.2.3.4.0x5",
    # Addresses that are none, or that only a machine itself knows
    "[",
    "[]",
    "[::1",
    "::1]",
    "[[::1]]",
    "[v1.a]",
    "[vF.::1]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "fe80::1%1",
    "[1.2.3.4]",
    "[::1]x",
    "[:::]",
    "1:2",
    "[::ffff:1.2.3.400]",
    # Look-alikes of digits, dots and delimiters; what cannot be seen
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u00b2",
    "\u0661.1",
    "0\uff58\uff17f.1",
    "good.com\uff20evil.com",
    "good.com\uff0fevil",
    "good\uff1aevil",
    "good\uff03evil",
    "\u2100.com",
    "ex\u200bample.com",
    "ex\u00adample.com",
    "ex\ufeffample.com",
    "ex\u2060ample.com",
    "127.0.0.1\u200b",
    "a\u180bb",
    "ex\u200dample.com",
    "\u202eexample.com",
    "a\u2028b",
    "a\u0085b",
    "\ud800",
    "a\ufe00",
    "\U000e0001.com",
    "\u00a0a",
]


@pytest.mark.parametrize(("host", "normal"), NORMAL)
def test_hosts(host: str, normal: str) -> None:
    assert normal_host(host) == normal
    assert normal_host(normal) == normal


@pytest.mark.parametrize("host", REFUSED)
def test_hosts_that_are_none_or_that_others_read_otherwise(host: str) -> None:
    with pytest.raises(ValueError, match=r"host name|address|cannot be seen"):
        normal_host(host)


@given(st.text(max_size=20))
def test_any_text_is_refused_or_is_one_host_for_all(text: str) -> None:
    try:
        host = normal_host(text)
    except ValueError:
        return
    assert host.isascii()
    assert normal_host(host) == host
    assert is_valid_host(f"[{host}]" if ":" in host else host)


@pytest.mark.parametrize(
    "url",
    [
        "http://good.com\\@evil.com/",
        "http://good.com\\.evil.com/",
        "http:\\\\evil.com/",
        "http:/evil.com/",
        "http:evil.com",
        "http://a@b@c/",
        "http://u:p@ss@h/",
        "http://[::1]@h/",
        "http://u%zz@h/",
        "http://\u00fc@h/",
        "http://good.com\uff20h/",
        "http://h:0/",
        "https://h:0/",
        "http://h:00/",
        "http://h:65536/",
        "http://h:+80/",
        "http://h:-1/",
        "http://h: 80/",
        "http://h:8_0/",
        "http://h:\uff18\uff10/",
        "http://h:80:90/",
        "http://h:0x50/",
        "http://h:80a/",
        "http://:80/",
        "http://u@/",
        "http://[::1]80/",
        "http://a[::1]/",
        "http://[::1]a/",
        " http://h/",
        "\thttp://h/",
        "http://h\t/",
        "ht\ntp://h/",
        "http://h\r/",
        "http://\x00h/",
        "http://h /",
        "http:// h/",
        "http://h\u3000/",
        "http://h/\n",
        "http://h\x7f/",
        "http://[v1.a]/",
        "http://%31%32%37.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "//h/",
        "http//h/",
        *(f"http://{host}/" for host in REFUSED if host and not set(host) & set("/?#@:")),
    ],
)
def test_urls_that_others_read_otherwise(url: str) -> None:
    for schemes in (urls.HTTP, urls.WEBSOCKET):
        with pytest.raises(ValueError, match=r".+"):
            urls.parse_url(url.replace("http", "ws") if schemes is urls.WEBSOCKET else url, schemes)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://h:/", "h"),
        ("http://h:080/", "h"),
        ("https://H:443/", "h"),
        ("http://u:p@b\u00fccher.example:81/", "xn--bcher-kva.example:81"),
        ("http://[0:0::1]:8080/", "[::1]:8080"),
        ("http://h#@evil.com/", "h"),
        ("http://h?@evil.com/", "h"),
        ("http://h/\\@evil", "h"),
        ("http://@h/", "h"),
        ("http://example.com./", "example.com."),
    ],
)
def test_urls(url: str, authority: str) -> None:
    assert urls.parse_url(url).authority == authority


@pytest.mark.parametrize(
    "server",
    [
        *(host for host in REFUSED if host.strip() == host and host and not set(host) & set(":/,@ ")),
        "[v1.a]:80",
        "[::1",
        "127.1:80",
    ],
)
def test_members_of_an_alias(server: str) -> None:
    with pytest.raises(ConfigurationError):
        clusters.parse("a", "http", [server])


def test_members_of_an_alias_by_name() -> None:
    definition = clusters.parse("a", "wss", ["stra\u00dfe.de", "[::0001]:81", "EXAMPLE.com:82"])
    assert [(each.host, each.port) for each in definition.members] == [
        ("xn--strae-oqa.de", 443),
        ("::1", 81),
        ("example.com", 82),
    ]


@pytest.mark.parametrize("asked", ["xn--strae-oqa.de", "XN--STRAE-OQA.de", "xn--strae-oqa.de.", "xn--strae-oqa.de.:80"])
@pytest.mark.parametrize("named", ["stra\u00dfe.de", "Stra\u00dfe.de.", "xn--strae-oqa.de", "xn--strae-oqa.de."])
def test_virtual_hosts(named: str, asked: str) -> None:
    site = Site()
    site.mount_directory("/", "/one", named)
    site.mount_directory("/", "/other")
    host = site.host(asked)
    assert host is not None and [path for _, path in host.directories] == ["/one"]


def test_a_virtual_host_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="virtual host"):
        Site().mount_directory("/", "/x", "\u2460.\u2460")
