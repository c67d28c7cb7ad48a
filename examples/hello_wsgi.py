"""The smallest app: one function.

    python hello_wsgi.py
    curl http://127.0.0.1:5000/          says: Hello World

``PORT=8080 python hello_wsgi.py`` takes another port, ``PORT=0`` any free one, which the log names.
"""

import os


def app(env, start_response):  # type: ignore[no-untyped-def]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    # WSGI asks for bytes; text is taken as well, and sent as UTF-8.
    return ["Hello World\n"]


app.use_reloader = True  # type: ignore[attr-defined]
app.debug = True  # type: ignore[attr-defined]


if __name__ == "__main__":
    import skitai

    skitai.mount("/", app)
    skitai.run(address="127.0.0.1", port=int(os.environ.get("PORT", 5000)))
