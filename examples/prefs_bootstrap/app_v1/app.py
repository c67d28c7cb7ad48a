"""An app with defaults of its own."""

from __future__ import annotations

from typing import Any

from flask import Flask

app = Flask(__name__)
app.config.update(greeting="Hello", links=[], page_size=20)


@app.get("/")
def home() -> dict[str, Any]:
    config = app.config
    return {
        "greeting": config["greeting"], "links": config["links"], "page_size": config["page_size"], "debug": app.debug,
    }  # fmt: skip
