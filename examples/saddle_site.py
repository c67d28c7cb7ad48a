"""A small site in Saddle: a login, a form with an upload, and messages that the next page shows once.

    python saddle_site.py
    http://127.0.0.1:5000/        a board of notes; sign in as "ann" with the password "music" to write one

Its pages are in templates/site. Notes are kept in memory and pictures in a temporary directory, so both are gone when
the server ends.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from skitai.saddle import Saddle

app = Saddle(__name__)
# With a key of its own each start signs everybody out; a real site has one that stays, the same in all processes.
app.securekey = os.environ.get("SECUREKEY") or secrets.token_urlsafe(32)
app.config.max_upload_file_size = 2_000_000
app.config.max_multipart_body_size = 2_500_000

MOST_NOTES = 50
MOST_LETTERS = 500
# How files of these kinds begin: what a browser says of a file is only what somebody claims.
PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
SALT = secrets.token_bytes(16)


def scrambled(password: str) -> bytes:
    """What is kept of a password."""
    return hashlib.scrypt(password.encode("utf8", "replace"), salt=SALT, n=4096, r=8, p=1)


USERS = {"ann": scrambled("music"), "bob": scrambled("chess")}
NOBODY = scrambled(secrets.token_hex())


@dataclass
class Note:
    """A note on the board; ``picture`` is a file name, or nothing."""

    author: str
    text: str
    picture: str
    written: datetime


notes: list[Note] = []


@app.startup
def make_directory(wasc: Any) -> None:
    app.uploads = tempfile.TemporaryDirectory(prefix="saddle-site-")


@app.shutdown
def remove_directory(wasc: Any) -> None:
    app.uploads.cleanup()


@app.before_request
def who_is_it(was: Any) -> None:
    was.g.user = was.session["user"]


@app.finish_request
def be_careful(was: Any) -> None:
    was.response.set_header("X-Content-Type-Options", "nosniff")
    was.response.set_header("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'")


def go(was: Any, function: str, text: str, category: str = "good") -> Any:
    """Let the browser get another page, which shows this message once."""
    was.mbox.send(text, category)
    return was.redirect(was.ab(function), "303 See Other")


# Pages


@app.route("/", methods=["GET"])
def board(was: Any) -> Any:
    return was.render("site/board.html", notes=reversed(notes), most_letters=MOST_LETTERS)


@app.route("/notes", methods=["POST"])
def write(was: Any, text: str = "", picture: Any = None) -> Any:
    if not was.g.user:
        return go(was, "login", "Sign in before you write.", "bad")
    if not text.strip() or len(text) > MOST_LETTERS:
        return go(was, "board", f"A note has 1 to {MOST_LETTERS} letters.", "bad")
    name = ""
    if picture:
        kind = next((kind for start, kind in PICTURES.items() if picture.read().startswith(start)), None)
        if kind is None:
            return go(was, "board", f"{picture.name} is no picture: PNG, JPEG and GIF are.", "bad")
        name = os.path.basename(picture.save(app.uploads.name, f"{secrets.token_hex(8)}.{kind}"))
    notes.append(Note(was.g.user, text.strip(), name, datetime.now(UTC)))
    while len(notes) > MOST_NOTES:
        drop(notes.pop(0))
    return go(was, "board", "Your note is on the board.")


def drop(note: Note) -> None:
    """Remove what a note has on disk."""
    if note.picture:
        os.remove(os.path.join(app.uploads.name, note.picture))


@app.route("/pictures/<path:name>", methods=["GET"])
def picture(was: Any, name: str) -> Any:
    if not any(note.picture == name for note in notes):
        return was.response("404 Not Found")
    return was.fstream(os.path.join(app.uploads.name, name), "image/" + name.rpartition(".")[2])


@app.route("/login", methods=["GET"])
def login(was: Any) -> Any:
    return was.render("site/login.html")


@app.route("/login", methods=["POST"])
def sign_in(was: Any, name: str, password: str) -> Any:
    # For an unknown name it takes as long, so that nobody can find out which names there are.
    if not hmac.compare_digest(USERS.get(name, NOBODY), scrambled(password)):
        return go(was, "login", "This name and password do not belong together.", "bad")
    was.session["user"] = name
    return go(was, "board", f"Welcome, {name}.")


@app.route("/logout", methods=["POST"])
def logout(was: Any) -> Any:
    was.session.clear()
    return go(was, "board", "You are signed out.")


if __name__ == "__main__":
    import skitai

    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
