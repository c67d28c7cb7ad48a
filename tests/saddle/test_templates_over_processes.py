"""Templates in a server of its own process: found beside the app file, read again, delimiters doubled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scripts import Workplace

SERVICE = """
import skitai

if __name__ == "__main__":
    skitai.mount("/", "site/app.py")
    skitai.run(port=0, workers=0)
"""
APP = """
from skitai.saddle import Saddle
import members

app = Saddle(__name__)
app.use_reloader = True
app.mount("/members", members)

@app.route("/")
def index(was, name="you"):
    return was.render("index.html", name=name)
"""
MEMBERS = """
from skitai.saddle import Saddlery

part = Saddlery(__name__)

@part.route("/<name>")
def hello(was, name):
    return was.render("index.html", name=name) + "; " + was.render2("show.htm", name=name)
"""


def change(path: Path, text: str) -> None:
    """Write a file so that its time differs from before."""
    info = path.stat()
    path.write_text(text)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 2_000_000_000))


@pytest.mark.row("SAD-TPL-03", "SAD-TPL-12", "SAD-TPL-14", "SAD-TPL-16")
def test_templates_beside_the_app_and_beside_a_part(workplace: Workplace) -> None:
    workplace.file("site/app.py", APP)
    workplace.file("site/members/__init__.py", MEMBERS)
    page = workplace.file("site/templates/index.html", "Hello, {{ name }}")
    workplace.file("site/members/templates/show.htm", "own {{ name }}")
    server = workplace.serve(SERVICE, name="service.py")
    assert server.get("/").text == "Hello, you"
    assert server.get("/?name=%3Cb%3E").text == "Hello, &lt;b&gt;"
    assert server.get("/members/Hans").text == "Hello, Hans; own Hans"
    change(page, "Bye, {{ name }}")
    assert server.get("/").text == "Bye, you"
    assert server.stop() == 0


@pytest.mark.row("MNT-13")
def test_two_versions_of_an_app_share_templates_and_apps_in_their_own_directories_do_not(workplace: Workplace) -> None:
    app = """
        from skitai.saddle import Saddle
        app = Saddle(__name__)
        app.route("/")(lambda was: was.render("index.html", file=__file__.rpartition("/")[2]))
    """
    for name in ("app_v1.py", "app_v2.py", "own/app.py"):
        workplace.file(name, app)
    workplace.file("templates/index.html", "shared {{ file }} {{ was.ab('/') }}")
    workplace.file("own/templates/index.html", "own {{ file }}")
    server = workplace.serve(
        """
        import skitai

        if __name__ == "__main__":
            skitai.mount("/v1", "app_v1.py")
            skitai.mount("/v2", "app_v2.py")
            skitai.mount("/own", "own/app.py")
            skitai.run(port=0, workers=0)
        """,
        name="service.py",
    )
    texts = [server.get(path).text for path in ("/v1/", "/v2/", "/own/")]
    assert texts == ["shared app_v1.py /v1/", "shared app_v2.py /v2/", "own app.py"]
    assert server.stop() == 0


@pytest.mark.row("SAD-TPL-09")
def test_doubled_delimiters_under_the_launcher(workplace: Workplace) -> None:
    workplace.file("templates/index.html", "##1 #name#\n% for each in 'ab'\n<a href='##'>#each#</a>\n% endfor\n")
    server = workplace.serve(
        """
        import skitai
        from skitai.saddle import Saddle

        app = Saddle(__name__)
        app.jinja_overlay("#", "#")

        @app.route("/")
        def index(was):
            return was.render("index.html", name="<Hans>")

        if __name__ == "__main__":
            skitai.mount("/", app)
            skitai.run(port=0, workers=0)
        """
    )
    assert server.get("/").text == "#1 &lt;Hans&gt;\n<a href='#'>a</a>\n<a href='#'>b</a>\n"
    assert server.stop() == 0
