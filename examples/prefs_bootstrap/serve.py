"""What a server tells an app: preferences, and a package that prepares itself.

    python serve.py
    curl http://127.0.0.1:5000/v1/                  the app, as this script configured it
    curl http://127.0.0.1:5000/v1-notes/read.txt    a directory that the app's package mounted itself

``app_v1/app.py`` runs alone with its own defaults. Here ``pref`` overrides them, after ``bootstrap(pref)`` in
``app_v1/__init__.py`` had its say.
"""

import os

if __name__ == "__main__":
    import skitai

    pref = skitai.pref()
    pref.debug = True  # becomes an attribute of the app
    pref.config.greeting = "Welcome"  # becomes app.config["greeting"]; pref.config["greeting"] is the same
    pref.config.links_file = "links.txt"

    skitai.mount("/v1", "app_v1/app.py", "app", pref)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
