"""The OpenAPI document of an app, checked by a validator that is not ours."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from skitai.saddle import Saddle, Saddlery
from skitai.saddle.schemas import schema_of, with_default
from skitai.saddle.uploads import UploadedFile


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def document(app: Saddle, point: str = "", path: str = "/openapi.json") -> dict[str, Any]:
    answer = app.test_client(point).get(point + path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = json.loads(answer.text)
    OpenAPIV31SpecValidator(found).validate()
    return found


def test_there_is_none_without_asking(app) -> None:
    assert app.test_client().get("/openapi.json").status == 404


def test_arguments_of_a_query(app, visit) -> None:
    @app.route("/add/<int:a>/<float:f>/<name>", methods=["GET"])
    def add(was, a: int, f, name, b: float, color: Color = Color.RED, ids: list[int] | None = None, text="x"):
        """Adds two numbers.

        Whatever *they* are.
        """

    app.enable_openapi(title="Sums", version="2.1", description="About sums.")
    found = json.loads(visit(app).get("/openapi.json").text)
    assert found == document(app)
    assert found["openapi"] == "3.1.0"
    assert found["info"] == {"title": "Sums", "version": "2.1", "description": "About sums."}
    assert list(found["paths"]) == ["/add/{a}/{f}/{name}"]
    operation = found["paths"]["/add/{a}/{f}/{name}"]["get"]
    assert operation["operationId"] == "add"
    assert (operation["summary"], operation["description"]) == ("Adds two numbers.", "Whatever *they* are.")
    assert "400" in operation["responses"]
    assert [(each["name"], each["in"], each["required"], each["schema"]) for each in operation["parameters"]] == [
        ("a", "path", True, {"type": "integer", "minimum": 0}),
        ("f", "path", True, {"type": "number", "minimum": 0}),
        ("name", "path", True, {"type": "string"}),
        ("b", "query", True, {"type": "number"}),
        ("color", "query", False, {"enum": ["red", "blue"], "default": "red"}),
        ("ids", "query", False, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}),
        ("text", "query", False, {"type": "string", "default": "x"}),
    ]


def test_fields_of_a_form(app) -> None:
    @app.route("/order/<id>", methods=["POST", "DELETE", "OPTIONS"])
    def order(was, id: UUID, count: int, image: UploadedFile | None = None, **rest):
        return ""

    @app.route("/hook", methods=["PUT"], content_types=["application/json"])
    def hook(was, source="web"):
        return ""

    app.enable_openapi()
    paths = document(app)["paths"]
    post, delete = paths["/order/{id}"]["post"], paths["/order/{id}"]["delete"]
    assert set(paths["/order/{id}"]) == {"post", "delete"}
    assert post["parameters"] == delete["parameters"][:1]
    assert post["parameters"][0]["schema"] == {"type": "string", "format": "uuid"}
    assert [each["name"] for each in delete["parameters"]] == ["id", "count", "image"]
    assert "requestBody" not in delete
    assert (post["operationId"], delete["operationId"]) == ("order", "order_delete")
    content = post["requestBody"]["content"]
    assert set(content) == {"application/x-www-form-urlencoded", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"]["required"] == ["count"]
    assert post["requestBody"]["required"]
    assert paths["/hook"]["put"]["requestBody"]["content"] == {"application/json": {}}
    assert paths["/hook"]["put"]["parameters"][0]["in"] == "query"


def test_parts_mount_points_and_paths(app) -> None:
    part = Saddlery()
    part.packagename = "admin"

    @app.route("/page-<int:n>.html")
    def page(was, n) -> str:
        return ""

    @part.route("/{curly}/<path>")
    def page_of_part(was, path):
        return ""

    app.mount("/admin", part)
    app.enable_openapi("/api/description")
    found = document(app, "/math", "/api/description")
    assert found["servers"] == [{"url": "/math"}]
    assert found["paths"]["/page-{n}.html"]["get"]["responses"]["200"]["content"] == {
        "text/html": {"schema": {"type": "string"}}
    }
    operation = found["paths"]["/admin/%7Bcurly%7D/{path}"]["get"]
    assert operation["tags"] == ["admin"]
    assert "slashes" in operation["parameters"][0]["description"]


def test_a_login_is_described_and_needed(app) -> None:
    app.authorization = "basic"
    app.realm = "test"
    app.users = {"joe": "secret-of-joe"}

    @app.route("/open")
    def open_(was):
        return ""

    @app.route("/closed", authenticate=True)
    def closed(was):
        return ""

    app.enable_openapi(authenticate=True)
    client = app.test_client()
    assert client.get("/openapi.json").status == 401
    found = json.loads(client.get("/openapi.json", auth=("joe", "secret-of-joe")).text)
    OpenAPIV31SpecValidator(found).validate()
    assert found["components"] == {"securitySchemes": {"login": {"type": "http", "scheme": "basic"}}}
    assert found["paths"]["/closed"]["get"]["security"] == [{"login": []}]
    assert "security" not in found["paths"]["/open"]["get"]
    assert "joe" not in json.dumps(found)


def test_a_route_may_hide_and_may_say_more(app) -> None:
    @app.route("/hidden", openapi=False)
    def hidden(was):
        return ""

    @app.route("/said", openapi={"summary": "Said here", "deprecated": True})
    def said(was):
        """Not this."""

    app.enable_openapi()
    found = document(app)
    assert list(found["paths"]) == ["/said"]
    assert found["paths"]["/said"]["get"]["summary"] == "Said here"
    assert found["paths"]["/said"]["get"]["deprecated"] is True


def test_several_routes_of_one_rule(app) -> None:
    for name in ("one", "two", "two"):

        def function(was):
            return ""

        function.__name__ = name
        app.route("/same" if name == "one" else f"/{len(app.declarations)}")(function)
        app.route("/same")(function)
    app.enable_openapi()
    paths = document(app)["paths"]
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (bool, {"type": "boolean"}),
        (Decimal, {"type": "number"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (int | None, {"type": ["integer", "null"]}),
        (int | str, {"type": ["integer", "string"]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Annotated[int, "more"], {"type": "integer"}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (tuple[int, str], {"type": "array"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (list, {"type": "array"}),
        (object, {}),
        ("text", {}),
    ],
)
def test_schemas(annotation, schema) -> None:
    assert schema_of(annotation) == schema


@pytest.mark.parametrize(
    ("default", "value"), [(date(2026, 1, 31), "2026-01-31"), ((), []), ({1}, [1]), (Color.BLUE, "blue"), (0, 0)]
)
def test_defaults(default, value) -> None:
    assert with_default({}, default) == {"default": value}


@pytest.mark.parametrize("default", [object(), float("nan"), b"x", [object()]])
def test_defaults_that_json_cannot_say_are_left_out(default) -> None:
    assert with_default({"type": "string"}, default) == {"type": "string"}


@given(st.text(min_size=1))
def test_any_text_in_docstrings_and_titles(text) -> None:
    app = Saddle(__name__)

    def page(was, x=text):
        return ""

    page.__doc__ = text
    app.route("/")(page)
    app.enable_openapi(title=text)
    assert json.loads(app.test_client().get("/openapi.json").text)["info"]["title"] == text
