"""What calls and keywords store, before anything is started."""

from __future__ import annotations

import pytest

import skitai
from skitai import configuration
from skitai.configuration import Options, Store
from skitai.errors import ConfigurationError
from skitai.lib.attributes import AttributeDict
from skitai.settings import Limits


@pytest.fixture
def store(monkeypatch) -> Store:
    fresh = Store()
    monkeypatch.setattr(skitai, "_store", fresh)
    monkeypatch.setattr(configuration, "store", fresh)
    return fresh


CALLS = [
    pytest.param(lambda: skitai.set_keep_alive(300), {"keep_alive": 300}, marks=pytest.mark.row("RUN-24")),
    pytest.param(lambda: skitai.set_max_rcache(200), {"rcache_objmax": 200}, marks=pytest.mark.row("RUN-25")),
    pytest.param(lambda: skitai.set_max_rcache(), {"rcache_objmax": 300}, marks=pytest.mark.row("RUN-25")),
    pytest.param(
        lambda: skitai.enable_cachefs(memmax=10_000_000, diskmax=100_000_000, path="/var/tmp/skitai/cache"),
        {"cachefs_memmax": 10_000_000, "cachefs_diskmax": 100_000_000, "cachefs_dir": "/var/tmp/skitai/cache"},
    ),
    pytest.param(
        lambda: skitai.enable_cachefs("/var/skitai/cache", 1, 2),
        {"cachefs_memmax": 1, "cachefs_diskmax": 2, "cachefs_dir": "/var/skitai/cache"},
    ),
    pytest.param(
        lambda: skitai.enable_cachefs(),
        {"cachefs_memmax": 0, "cachefs_diskmax": 0, "cachefs_dir": None},
    ),
    pytest.param(
        lambda: skitai.cron("*/2 */2 * * *", "/home/apps/monitor.py  > /home/apps/monitor.log 2>&1"),
        {"cron": ["*/2 */2 * * * /home/apps/monitor.py  > /home/apps/monitor.log 2>&1"]},
        marks=pytest.mark.row("RUN-27"),
    ),
    pytest.param(
        lambda: skitai.enable_smtpda("127.0.0.1:25", "user", "password", ssl=False, max_retry=10, keep_days=3),
        {
            "smtpda": {
                "server": "127.0.0.1:25",
                "user": "user",
                "password": "password",
                "ssl": False,
                "max_retry": 10,
                "keep_days": 3,
            }
        },
    ),
    pytest.param(
        lambda: skitai.enable_proxy(),
        {"proxy": True, "proxy_unsecure_https": False},
    ),
    pytest.param(
        lambda: skitai.enable_proxy(True),
        {"proxy": True, "proxy_unsecure_https": True},
    ),
    pytest.param(
        lambda: skitai.enable_ssl("server.pem", "key.pem", "your pass phrase"),
        {"certfile": "server.pem", "keyfile": "key.pem", "passphrase": "your pass phrase"},
        marks=pytest.mark.row("RUN-30"),
    ),
    pytest.param(
        lambda: skitai.enable_gateway(True, "8fa06210", "Realm"),
        {"enable_gw": True, "gw_auth": True, "gw_secret_key": "8fa06210", "gw_realm": "Realm"},
    ),
    pytest.param(
        lambda: skitai.enable_gateway(),
        {"enable_gw": True, "gw_auth": False, "gw_secret_key": None, "gw_realm": "Skitai API Gateway"},
    ),
    pytest.param(
        lambda: (skitai.set_max_age("/", 300), skitai.set_max_age("/js", 0)),
        {"max_ages": {"/": 300, "/js": 0}},
        marks=pytest.mark.row("RUN-32"),
    ),
    pytest.param(
        lambda: skitai.enable_blacklist("/etc/blacklist"),
        {"blacklist_dir": "/etc/blacklist"},
    ),
    pytest.param(lambda: skitai.set_limits(header_count=50), {"limits": {"header_count": 50}}),
]


@pytest.mark.parametrize(("call", "stored"), CALLS)
def test_a_call_is_stored(store, call, stored) -> None:
    call()
    assert {name: getattr(store.options, name) for name in stored} == stored


@pytest.mark.parametrize(("call", "stored"), CALLS)
def test_nothing_is_stored_behind_the_start(store, call, stored) -> None:
    store.has_started = True
    call()
    assert store.options == Options()


KEYWORDS = [
    pytest.param({"proxy": True, "proxy_unsecure_https": True}, marks=pytest.mark.row("RUN-16")),
    pytest.param({"proxy": 1}, marks=pytest.mark.row("RUN-16")),
    pytest.param(
        {"enable_gw": True, "gw_auth": True, "gw_realm": "r", "gw_secret_key": b"k"}, marks=pytest.mark.row("RUN-17")
    ),
    pytest.param(
        {
            "cachefs_dir": "/c",
            "cachefs_memmax": 1,
            "cachefs_diskmax": 2,
            "rcache_objmax": 3,
            "keep_alive": 4,
            "max_ages": {"/": 5},
            "blacklist_dir": "/b",
        },
        marks=pytest.mark.row("RUN-18"),
    ),
    pytest.param({"smtpda": {}, "cron": ["* * * * * true"]}, marks=pytest.mark.row("RUN-19")),
    pytest.param({"varpath": "/elsewhere"}, marks=pytest.mark.row("RUN-09")),
    {"address": "", "port": 80, "threads": 0, "workers": 2, "grace": 0.5},
]


@pytest.mark.parametrize("keywords", KEYWORDS)
def test_a_keyword_replaces_the_stored_value(store, keywords) -> None:
    options = store.options.with_keywords(keywords)
    assert {name: getattr(options, name) for name in keywords} == keywords


@pytest.mark.row("RUN-09", "RUN-17", "RUN-18")
def test_defaults() -> None:
    options = Options()
    assert options.varpath == "/var/tmp/skitai"
    assert options.gw_realm == "API Gateway"
    assert options.rcache_objmax == 100
    assert options.keep_alive == 75
    assert options.server_settings().limits == Limits()


def test_limits_reach_the_server_settings() -> None:
    options = Options(limits={"header_count": 50, "body_time": 1.5}, keep_alive=7, max_ages={"/": 3})
    settings = options.server_settings()
    assert (settings.limits.header_count, settings.limits.body_time, settings.limits.keep_alive) == (50, 1.5, 7)
    assert settings.max_ages == (("/", 3),)


def test_the_names_of_keywords_are_checked() -> None:
    configuration.check_keywords({"port": 1})
    with pytest.raises(ConfigurationError, match=r"no keyword 'adress': did you mean address\?"):
        configuration.check_keywords({"adress": ""})
    with pytest.raises(ConfigurationError, match="it knows address, port"):
        configuration.check_keywords({"zzz": ""})


@pytest.mark.row("PREF-01", "PREF-03", "PREF-04")
def test_preferences_are_attributes_and_items() -> None:
    pref = skitai.pref()
    assert isinstance(pref.config, AttributeDict)
    pref.config["prefA"] = 1
    pref.config.prefB = 2
    assert (pref.config.prefA, pref.config["prefB"]) == (1, 2)
    assert pref.config.get("prefC", 3) == 3
    with pytest.raises(AttributeError, match="prefC"):
        _ = pref.config.prefC
    with pytest.raises(KeyError, match="prefC"):
        _ = pref.config["prefC"]
    del pref.config.prefA
    assert "prefA" not in pref.config
    with pytest.raises(AttributeError):
        del pref.config.prefA
    pref.debug = 1
    assert pref["debug"] == 1
    assert skitai.pref().config is not pref.config
