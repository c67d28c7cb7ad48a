"""Saddle, the small framework whose functions take ``was`` as their first argument.

    from skitai.saddle import Saddle

    app = Saddle(__name__)

    @app.route("/hello/<name>")
    def hello(was, name):
        return f"Hello, {name}"

How a request goes through it, and where further ideas fasten (each in a file of its own):

    app.Saddle.handle       native, called by the server with an exchange; wsgi.serve makes an exchange of an environ
    services                bodies that are a protocol: BY_CONTENT_TYPE                            -> a reply
    table, rules, routes    the state tree of URLs: from a path to an endpoint
    endpoint, guards        what stands before the hooks of a route: guards.MAKERS                 -> None or content
    hooks                   before, finish, failed, teardown, nested by parts
    arguments, conversions  URL, query and form become the arguments of the function; forms.PARSERS reads bodies
    service.Was             what ``was`` has: lazy (made when used), effect (and changes the response), methods
    contents, streams       what a function may return; streams.Body is one that sends itself
    replies, pages          from content or an exception to status, fields and body
"""

from __future__ import annotations

from skitai.saddle.app import Saddle
from skitai.saddle.errors import HttpError
from skitai.saddle.part import Saddlery

__all__ = ["HttpError", "Saddle", "Saddlery"]
