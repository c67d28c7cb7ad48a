"""What every framework answers with in the case ``saddle``, so that only the frameworks differ."""

from __future__ import annotations

from pathlib import Path

HELLO = "Hello, world!"
DOCUMENT = {"message": HELLO, "numbers": [1, 2, 3], "ok": True}
TEMPLATES = str(Path(__file__).resolve().parent / "templates")
TEMPLATE = "rows.html"
TITLE = "50 rows"
# Each name has something to escape.
ROWS = [{"number": number, "name": f"Pen & paper {number}", "price": f"{number * 1.25:.2f}"} for number in range(50)]
SECRET = "a secret of this benchmark only, long enough for all"
COUNTER = "visits"
