"""What is mounted where, as a script says it: the shapes that ``skitai.mount()`` and ``run(mount=...)`` take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from skitai.errors import ConfigurationError
from skitai.hub.loader import AppFile, AppObject, resolve
from skitai.hub.site import DEFAULT_HOST
from skitai.lib.attributes import Preference


@dataclass(frozen=True)
class Mount:
    """One mount as the script asked for it.

    Attributes:
        point: URL path.
        target: anything that :func:`skitai.hub.loader.resolve` takes, then what that returned.
        app_name: the variable of an app file.
        pref: what to set on the app.
        host: host names separated by blanks.
    """

    point: str
    target: Any
    app_name: str = "app"
    pref: Preference | None = None
    host: str = DEFAULT_HOST


def read_mounts(value: Any, host: str = DEFAULT_HOST) -> list[Mount]:
    """Read the ``mount=`` of ``run()``.

    Args:
        value: ``("/", app)``; a list of such; or a dict from mount point to target, or from virtual host to its mounts.
            A mount may have an app name and preferences behind its target.
        host: the virtual host of all of them.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(value, Mount):
        return [value]
    if isinstance(value, Mapping):
        return [mount for key, inner in value.items() for mount in _read_entry(str(key), inner, host)]
    if isinstance(value, tuple) and 2 <= len(value) <= 4 and isinstance(value[0], str):
        point, target, *rest = value
        app_name, pref = (*rest, "app", None)[:2] if rest else ("app", None)
        return [Mount(point, target, app_name, read_preference(pref), host)]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [mount for each in value for mount in read_mounts(each, host)]
    raise ConfigurationError(f"mount={value!r} cannot be read: give (mount_point, target), or a list of such")


def _read_entry(key: str, inner: Any, host: str) -> list[Mount]:
    return read_mounts((key, inner), host) if key.startswith("/") else read_mounts(inner, key)


def read_preference(pref: Any) -> Preference | None:
    """Accept a plain dict where ``skitai.pref()`` is meant.

    Raises:
        ConfigurationError: it is neither.
    """
    if pref is None or isinstance(pref, Preference):
        return pref
    if isinstance(pref, Mapping):
        return Preference(pref)
    raise ConfigurationError(f"pref={pref!r} cannot be read: make it with skitai.pref()")


def resolve_mount(mount: Mount, base: str) -> Mount:
    """A mount with its target resolved, after ``bootstrap(pref)`` of its package has run.

    Args:
        mount: as the script asked for it.
        base: the directory of relative paths.

    Raises:
        ConfigurationError: there is no such target.
        Exception: whatever the bootstrap raises.
    """
    if not isinstance(mount.point, str) or not mount.point.startswith("/"):
        raise ConfigurationError(f"{mount.point!r} is no mount point: it begins with a slash, like '/v1'")
    target = resolve(mount.target, mount.app_name, base)
    pref = mount.pref
    if isinstance(target, AppFile | AppObject):
        # A bootstrap may set preferences although its script gave none.
        pref = Preference() if pref is None else pref
        target.bootstrap(pref)
    return replace(mount, target=target, pref=pref)
