"""What a script says about its server before ``skitai.run()``: one store, filled by module-level calls and keywords."""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from skitai.errors import ConfigurationError
from skitai.settings import Limits, ServerSettings, TlsSettings

#: Options of features that are not built yet; ``docs/settings.md`` lists them too.
IDLE: Final = (
    "proxy", "proxy_unsecure_https", "enable_gw", "gw_auth", "gw_realm", "gw_secret_key", "cachefs_memmax",
    "cachefs_diskmax", "cachefs_dir", "smtpda", "cron", "blacklist_dir",
)  # fmt: skip


@dataclass
class Options:
    """Every keyword of ``skitai.run()`` with its default. ``docs/settings.md`` tells unit and consequence of each."""

    address: str = "127.0.0.1"
    port: int = 5000
    threads: int | None = None
    workers: int = 1
    grace: float = 30.0
    reload_time: float = 60.0
    worker_timeout: float = 30.0
    blocked_loop: float = 1.0
    limits: Mapping[str, Any] = field(default_factory=dict)
    logpath: str | None = None
    request_log: bool = True
    varpath: str = "/var/tmp/skitai"
    mount: list[Any] = field(default_factory=list)
    clusters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    keep_alive: float = 75.0
    spool_bodies: bool = True
    max_ages: Mapping[str, int] = field(default_factory=dict)
    dot_files: bool = False
    h2c: bool = True
    rcache_objmax: int = 100
    certfile: str | None = None
    keyfile: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    tls: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cachefs_dir: str | None = None
    cachefs_memmax: int = 0
    cachefs_diskmax: int = 0
    proxy: bool = False
    proxy_unsecure_https: bool = False
    enable_gw: bool = False
    gw_auth: bool = False
    gw_realm: str = "API Gateway"
    gw_secret_key: str | bytes | None = field(default=None, repr=False)
    smtpda: Mapping[str, Any] | None = field(default=None, repr=False)
    cron: list[str] = field(default_factory=list)
    blacklist_dir: str | None = None
    backplane: str | None = field(default=None, repr=False)
    backplane_prefix: str = "skitai"

    def with_keywords(self, keywords: Mapping[str, Any]) -> Options:
        """These options with keywords of ``run()``, each of which replaces what a module-level call set.

        Raises:
            ConfigurationError: a value that cannot be.
        """
        options = dataclasses.replace(self, **keywords)
        options._check()
        return options

    def server_settings(self) -> ServerSettings:
        """The part that the server itself needs.

        Raises:
            ConfigurationError: a limit that does not exist or is not above 0.
        """
        return ServerSettings(
            threads=ServerSettings().threads if self.threads is None else self.threads,
            workers=self.workers,
            limits=self._limits(),
            grace=self.grace,
            spool_bodies=self.spool_bodies,
            reload_time=self.reload_time,
            worker_timeout=self.worker_timeout,
            blocked_loop=self.blocked_loop,
            max_ages=tuple(self.max_ages.items()),
            dot_files=self.dot_files,
            h2c=self.h2c,
            hsts=self.tls_settings().hsts,
        )

    def idle(self) -> list[str]:
        """Names of the options that were given and serve nothing in this version."""
        defaults = Options()
        return [name for name in IDLE if getattr(self, name) != getattr(defaults, name)]

    def tls_settings(self) -> TlsSettings:
        """What is said about TLS beside the first certificate.

        Raises:
            ConfigurationError: a setting that does not exist or cannot be; or there is no certificate.
        """
        known = [each.name for each in dataclasses.fields(TlsSettings)]
        for name in self.tls:
            if name not in known:
                raise ConfigurationError(f"there is no TLS setting {name!r}; they are {', '.join(known)}")
        if self.tls and not self.certfile:
            raise ConfigurationError("settings of TLS without certfile: give skitai.enable_ssl(certfile, ...)")
        further = self.tls.get("certificates", ())
        _require(isinstance(further, (list, tuple)), "certificates", further, "a list")
        settings = TlsSettings(**{**self.tls, "certificates": tuple(further)})
        port = settings.redirect_from
        _require(port is None or (_is_count(port) and port < 65536), "redirect_from", port, "a number from 0 to 65535")
        _require(_is_count(settings.hsts), "hsts", settings.hsts, "0 or more whole seconds")
        return settings

    def _limits(self) -> Limits:
        known = [each.name for each in dataclasses.fields(Limits)]
        for name, value in self.limits.items():
            if name not in known:
                raise ConfigurationError(f"there is no limit {name!r}; the limits are {', '.join(known)}")
            _require(_is_number(value) and value > 0, f"limit {name}", value, "a number above 0")
        return Limits(**{"keep_alive": self.keep_alive, **self.limits})

    def _check(self) -> None:
        _require(isinstance(self.address, str), "address", self.address, "text")
        _require(_is_count(self.port) and self.port < 65536, "port", self.port, "a number from 0 to 65535")
        _require(self.threads is None or _is_count(self.threads), "threads", self.threads, "0 or a whole number above")
        _require(_is_count(self.workers), "workers", self.workers, "0 or a whole number above")
        _require(_is_number(self.grace) and self.grace >= 0, "grace", self.grace, "0 or more seconds")
        is_time = _is_number(self.reload_time) and self.reload_time > 0
        _require(is_time, "reload_time", self.reload_time, "seconds above 0")
        for name in ("worker_timeout", "blocked_loop"):
            value = getattr(self, name)
            _require(_is_number(value) and value >= 0, name, value, "0 or more seconds")
        _require(_is_number(self.keep_alive) and self.keep_alive > 0, "keep_alive", self.keep_alive, "seconds above 0")
        _require(isinstance(self.spool_bodies, bool), "spool_bodies", self.spool_bodies, "True or False")
        _require(_is_count(self.rcache_objmax), "rcache_objmax", self.rcache_objmax, "0 or a whole number above")
        _require(isinstance(self.dot_files, bool), "dot_files", self.dot_files, "True or False")
        _require(isinstance(self.h2c, bool), "h2c", self.h2c, "True or False")
        if self.keyfile and not self.certfile:
            raise ConfigurationError("keyfile without certfile: give skitai.run(certfile=..., keyfile=...)")


def check_keywords(keywords: Mapping[str, Any]) -> None:
    """Refuse keywords that ``run()`` does not have.

    Raises:
        ConfigurationError: there is one; the text names a similar one.
    """
    known = [each.name for each in dataclasses.fields(Options)]
    for name in keywords:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {close[0]}?" if close else f"; it knows {', '.join(known)}"
            raise ConfigurationError(f"skitai.run() has no keyword {name!r}{hint}")


class Store:
    """The configuration of this process.

    Attributes:
        options: set by module-level calls.
        has_started: whether ``run()`` was called; after that nothing here changes any more.
        instead: what ``run()`` calls in place of serving, for commands that only look at a script.
    """

    def __init__(self) -> None:
        self.options = Options()
        self.has_started = False
        self.instead: Callable[[Options], NoReturn] | None = None
        self._directory = ""
        self.set_script(sys.argv[0] if sys.argv else "")

    def set_script(self, script: str) -> None:
        """Say which script runs; its directory is the working directory of the server."""
        self._directory = os.path.dirname(os.path.join(os.getcwd(), script))

    @property
    def directory(self) -> str:
        """The directory of the run script."""
        return self._directory

    def set(self, **values: Any) -> None:
        """Set options, unless the server has started."""
        if not self.has_started:
            for name, value in values.items():
                setattr(self.options, name, value)


store = Store()


def is_true(name: str) -> bool:
    """Whether an environment variable says yes; ``0`` and empty say no."""
    return os.environ.get(name, "") not in ("", "0")


def _require(is_right: bool, name: str, value: object, wanted: str) -> None:
    if not is_right:
        raise ConfigurationError(f"{name}={value!r} cannot be: give {wanted}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
