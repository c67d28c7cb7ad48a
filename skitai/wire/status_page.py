"""``was.status()``: masking what is secret, and an HTML page of nested facts. Pure functions, no state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from skitai.wire import masking
from skitai.wire.masking import MASK

# Names of what nobody should see. A name that merely contains one, as "monkey" does "key", is masked too: better so.
_SECRET: Final = re.compile(
    r"key|passw|passphrase|pwd|secret|token|credential|auth|cookie|session|signature|private|salt|dsn|jwt|cert_?data",
    re.IGNORECASE,
)
#: Nested deeper than this, facts are shown as text.
_DEEPEST: Final = 6

_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;
padding:0 1em}}h1{{font-weight:600}}h2{{font-size:1.1em;margin:2em 0 .5em}}table{{border-collapse:collapse;width:100%}}
td,th{{border-top:1px solid #8884;padding:.3em .6em;text-align:left;vertical-align:top;overflow-wrap:anywhere}}
th{{font-weight:500;width:14em}}td td,td th{{font-size:.95em}}</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""


def mask(facts: Any, name: str = "", depth: int = 0) -> Any:
    """Return a copy of facts in which what is secret by its name, or a password in a URL, is masked.

    Args:
        facts: a value, or dicts and lists of such. name: of the value. depth: how deep it is nested.
    """
    if name and _SECRET.search(name) and facts not in (None, "", False, True):
        return MASK
    if isinstance(facts, Mapping) and depth < _DEEPEST:
        return {str(key): mask(value, str(key), depth + 1) for key, value in facts.items()}
    if isinstance(facts, (list, tuple, set, frozenset)) and depth < _DEEPEST:
        return [mask(each, "", depth + 1) for each in facts]
    if facts is None or isinstance(facts, (bool, int, float)):
        return facts
    return masking.mask(str(facts))


def render(sections: Mapping[str, Any], title: str = "Status") -> str:
    """Return facts as an HTML page, everything escaped.

    Args:
        sections: by title; each a dict, a list of dicts, or a value.
    """
    body = "".join(f"<h2>{escape(name)}</h2>{_render(facts)}" for name, facts in sections.items())
    return _PAGE.format(title=escape(title), body=body)


def _render(facts: Any) -> str:
    if isinstance(facts, Mapping):
        rows = (
            f'<tr><th scope="row">{escape(str(key))}</th><td>{_render(value)}</td></tr>' for key, value in facts.items()
        )
        return f"<table>{''.join(rows)}</table>" if facts else "none"
    if isinstance(facts, (list, tuple)):
        return "<br>".join(_render(each) for each in facts) if facts else "none"
    return escape("" if facts is None else str(facts))
