"""``app.enable_openapi()``: a description of the routes for machines, after OpenAPI 3.1.

It is made of what is there anyway: rules and their variables, methods, content types, the arguments of functions with
their annotations and defaults, docstrings, and which routes need a login.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from skitai.saddle.auth import is_guarded
from skitai.saddle.rules import PATH, Variable
from skitai.saddle.schemas import Schema, schema_of, schema_of_kind, with_default

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.routes import Route

VERSION = "3.1.0"

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
#: Methods that an OpenAPI path may have, but for those that Saddle answers by itself.
_DESCRIBED = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
#: Bodies whose fields become arguments.
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_JSON = "application/json"
_SECURITY = "login"


def enable(
    app: Saddle,
    path: str = "/openapi.json",
    title: str | None = None,
    version: str = "1.0.0",
    description: str = "",
    **options: Any,
) -> None:
    """Serve an OpenAPI document of this app. Without this call there is none.

    Args:
        path: its rule in the app.
        title: of the API; the name of the app when not given. version: of the API. description: of it, in Markdown.
        **options: of the route, as for ``@app.route``, for instance ``authenticate=True``.

    A route with the option ``openapi=False`` is left out; with ``openapi={"summary": "..."}`` these entries are
    put into its description.

    Raises:
        SetupError: after the first request.
    """
    info = {"title": title or app.name or "API", "version": version}
    if description:
        info["description"] = description
    texts: dict[str, str] = {}

    def openapi(was: Any) -> Any:
        text = texts.get(was.point)
        if text is None:
            text = texts[was.point] = json.dumps(describe(was.app, info, was.point), indent=1)
        return was.response("200 OK", text, [("Content-Type", _JSON)])

    app.route(path, methods=["GET"], openapi=False, **options)(openapi)


def describe(app: Saddle, info: dict[str, Any], point: str = "") -> dict[str, Any]:
    """Return the document.

    Args:
        app: whose routes. info: title and version. point: where the app is mounted.
    """
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for route in app.all_routes():
        if route.options.get("openapi") is False:
            continue
        item = paths.setdefault(_path_of(route), {})
        for method in _methods_of(route):
            # Of several routes for the same the first one is reached.
            if method.lower() not in item:
                item[method.lower()] = _operation(app, route, method, names)
    document: dict[str, Any] = {
        "openapi": VERSION,
        "info": info,
        "servers": [{"url": point or "/"}],
        "paths": {path: item for path, item in paths.items() if item},
    }
    if any("security" in each for item in paths.values() for each in item.values()):
        scheme = {"type": "http", "scheme": app.authorization}
        document["components"] = {"securitySchemes": {_SECURITY: scheme}}
    return document


# A route


def _path_of(route: Route) -> str:
    def text(piece: str | Variable) -> str:
        return f"{{{piece.name}}}" if isinstance(piece, Variable) else quote(piece, safe="~!$&'()*+,;=:@")

    return "/" + "/".join("".join(map(text, segment)) for segment in route.rule.segments)


def _methods_of(route: Route) -> list[str]:
    """A route that names no methods takes all: what it is for is to be read or, with a content type, to be sent to."""
    if not route.methods:
        return ["POST"] if route.content_types else ["GET"]
    return [method for method in _DESCRIBED if method in route.methods]


def _operation(app: Saddle, route: Route, method: str, names: set[str]) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": _unused(route.name, method, names), **_texts(route)}
    if len(route.chain) > 1:
        operation["tags"] = [route.part.name or route.part.packagename]
    content_types = sorted(route.content_types)
    is_form = method in _WITH_BODY and (not content_types or any(each in _FORMS for each in content_types))
    parameters = [_path_parameter(route, variable) for variable in route.rule.variables]
    fields = [name for name in route.arguments.names if name not in route.rule.names]
    if not is_form:
        parameters += [_query_parameter(route, name) for name in fields]
    if parameters:
        operation["parameters"] = parameters
    body = _body(route, fields, content_types) if method in _WITH_BODY else None
    if body is not None:
        operation["requestBody"] = body
    operation["responses"] = _responses(app, route)
    if is_guarded(app, route):
        operation["security"] = [{_SECURITY: []}]
    own = route.options.get("openapi")
    return {**operation, **own} if isinstance(own, dict) else operation


def _unused(name: str, method: str, names: set[str]) -> str:
    candidates: Iterator[str] = iter((name, f"{name}_{method.lower()}"))
    number = 2
    found = next(candidates)
    while found in names:
        found = next(candidates, f"{name}_{number}")
        number += 1
    names.add(found)
    return found


def _texts(route: Route) -> dict[str, str]:
    text = inspect.getdoc(route.function) or ""
    summary, _, description = text.partition("\n\n")
    texts = {"summary": " ".join(summary.split()), "description": description.strip()}
    return {name: text for name, text in texts.items() if text}


# Arguments


def _argument_schema(route: Route, name: str) -> Schema:
    arguments = route.arguments
    default = arguments.defaults.get(name)
    if name in arguments.annotations:
        schema = schema_of(arguments.annotations[name])
    else:
        # Without an annotation text stays text, but the default may be anything.
        schema = {"type": "string"} if default is None or isinstance(default, str) else {}
    return schema if default is None else with_default(schema, default)


def _path_parameter(route: Route, variable: Variable) -> dict[str, Any]:
    schema = schema_of_kind(variable.kind)
    annotation = route.arguments.annotations.get(variable.name)
    if annotation is not None and schema == {"type": "string"}:
        schema = schema_of(annotation)
    parameter: dict[str, Any] = {"name": variable.name, "in": "path", "required": True, "schema": schema}
    if variable.kind is PATH:
        parameter["description"] = "The rest of the path; it may have slashes."
    return parameter


def _query_parameter(route: Route, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": name in route.arguments.required,
        "schema": _argument_schema(route, name),
    }


def _body(route: Route, fields: list[str], content_types: list[str]) -> dict[str, Any] | None:
    required = [name for name in fields if name in route.arguments.required]
    schema: Schema = {"type": "object", "properties": {name: _argument_schema(route, name) for name in fields}}
    if required:
        schema["required"] = required
    if not content_types:
        if not fields:
            return None
        content_types = list(_FORMS)
    content: dict[str, Any] = {each: {"schema": schema} if each in _FORMS else {} for each in content_types}
    return {"required": bool(required) or not fields, "content": content}


# Responses


def _responses(app: Saddle, route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _result(route)}
    if route.arguments.required or route.arguments.annotations:
        responses["400"] = {"description": "An argument is missing or not of its type."}
    if is_guarded(app, route):
        responses["401"] = {"description": "A login is needed."}
    return responses


def _result(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"description": "OK"}
    annotation = inspect.signature(route.function, eval_str=True).return_annotation
    if annotation is str:
        found["content"] = {"text/html": {"schema": {"type": "string"}}}
    return found
