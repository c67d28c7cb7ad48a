"""Settings of what is not built yet are taken, and said to do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from skitai.configuration import IDLE, Options

SCRIPT = """
def app(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

if __name__ == "__main__":
    import skitai
    {before}
    skitai.mount("/", app)
    skitai.run(port=0, workers=2{more})
"""


def test_they_are_warned_of_once(workplace) -> None:
    before = 'skitai.enable_proxy(); skitai.cron("* * * * *", "true")'
    script = workplace.serve(SCRIPT.format(before=before, more=', smtpda={"server": "a", "password": "hidden"}'))
    assert script.get().text == "hello"
    script.stop()
    (line,) = [line for line in script.text.splitlines() if "without effect" in line]
    assert "[warn" in line and "proxy, smtpda, cron" in line
    assert "hidden" not in line


def test_others_are_not(workplace) -> None:
    script = workplace.serve(SCRIPT.format(before="pass", more=", keep_alive=10"))
    assert script.get().text == "hello"
    script.stop()
    assert "without effect" not in script.text


@pytest.mark.parametrize("name", IDLE)
def test_the_page_of_settings_lists_them(name: str) -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    assert f"`{name}`" in page.partition("## Kept for later versions")[2].partition("## Environment")[0]
    assert hasattr(Options(), name)
