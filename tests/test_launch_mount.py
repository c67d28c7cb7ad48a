"""``skitai.mount()`` and preferences, over real processes; the documents' examples as written, but for the ports."""

from __future__ import annotations

import http.client

import pytest

WSGI = """
def app(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["{text} " + env["SCRIPT_NAME"] + "|" + env["PATH_INFO"]]
"""


@pytest.mark.row("MNT-01", "MNT-02")
def test_an_app_object_is_used_as_it_is(workplace) -> None:
    """Under any name, without running the script again (C-65, C-75)."""
    script = workplace.serve(
        """
        print("script runs as", __name__)
        app = None

        def other(env, start_response):
            start_response("200 OK", [])
            return [__name__]

        if __name__ == "__main__":
            import skitai
            assert skitai.mount("/", other) is None
            skitai.run(port=0)
        """
    )
    assert script.get().text == "__main__"
    assert "script runs as skitai" not in script.text


@pytest.mark.row("MNT-01")
@pytest.mark.parametrize(
    "call",
    [
        'mount("/", "one.py", "first", pref)',
        'mount(mount_point="/", mount_object="one.py", app_name="first", pref=pref)',
        'mount(point="/", target="one.py", appname="first", pref=pref)',
    ],
)
def test_both_spellings_of_the_keywords(workplace, call: str) -> None:
    workplace.file("one.py", WSGI.format(text="one").replace("def app", "def first"))
    script = workplace.serve(f"import skitai\npref = skitai.pref()\nskitai.{call}\nskitai.run(port=0)\n")
    assert script.get("/x").text == "one |/x"


@pytest.mark.row("MNT-03", "MNT-04", "MNT-17")
@pytest.mark.parametrize(
    "target", ["app_v1/app.py", "app_v1/app", "{here}/app_v1/app.py", "{here}/app_v1/../app_v1/app"]
)
def test_an_app_file_with_and_without_its_suffix(workplace, target: str) -> None:
    workplace.file("app_v1/app.py", WSGI.format(text="one"))
    target = target.format(here=workplace.directory)
    script = workplace.serve(f"import skitai\nskitai.mount('/', {target!r})\nskitai.run(port=0)\n", name="service.py")
    assert script.get("/x").text == "one |/x"


@pytest.mark.row("MNT-04", "MNT-08")
def test_a_directory_wins_over_a_file_of_its_name(workplace) -> None:
    workplace.file("site.py", WSGI.format(text="the app"))
    workplace.file("site/page.txt", "the directory")
    script = workplace.serve("import skitai\nskitai.mount('/', 'site')\nskitai.run(port=0)\n")
    assert script.get("/page.txt").text == "the directory"


@pytest.mark.row("MNT-05", "MNT-08")
def test_several_apps_of_one_file(workplace) -> None:
    workplace.file("static/readme.txt", "static file")
    script = workplace.serve(
        """
        print("executed as", __name__)
        #WSGI App

        def app1 (env, start_response):
          start_response ("200 OK", [("Content-Type", "text/plain")])
          return ['Hello World']

        app1.use_reloader = True
        app1.debug = True


        # Flask App*
        from flask import Flask
        app2 = Flask(__name__)

        app2.use_reloader = True
        app2.debug = True

        @app2.route("/")
        def index ():
          return "Hello Flask"

        if __name__ == "__main__":

          import skitai

          skitai.mount ('/t1', __file__, 'app1')
          skitai.mount ('/t2', __file__, 'app2')
          skitai.mount ('/', 'static')
          skitai.run (port = 0)
        """
    )
    assert script.get("/t1/").text == "Hello World"
    assert script.get("/t2/").text == "Hello Flask"
    assert script.get("/readme.txt").text == "static file"
    # Once before and once after patching as the script, once as a module; its __main__ block did not run in that.
    assert script.text.count("executed as __main__") == 2
    assert script.text.count("executed as skitai_app") == 1


UNSUB = {
    "unsub/__init__.py": "secret = 'of unsub'",
    "unsub/helper.py": "from unsub import secret",
    "unsub/export/skitai/app.py": """
        from unsub import helper
        from . import part

        class Config(dict):
            __getattr__ = dict.__getitem__

        def app(env, start_response):
            start_response("200 OK", [])
            return [f"{helper.secret} {part.name} {app.config.urllist} {__name__}"]

        app.config = Config(own=1)
    """,
    "unsub/export/skitai/app_v1.py": """
        def app(env, start_response):
            start_response("200 OK", [])
            return ["v1 " + str(getattr(app, "config", {}).get("urllist"))]
    """,
    "unsub/export/skitai/part.py": "name = 'a part'",
    "unsub/export/skitai/cronjob.py": "",
    "unsub/export/skitai/__init__.py": """
        import skitai

        def bootstrap (pref):
          if pref.config.get ('enable_cron'):
            from . import cronjob
            skitai.cron ('*/10 * * * *', cronjob.__file__)

          with open (pref.config.urlfile, "r") as f:
            urllist = []
            while 1:
              line = f.readline ().strip ()
              if not line: break
              urllist.append (line.split ("\\t", 4))
            pref.config.urllist = urllist
          print ("bootstrap ran")
    """,
    "resources/urllist.txt": "a\tb\nc\n",
}


@pytest.mark.row("MNT-06", "MNT-07", "EXPORT-01", "EXPORT-02", "EXPORT-03", "EXPORT-04", "EXPORT-05", "PREF-06")
def test_an_app_that_a_module_exports(workplace) -> None:
    for name, text in UNSUB.items():
        workplace.file(name, text)
    script = workplace.serve(
        """
        import skitai
        import unsub

        pref = skitai.pref ()
        pref.config.urlfile = skitai.joinpath ('resources', 'urllist.txt')
        pref.config.enable_cron = True

        skitai.mount ("/v0", unsub, "app", pref)
        skitai.mount ("/v1", (unsub, "app_v1.py"), "app", pref)
        print ("cron", skitai._store.options.cron)
        skitai.run (port = 0)
        """,
        name="service.py",
    )
    assert script.get("/v0/").text == "of unsub a part [['a', 'b'], ['c']] unsub.export.skitai.app"
    assert script.get("/v1/").text == "v1 [['a', 'b'], ['c']]"
    # Once for each mount, and not in the process that was replaced by a patched one.
    assert script.text.count("bootstrap ran") == 2
    assert script.line(r"cron \['\*/10 \* \* \* \* .*cronjob.py'")


@pytest.mark.row("MNT-06")
def test_a_module_without_an_export_is_refused(workplace) -> None:
    workplace.file("bare/__init__.py")
    script = workplace.script("import skitai, bare\nskitai.mount('/', bare)\nskitai.run(port=0)\n")
    assert script.run() == 2
    assert "module bare cannot be mounted: it exports no app" in script.text


@pytest.mark.row("MNT-10", "RUN-13", "MNT-12")
def test_microservices_as_the_document_lays_them_out(workplace) -> None:
    """Apps and helper packages of the same names, each with its own (C-73)."""
    for name in ("service", "service/trade", "service/intro", "service/admin"):
        workplace.file(f"{name}/apppackages/__init__.py", f"from .deep import WHO\nassert WHO == '{name}'")
        workplace.file(f"{name}/apppackages/deep.py", f"WHO = '{name}'")
        workplace.file(f"{name}/helper.py", "import apppackages.deep\nWHO = apppackages.deep.WHO")
        workplace.file(
            f"{name}/app.py",
            """
            import apppackages
            import apppackages.deep as deep
            from apppackages import WHO
            from apppackages.deep import WHO as again
            from . import helper

            def app(env, start_response):
                from apppackages import deep as late
                import helper as plain
                import importlib
                assert plain is helper
                start_response("200 OK", [])
                return [" ".join([WHO, again, apppackages.WHO, deep.WHO, late.WHO, helper.WHO])]
            """,
        )
    workplace.file("service/static/js/x.js", "js")
    here = workplace.directory
    script = workplace.serve(
        f"""
        import skitai

        skitai.run (
          mount = [
            ('/service', ('{here}/service/app', 'app')),
            ('/service/trade', ('{here}/service/trade/app', 'app')),
            ('/service/intro', ('{here}/service/intro/app', 'app')),
            ('/service/admin', ('{here}/service/admin/app', 'app')),
            ('/', '{here}/service/static')
          ],
          port = 0
        )
        """,
        name="run/service.py",
    )
    for name in ("service", "service/trade", "service/intro", "service/admin"):
        assert script.get(f"/{name}/").text == " ".join([name] * 6)
    assert script.get("/js/x.js").text == "js"


@pytest.mark.row("MNT-12")
def test_one_app_mounted_twice_is_two_apps(workplace) -> None:
    workplace.file("one.py", "count = []\n" + WSGI.format(text="{app.color}").replace('["{', '[f"{'))
    script = workplace.serve(
        """
        import skitai
        for color in ("red", "blue"):
            pref = skitai.pref()
            pref.color = color
            skitai.mount("/" + color, "one.py", "app", pref)
        skitai.run(port=0)
        """
    )
    assert script.get("/red/x").text == "red /red|/x"
    assert script.get("/blue/x").text == "blue /blue|/x"


@pytest.mark.row("MNT-13", "MNT-16")
def test_versions_in_one_directory_share_templates_and_in_own_ones_do_not(workplace) -> None:
    flask = """
        from flask import Flask, render_template, url_for
        app = Flask(__name__)

        @app.route("/")
        def index():
            return render_template("index.html", version="{version}")

        @app.route("/hello")
        def hello():
            return url_for("hello")
    """
    workplace.file("templates/index.html", "shared {{ version }}")
    for version in ("v1", "v2"):
        workplace.file(f"app_{version}.py", flask.format(version=version))
        workplace.file(f"app_{version}d/app.py", flask.format(version=version))
        workplace.file(f"app_{version}d/templates/index.html", f"own {version} {{{{ version }}}}")
        workplace.file(f"app_{version}d/static/x.txt", version)
    script = workplace.serve(
        """
        import skitai

        skitai.mount ('/v1', 'app_v1')
        skitai.mount ('/v2', 'app_v2')
        skitai.mount ('/d1', 'app_v1d/static'),
        skitai.mount ('/d1', 'app_v1d/app'),
        skitai.mount ('/d2', 'app_v2d/static'),
        skitai.mount ('/d2', 'app_v2d/app')
        skitai.run (port = 0)
        """,
        name="service.py",
    )
    assert [script.get(path).text for path in ("/v1/", "/v2/", "/d1/", "/d2/")] == [
        "shared v1",
        "shared v2",
        "own v1 v1",
        "own v2 v2",
    ]
    assert [script.get(path).text for path in ("/d1/x.txt", "/d2/x.txt")] == ["v1", "v2"]
    assert script.get("/v1/hello").text == "/v1/hello"


@pytest.mark.row("MNT-11")
def test_a_file_comes_before_an_app_at_the_same_point(workplace) -> None:
    workplace.file("static/page", "a file")
    script = workplace.serve(
        WSGI.format(text="app")
        + """
if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.mount("/", "static")
    skitai.run(port=0)
"""
    )
    assert script.get("/page").text == "a file"
    assert script.get("/other").text == "app |/other"
    connection = http.client.HTTPConnection("127.0.0.1", script.port, timeout=60)
    connection.request("POST", "/page", b"x")
    assert connection.getresponse().read() == b"app |/page"
    connection.close()


@pytest.mark.row("MNT-14", "MNT-15", "MNT-16", "MNT-19", "RUN-12", "RUN-14")
def test_the_longest_mount_point_on_a_slash_serves(workplace) -> None:
    script = workplace.serve(
        """
        def make(name):
            def app(env, start_response):
                start_response("200 OK", [])
                return [f"{name} {env['SCRIPT_NAME']}|{env['PATH_INFO']}"]
            return app

        import skitai
        skitai.run(port=0, mount={"/a": make("a"), "/a/b": make("b")})
        """
    )
    assert script.get("/a/x").text == "a /a|/x"
    assert script.get("/a/b/x").text == "b /a/b|/x"
    assert script.get("/a/bx").text == "a /a|/bx"
    assert script.get("/ab").status == 404
    assert "404" in script.get("/").text
    redirect = script.get("/a/b?q=1")
    assert (redirect.status, redirect.headers["Location"]) == (308, "/a/b/?q=1")


@pytest.mark.row("RUN-12", "RUN-13", "RUN-14")
@pytest.mark.parametrize(
    "mounts", ['("/", app)', '[("/", app)]', '{"/": app}', '{"default": [("/", app)]}', '{"default": ("/", app)}']
)
def test_mounts_as_a_keyword(workplace, mounts: str) -> None:
    script = workplace.serve(WSGI.format(text="one") + f"import skitai\nskitai.run(mount={mounts}, port=0)\n")
    assert script.get("/x").text == "one |/x"


@pytest.mark.row("MNT-18", "LOG-08")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module\n", "<class 'ModuleNotFoundError'> No module named 'no_such_module'"),
        ("def app(:\n", "<class 'SyntaxError'>"),
        ("import sys\nsys.exit(1)\n", "<class 'SystemExit'> 1"),
        ("other = 1\n", "has no variable 'app'"),
        ("app = 1\n", "is not callable"),
    ],
)
def test_an_app_that_fails_to_load_leaves_the_server_running(workplace, text: str, message: str) -> None:
    workplace.file("broken.py", text)
    script = workplace.serve(
        WSGI.format(text="fine")
        + "import skitai\nskitai.mount('/broken', 'broken.py')\nskitai.mount('/', app)\nskitai.run(port=0)\n"
    )
    assert script.get("/x").text == "fine |/x"
    assert script.get("/broken/x").status == 404
    assert script.line(r"\[expt\] .*")
    assert message in script.text
    assert script.line(r"\[error\] application load failed: .*broken.py:app")
    assert script.line(r"\[info\] application / imported\.")


@pytest.mark.row("LOG-08")
def test_an_exception_of_an_app_is_logged(workplace) -> None:
    script = workplace.serve(
        "def app(env, start_response):\n    raise KeyError('gone')\n"
        "import skitai\nskitai.mount('/', app)\nskitai.run(port=0)\n"
    )
    assert script.get().status == 500
    assert script.line(r"\[expt:GTID-\S+\] <class 'KeyError'> 'gone' .*app\.py\|app\|2\]")


@pytest.mark.row("VHOST-01", "VHOST-06")
def test_a_virtual_host_has_mounts_of_its_own(workplace) -> None:
    for name in ("site1", "site2"):
        workplace.file(f"{name}.py", WSGI.format(text=name))
    script = workplace.serve(
        """
        if __name__ == "__main__":

          import skitai
          skitai.vmount ('www.site1.com', '/', 'site1.py')
          pref = skitai.pref ()
          skitai.vmount ('www.site2.com', '/', 'site2.py', 'app', pref)
          skitai.vmount (['a.site3.com', 'b.site3.com'], '/', 'site1.py')
          skitai.run (port = 0)
        """
    )
    assert script.get("/x", "www.site1.com").text == "site1 |/x"
    assert script.get("/x", "www.site2.com:80").text == "site2 |/x"
    assert script.get("/x", "b.site3.com").text == "site1 |/x"
    assert script.get("/x", "other.com").status == 404


PREFERRED = """
import json
config = {config}

def app(env, start_response):
    start_response("200 OK", [])
    return [json.dumps([app.use_reloader, app.debug, dict(app.config)])]

app.use_reloader = False
app.debug = False
if config is not None:
    app.config = config
"""


@pytest.mark.row("PREF-01", "PREF-02", "PREF-03", "PREF-05", "PREF-07", "MNT-20")
@pytest.mark.parametrize(
    ("config", "merged"),
    [("None", '{"prefA": 1, "prefB": 2}'), ('{"own": 0, "prefA": 0}', '{"own": 0, "prefA": 1, "prefB": 2}')],
)
def test_preferences_override_the_app(workplace, config: str, merged: str) -> None:
    workplace.file("app_v1/app.py", PREFERRED.format(config=config))
    script = workplace.serve(
        """
        import skitai

        pref = skitai.pref ()
        pref.use_reloader = 1
        pref.debug = 1

        pref.config ["prefA"] = 1
        pref.config.prefB = 2

        skitai.mount ("/v1", "app_v1/app.py", "app", pref)
        skitai.run (port = 0)
        """,
        name="service.py",
    )
    assert script.get("/v1/").text == f"[1, 1, {merged}]"


@pytest.mark.row("PREF-02", "PREF-03", "MNT-20")
def test_preferences_of_a_flask_app(workplace) -> None:
    script = workplace.serve(
        """
        from flask import Flask
        app = Flask(__name__)
        app.config["own"] = 0

        @app.route("/")
        def page():
            return [app.debug, app.use_reloader, app.config["own"], app.config["prefA"]]

        if __name__ == "__main__":
            import skitai
            pref = skitai.pref()
            pref.debug = True
            pref.use_reloader = True
            pref.config.prefA = 1
            skitai.mount("/", app, pref=pref)
            skitai.run(port=0)
        """
    )
    assert "".join(script.get().text.split()) == "[true,true,0,1]"


@pytest.mark.row("PREF-06", "RUN-33", "RUN-27")
def test_a_bootstrap_beside_the_app_file(workplace) -> None:
    workplace.file("logs/cron.log", "a log")
    workplace.file("urls.txt", "a\tb\n")
    workplace.file("app_v1/cronjob.py", "")
    workplace.file(
        "app_v1/app.py",
        "def app(env, start_response):\n    start_response('200 OK', [])\n    return [str(app.config.urllist)]\n",
    )
    workplace.file(
        "app_v1/__init__.py",
        f"""
        import skitai
        from . import cronjob

        def bootstrap (pref):
          if pref.config.get ('enable_cron'):
            skitai.cron ('*/10 * * * *', "%s >> /var/log/sitai/cron.log" % cronjob.__file__)
            skitai.mount ('/cron-log', '{workplace.directory}/logs')

          with open (pref.config.urlfile, "r") as f:
            pref.config.urllist = []
            while 1:
              line = f.readline ().strip ()
              if not line: break
              pref.config.urllist.append (line.split ("\\t", 4))
        """,
    )
    script = workplace.serve(
        """
        import skitai
        pref = skitai.pref()
        pref.config.enable_cron = True
        pref.config.urlfile = skitai.joinpath("urls.txt")
        skitai.mount("/v1", "app_v1/app", "app", pref)
        print("cron", skitai._store.options.cron)
        skitai.run(port=0)
        """,
        name="service.py",
    )
    assert script.get("/v1/").text == "[['a', 'b']]"
    assert script.get("/cron-log/cron.log").text == "a log"
    assert script.line(r"cron \['\*/10 \* \* \* \* .*/app_v1/cronjob\.py >> /var/log/sitai/cron\.log'\]")


@pytest.mark.row("PREF-06")
def test_a_bootstrap_without_preferences_gets_new_ones(workplace) -> None:
    workplace.file("one/__init__.py", "def bootstrap(pref):\n    pref.color = 'red'\n    pref.config.x = 1\n")
    workplace.file("one/app.py", WSGI.format(text="{app.color} {app.config.x}").replace('["{', '[f"{'))
    script = workplace.serve("import skitai\nskitai.mount('/', 'one/app')\nskitai.run(port=0)\n")
    assert script.get("/").text == "red 1 |/"


@pytest.mark.row("RUN-33")
def test_calls_behind_the_start_change_nothing(workplace) -> None:
    workplace.file(
        "one.py",
        WSGI.format(text="one")
        + "import skitai\nskitai.mount('/late', 'no such file')\nskitai.alias('@late', 'http', 'x')\n",
    )
    script = workplace.serve("import skitai\nskitai.mount('/', 'one.py')\nskitai.run(port=0)\n")
    assert script.get("/x").text == "one |/x"
    assert "Traceback" not in script.text
    assert "load failed" not in script.text


@pytest.mark.row("RUN-11")
def test_clusters_as_a_keyword(workplace) -> None:
    script = workplace.serve(
        """
        from skitai.wire import clusters

        def app(env, start_response):
            start_response("200 OK", [])
            found = clusters.definitions.values()
            return [repr(sorted((each.name, each.kind, len(each.members), each.role, each.tls) for each in found))]

        import skitai
        skitai.alias("@replaced", skitai.PROTO_HTTP, "localhost")
        skitai.run(port=0, mount=("/", app), clusters={
            "@mysearch": ("https", ["s1.myserver.com:443", "s2.myserver.com:443"]),
            "plain": ("http", "localhost:5000"),
            "@full": ("http", ["a", "b", "c"], "admin", "172.30.1.0/24", True),
            "@made": skitai.alias("@made", skitai.DB_PGSQL, "localhost"),
        })
        """
    )
    assert eval(script.get().text) == [  # noqa: S307
        ("full", "https", 3, "admin", True),
        ("made", "postgresql", 1, "", False),
        ("mysearch", "https", 2, "", True),
        ("plain", "http", 1, "", False),
    ]


@pytest.mark.row("RUN-32")
def test_max_age_of_static_files(workplace) -> None:
    workplace.file("static/x.txt", "x")
    workplace.file("static/js/x.js", "x")
    script = workplace.serve(
        """
        import skitai
        skitai.mount ('/', 'static')
        skitai.set_max_age ("/", 300)
        skitai.set_max_age ('/js', 0)
        skitai.run (port = 0)
        """
    )
    assert script.get("/x.txt").headers["Cache-Control"] == "max-age=300"
    assert script.get("/x.txt").headers["Expires"]
    assert script.get("/js/x.js").headers["Cache-Control"] is None
