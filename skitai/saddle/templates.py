"""``was.render()``: templates of Jinja2 and Chameleon, found beside the app or beside one of its parts.

An engine is imported when its first template is used. A template is compiled once, and kept as long as its app.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from skitai.saddle.errors import SetupError, TemplateMissing
from skitai.was._context import Context, current

if TYPE_CHECKING:
    import jinja2

    from skitai.saddle.app import Saddle
    from skitai.saddle.part import Part
    from skitai.saddle.service import Was

#: Ends of the names of Chameleon's templates; all others are Jinja2's.
PAGE_TEMPLATES = (".pt", ".ptal")


class Template(Protocol):
    """What the engines have in common, and what hooks get."""

    def render(self, values: dict[str, Any], /) -> str:
        """Return the page."""


class Directory:
    """The templates of an app, or of a part that has its own.

    Args:
        app: whose settings hold. home: the directory that ``templates`` is in.
    """

    def __init__(self, app: Saddle, home: str) -> None:
        self._app = app
        self.path = os.path.join(home, "templates")
        self._environment: jinja2.Environment | None = None
        self._page_templates: dict[str, Template] = {}

    @property
    def environment(self) -> jinja2.Environment:
        """The Jinja2 environment, made when it is first needed. That of a part has the settings of its app."""
        if self._environment is None:
            from skitai.saddle import jinja

            loader = jinja.Loader(self.path, self._is_watching)
            main = self._app.templates.main
            self._environment = (
                jinja.make_environment(loader) if main is self else main.environment.overlay(loader=loader)
            )
        return self._environment

    def overlay(self, **options: Any) -> jinja2.Environment:
        """Replace the Jinja2 environment by one with other options. Errors as :func:`skitai.saddle.jinja.overlay`."""
        from skitai.saddle import jinja

        self._environment = jinja.overlay(self.environment, **options)
        return self._environment

    def get(self, name: str) -> Template:
        """Return a template.

        Args:
            name: relative to the directory; slashes in front are ignored.

        Raises:
            TemplateMissing: there is none, or the name leads out of the directory.
            SetupError: its engine is not installed.
            Exception: it cannot be compiled; what the engines raise then names the line.
        """
        name = name.lstrip("/")
        if name.endswith(PAGE_TEMPLATES):
            return self._page_templates.get(name) or self._open_page_template(posixpath.normpath(name))
        environment = self.environment
        from jinja2 import TemplateNotFound

        try:
            return environment.get_template(name)
        except TemplateNotFound as error:
            raise TemplateMissing(name, self.path) from error

    def _open_page_template(self, name: str) -> Template:
        path = os.path.join(self.path, name)
        if not _is_inside(name) or not os.path.isfile(path):
            raise TemplateMissing(name, self.path)
        # Under the plain name only: the many other ways to write it must not each fill a place.
        if name in self._page_templates:
            return self._page_templates[name]
        try:
            from skitai.saddle.page_templates import PageTemplate
        except ImportError as error:
            if error.name is None or error.name.partition(".")[0] != "chameleon":
                raise
            raise SetupError(f"{name!r} is a template of Chameleon: pip install 'skitai[chameleon]'") from error
        made = self._page_templates[name] = PageTemplate(path, self.path, self._is_watching)
        return made

    def _is_watching(self) -> bool:
        return self._app.use_reloader or self._app.debug


class Templates:
    """All templates of an app.

    Args:
        app: whose.

    Attributes:
        main: those beside the app. globals: what ``@app.template_global`` was told; Jinja2's environment has them too.
    """

    def __init__(self, app: Saddle) -> None:
        self._app = app
        self.main = Directory(app, app.home or "")
        self.globals: dict[str, Any] = {}
        self._of_parts: dict[Part, Directory] = {}

    def of(self, part: Part) -> Directory:
        """Return the templates of a part.

        Raises:
            SetupError: it was made without a name, so it has none.
        """
        if part is self._app:
            return self.main
        if part not in self._of_parts:
            if part.home is None:
                raise SetupError(
                    f"{part} has no templates of its own: create it as Saddlery(__name__), or use was.render()"
                )
            self._of_parts[part] = Directory(self._app, part.home)
        return self._of_parts[part]

    def overlay(self, **options: Any) -> jinja2.Environment:
        """Replace the Jinja2 environment of the app, and so those of its parts. See :meth:`Directory.overlay`."""
        made = self.main.overlay(**options)
        self._of_parts.clear()
        return made

    def render(self, was: Was, directory: Directory, name: str, values: dict[str, Any]) -> str:
        """Return a page. Errors as :meth:`Directory.get`; and whatever the template raises."""
        values["was"] = was
        template = directory.get(name)
        if name.endswith(PAGE_TEMPLATES):
            values = {**self.globals, **values}
        parts = (self._app,) if was.endpoint is None else was.endpoint.route.chain
        for part in parts:
            if part.hooks.got_template is not None:
                part.hooks.got_template(was, template, values)
        page = template.render(values)
        for part in reversed(parts):
            if part.hooks.template_rendered is not None:
                part.hooks.template_rendered(was, template, values, page)
        return page


def render(was: Was, template: str, variables: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    """Return the page that a template of the app makes; also in parts it is one of the app.

    Args:
        template: its name below the directory ``templates`` beside the app file. One that ends with ``.pt`` or
            ``.ptal`` is of Chameleon, any other of Jinja2.
        variables: that it can use besides ``was``; either these,
        **more: or these.

    Raises:
        AssertionError: both were given.
        TemplateMissing: there is no such template.
    """
    templates = was.app.templates
    return templates.render(was, templates.main, template, _values(variables, more))


def render2(was: Was, template: str, variables: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    """Return the page that a template of the current part makes, one beside the module of that part.

    Raises:
        SetupError: the part was made without a name. Others as :func:`render`.
    """
    return _render_own(was.subapp, was, template, variables, **more)


def render_in(part: Part, /, *args: Any, **more: Any) -> str:
    """Return the page that a template of this part makes: ``part.render2("show.htm", name=name)``.

    Args:
        *args: as :func:`render2`, with or without ``was`` in front. **more: as there.

    Raises:
        AttributeError: without ``was``, while no request of Saddle is served. Others as :func:`render2`.
    """
    if args and isinstance(args[0], Context):
        return _render_own(part, *args, **more)
    return _render_own(part, current(), *args, **more)


def _render_own(part: Part, was: Any, template: str, variables: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    templates = was.app.templates
    return str(templates.render(was, templates.of(part), template, _values(variables, more)))


def _values(variables: Mapping[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    if variables is None:
        return more
    if more:
        raise AssertionError("Can't Use Dictionary and Keyword Args Both")
    return dict(variables)


def _is_inside(name: str) -> bool:
    """Tell whether a name stays in its directory, in every notation."""
    return "\\" not in name and "\0" not in name and ".." not in name.split("/")
