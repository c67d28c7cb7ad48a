"""Databases in whole servers: jobs while an app starts, queries of Flask and Saddle apps, async responses."""

from __future__ import annotations

import json

import psycopg2
import pytest

from tests.scripts import Workplace
from tests.servers import Address

SADDLE = """
    import os
    import skitai
    from skitai.saddle import Saddle

    app = Saddle(__name__)
    app.cache = {"STATENAMES": {}}

    def create_cache(res):
        for row in res.data:
            app.cache["STATENAMES"][row.code] = row.name
        skitai.was.log("cache is there")

    @app.startup
    def startup(wasc):
        states = "select * from (values ('NY', 'New York'), ('OH', 'Ohio')) t (code, name);"
        wasc.ajob("@mydb", create_cache).execute(states)

    @app.route("/")
    def index(was):
        return was.jstream({"names": was.app.cache["STATENAMES"], "same": app.cache is was.app.cache})

    @app.route("/query")
    def query(was, keyword):
        dbo = was.postgresql.lb("@mydb")
        req = dbo.execute("select %s as keyword", (keyword,))
        result = req.getwait(10)
        return was.jstream({"found": result.data})

    def respond(response, proxy):
        proxy.done(str(response.data[0].n))

    @app.route("/later")
    def later(was):
        proxy = was.aresponse(respond)
        proxy.postgresql(None, "@mydb").execute("select 6 * 7 as n")
        return proxy

    @app.route("/callback")
    def callback(was):
        got = lambda result: was.log(f"callback got {result.data[0].n}")
        was.postgresql("@mydb", callback=got).execute("select 5 as n")
        return "asked"

    if __name__ == "__main__":
        skitai.alias("@mydb", skitai.DB_PGSQL, [os.environ["MYDB"]])
        skitai.mount("/", app)
        skitai.run(port=0, **({"threads": 0} if "SINGLE" in os.environ else {}))
"""


@pytest.mark.row("WAS-DB-14", "WAS-DB-15")
def test_a_cache_that_is_filled_at_startup(workplace: Workplace, postgres: Address) -> None:
    script = workplace.serve(SADDLE, MYDB=postgres.member)
    script.line("cache is there")
    assert json.loads(script.get("/").text) == {"names": {"NY": "New York", "OH": "Ohio"}, "same": True}
    assert json.loads(script.get("/query?keyword=a'b").text) == {"found": [{"keyword": "a'b"}]}
    assert script.get("/later").text == "42"
    assert script.stop() == 0


@pytest.mark.row("WAS-DB-14")
def test_the_single_thread_mode_calls_back(workplace: Workplace, postgres: Address) -> None:
    script = workplace.serve(SADDLE, MYDB=postgres.member, SINGLE="yes")
    script.line("cache is there")
    assert script.get("/later").text == "42"
    assert script.get("/callback").text == "asked"
    script.line("callback got 5")
    assert script.get("/query?keyword=a").status == 500
    script.line("Should have callback in Main thread")
    assert script.stop() == 0


@pytest.mark.row("WAS-DB-14")
def test_a_startup_without_its_database_is_logged(workplace: Workplace) -> None:
    script = workplace.serve(SADDLE, MYDB="127.0.0.1:1/x/y/secret")
    script.line("Job Failed: @mydb execute: 714 Connection Failure")
    assert json.loads(script.get("/").text)["names"] == {}
    assert script.stop() == 0
    assert "secret" not in script.text


FLASK = """
    import os
    from flask import Flask
    from skitai import was

    app = Flask(__name__)

    @app.route("/")
    def index():
        queries = [was.postgresql("@mydb").execute("select pg_sleep(0.1), %s as n", (n,)) for n in range(5)]
        return {"found": [query.getwait(10).data[0].n for query in queries]}

    if __name__ == "__main__":
        import skitai

        skitai.alias("@mydb", skitai.DB_PGSQL, os.environ["MYDB"])
        skitai.mount("/", app)
        skitai.run(port=0, workers=2)
"""


@pytest.mark.row("WAS-PG-01")
def test_flask_asks_a_database_and_leaves_no_connection(workplace: Workplace, postgres: Address) -> None:
    script = workplace.serve(FLASK, MYDB=postgres.member)
    for _ in range(4):
        assert json.loads(script.get("/").text) == {"found": [0, 1, 2, 3, 4]}
    assert script.stop() == 0
    # The connections were closed in peace: the server has none of them any more.
    with psycopg2.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, password=postgres.password, dbname="template1"
    ) as connection:
        cursor = connection.cursor()
        while True:
            cursor.execute("select count(*) from pg_stat_activity where application_name like 'Skitai%'")
            if cursor.fetchone() == (0,):
                break
            connection.rollback()
    connection.close()
