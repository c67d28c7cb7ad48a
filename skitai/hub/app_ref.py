"""A mounted app of a worker: loaded once, and with ``use_reloader`` again whenever its files change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, Final, Protocol

from gevent.lock import Semaphore

from skitai.errors import ConfigurationError
from skitai.hub.pages import HTML, error_page
from skitai.hub.units import Home
from skitai.lib.attributes import AttributeDict, Preference
from skitai.net import logs

#: Seconds that requests wait for another one that is reloading; then they are served by the app as it was. An app that
#: calls its own server while it is loaded would wait for itself otherwise.
PATIENCE: Final = 5.0

# One app at a time: modules are taken out of sys.modules and put back.
_reloading = Semaphore(1)


class Source(Protocol):
    """Where an app comes from: see :mod:`skitai.hub.loader`."""

    @property
    def name(self) -> str:
        """What logs call it."""

    def home(self) -> Home | None:
        """Where to find it anew when its file changed."""

    def load(self) -> Any:
        """The app."""


StartResponse = Callable[..., Any]


class AppRef:
    """A mounted app of a worker.

    Args:
        point: where it is mounted.
        source: where it comes from.
        pref: what to set on it.

    Attributes:
        app: the WSGI callable; before :meth:`load`, and when that failed, one that answers 404.
        is_loaded: whether ``app`` is the real one.
    """

    def __init__(self, point: str, source: Source, pref: Preference | None) -> None:
        self.point = point
        self.name = source.name
        self.app: Any = _answer_not_found
        self.is_loaded = False
        self._source = source
        self._pref = pref
        self._log: logs.Logger | None = None
        self._home: Home | None = None
        self._version = 0

    def __repr__(self) -> str:
        return f"<AppRef {self.name} at {self.point} {'loaded' if self.is_loaded else 'not loaded'}>"

    @property
    def debug(self) -> bool:
        """Whether the app asks for error pages with tracebacks."""
        return bool(getattr(self.app, "debug", False))

    @property
    def is_reloading(self) -> bool:
        """Whether :meth:`refresh` is to be called before requests."""
        wanted = getattr(self.app if self.is_loaded else self._pref, "use_reloader", False)
        return self._home is not None and bool(wanted)

    def load(self, log: logs.Logger) -> bool:
        """Import the app and apply its preferences. A failure is logged, and the server goes on without the app.

        Args:
            log: the app log.

        Returns:
            Whether that worked.
        """
        self._log = log
        try:
            self._home = self._source.home()
            app = self._source.load()
            self._prepare(app)
        except (Exception, SystemExit) as error:
            log.traceback(error=error)
            log.log(f"application load failed: {self.name}", "error")
            self._note_version()
            return False
        self._take(app)
        log.log(f"application {self.point} imported.")
        if self._home is None and getattr(app, "use_reloader", False):
            log.log(f"use_reloader does nothing for {self.name}: no module has it as a variable", "warn")
        return True

    # Reloading

    def refresh(self) -> None:
        """Load the app anew if something changed, at most once per second. What fails is logged, and the app stays.

        A request calls this before it is served, when :attr:`is_reloading`.
        """
        home = self._home
        if home is None or not (home.unit.is_due or home.unit.version != self._version) or not self.is_reloading:
            return
        if not _reloading.acquire(timeout=PATIENCE):
            return
        try:
            self._refresh(home)
        except (Exception, SystemExit) as error:
            self._complain(error)
        finally:
            _reloading.release()

    def _refresh(self, home: Home) -> None:
        home.unit.refresh()
        # Another app of the same file may have been the first to see a change of it.
        if home.unit.version == self._version:
            return
        # Also when what follows fails: it would fail again, until something changes.
        self._note_version()
        app = home.pick()
        self._prepare(app)
        if self.is_loaded:
            _preserve(self.app, app)
        if is_native(app):
            app.begin(self.point, is_reload=self.is_loaded)
        self._take(app)
        if self._log is not None:
            self._log.log(f"application {self.point} reloaded.")

    def _complain(self, error: BaseException) -> None:
        if self._log is not None:
            self._log.traceback(error=error)
            self._log.log(f"application reload failed, the former one goes on: {self.name}", "error")

    # Both

    def _prepare(self, app: Any) -> None:
        if not callable(app):
            raise ConfigurationError(f"{self.name} is not callable, so it is no WSGI app")
        if self._pref is not None:
            apply_preference(app, self._pref)
        if self._home is not None:
            self._home.unit.watch(_names(getattr(app, "packages", ())), _part_modules(app))

    def _take(self, app: Any) -> None:
        self.app = app
        self.is_loaded = True
        self._note_version()

    def _note_version(self) -> None:
        if self._home is not None:
            self._version = self._home.unit.version


def is_native(app: Any) -> bool:
    """Tell whether an app is called with exchanges: see :mod:`skitai.hub.native`."""
    return callable(getattr(app, "handle", None)) and callable(getattr(app, "begin", None))


def apply_preference(app: Any, pref: Mapping[str, Any]) -> None:
    """Set every attribute of ``pref`` on an app, and merge ``pref.config`` into its ``config``.

    Args:
        app: any object that takes attributes.
        pref: what to override.

    Raises:
        AttributeError: the app does not take attributes.
    """
    for name, value in pref.items():
        if name != "config":
            setattr(app, name, value)
    entries = pref.get("config")
    if not entries:
        return
    config = getattr(app, "config", None)
    if config is None:
        app.config = config = AttributeDict()
    config.update(entries)


def _preserve(former: Any, app: Any) -> None:
    """Hand on what the app wants to keep, as ``app.PRESERVES_ON_RELOAD = ["cache"]``."""
    for name in _names(getattr(app, "PRESERVES_ON_RELOAD", ())):
        if hasattr(former, name):
            setattr(app, name, getattr(former, name))


def _part_modules(app: Any) -> Iterable[ModuleType]:
    """The modules that its parts came from, of an app that is made of parts."""
    find = getattr(app, "part_modules", None)
    return find() if is_native(app) and find is not None else ()


def _names(value: Any) -> list[str]:
    """What of an attribute of any app is a list of names."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple | set) else []


def _answer_not_found(environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    body = error_page(404)
    start_response("404 Not Found", [*HTML, ("Content-Length", str(len(body)))])
    return [body]
