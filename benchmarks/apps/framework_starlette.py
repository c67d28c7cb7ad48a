"""The five pages in Starlette, for uvicorn."""

from __future__ import annotations

from framework_data import COUNTER, DOCUMENT, HELLO, ROWS, SECRET, TEMPLATE, TEMPLATES, TITLE
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

templates = Jinja2Templates(directory=TEMPLATES)


async def hello(request: Request) -> Response:
    """A short text."""
    return PlainTextResponse(HELLO)


async def json(request: Request) -> Response:
    """A small document."""
    return JSONResponse(DOCUMENT)


async def arguments(request: Request) -> Response:
    """Three arguments out of the path."""
    found = request.path_params
    return PlainTextResponse(f"{found['year'] + 1} {found['month'] + 1} {found['name']}")


async def page(request: Request) -> Response:
    """A page of 50 rows."""
    return templates.TemplateResponse(request, TEMPLATE, {"title": TITLE, "rows": ROWS})


async def session(request: Request) -> Response:
    """A value read from the session, and written to it."""
    visits = request.session.get(COUNTER, 0) + 1
    request.session[COUNTER] = visits
    return PlainTextResponse(str(visits))


# Sessions for their route only: the others need not pay for them.
sessions = [Middleware(SessionMiddleware, secret_key=SECRET)]
app = Starlette(
    routes=[
        Route("/", hello),
        Route("/json", json),
        Route("/arguments/{year:int}/{month:int}/{name}", arguments),
        Route("/page", page),
        Route("/session", session, middleware=sessions),
    ]
)
