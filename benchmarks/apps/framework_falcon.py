"""The five pages in Falcon. It has no sessions: itsdangerous, which signs those of Flask, signs a cookie here."""

from __future__ import annotations

import falcon
from falcon import Request, Response
from framework_data import COUNTER, DOCUMENT, HELLO, ROWS, SECRET, TEMPLATE, TEMPLATES, TITLE
from itsdangerous import BadSignature, URLSafeTimedSerializer
from jinja2 import Environment, FileSystemLoader

templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
serializer = URLSafeTimedSerializer(SECRET)


class Hello:
    """A short text."""

    def on_get(self, request: Request, response: Response) -> None:
        """Answer."""
        response.content_type = falcon.MEDIA_TEXT
        response.text = HELLO


class Json:
    """A small document."""

    def on_get(self, request: Request, response: Response) -> None:
        """Answer."""
        response.media = DOCUMENT


class Arguments:
    """Three arguments out of the path."""

    def on_get(self, request: Request, response: Response, year: int, month: int, name: str) -> None:
        """Answer."""
        response.content_type = falcon.MEDIA_TEXT
        response.text = f"{year + 1} {month + 1} {name}"


class Page:
    """A page of 50 rows."""

    def on_get(self, request: Request, response: Response) -> None:
        """Answer."""
        response.content_type = falcon.MEDIA_HTML
        response.text = templates.get_template(TEMPLATE).render(title=TITLE, rows=ROWS)


class Session:
    """A value read from a signed cookie, and written to it."""

    def on_get(self, request: Request, response: Response) -> None:
        """Answer."""
        try:
            values = serializer.loads(request.cookies["session"], max_age=3600)
        except (KeyError, BadSignature):
            values = {}
        visits = values.get(COUNTER, 0) + 1
        text = serializer.dumps({**values, COUNTER: visits})
        assert isinstance(text, str)
        response.set_cookie("session", text, path="/", secure=False, same_site="Lax")
        response.content_type = falcon.MEDIA_TEXT
        response.text = str(visits)


app = falcon.App()
app.add_route("/", Hello())
app.add_route("/json", Json())
app.add_route("/arguments/{year:int}/{month:int}/{name}", Arguments())
app.add_route("/page", Page())
app.add_route("/session", Session())
