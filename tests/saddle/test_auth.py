"""Logins: who is asked for one, who gets in, and who does not."""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64encode
from hashlib import md5, sha256

import pytest
import requests
from requests.auth import HTTPDigestAuth

from skitai.net.once import Once
from skitai.saddle import Saddle, Saddlery, auth
from skitai.saddle.errors import SetupError
from skitai.saddle.nonces import LIFETIME, Nonces
from skitai.wire.auth import Authorization, parse_challenges

REALM = "Partner App Area of mysite.com"
PASSWORD = "iamyourpartnerapp"


def challenges(answer):
    return parse_challenges(value for name, value in answer.fields if name.lower() == "www-authenticate")


def digest(answer, user="app", password=PASSWORD, method="GET", target="/hello/Hans", algorithm=None):
    """The Authorization that a client makes of a 401."""
    known = [each for each in challenges(answer) if algorithm in (None, each.parameters.get("algorithm"))]
    return Authorization.choose(known).value(user, password, method, target)


def log_in(client, user="app", password=PASSWORD, path="/hello/Hans", method="GET", algorithm=None):
    """What a client gets that answers the challenge."""
    asked = client.request(method, path)
    assert asked.status == 401
    value = digest(asked, user, password, method, path, algorithm)
    return client.request(method, path, headers={"Authorization": value})


def hello(app, **options):
    @app.route("/hello/<name>", **options)
    def hello(was, name="Hans Roh"):
        user = was.request.user
        return f"Hello, {name} from {user and (user.name, user.realm, user.info)}"

    return app


@pytest.fixture
def guarded(app):
    """The example of the documents."""
    app.authorization = "digest"
    app.realm = REALM
    app.users = {"app": (PASSWORD, 0, {"role": "root"})}
    app.authenticate = True
    return hello(app)


@pytest.mark.row("SAD-AUTH-01", "SAD-AUTH-04", "SAD-AUTH-06", "SAD-AUTH-10")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_digest_for_the_whole_app(guarded, visit, algorithm) -> None:
    @guarded.route("/other")
    def other(was):
        return "other"

    client = visit(guarded)
    answer = log_in(client, algorithm=algorithm)
    assert answer.status == 200
    assert answer.text == f"Hello, Hans from {('app', REALM, {'role': 'root'})}"
    assert client.get("/other").status == 401
    assert log_in(client, path="/other").text == "other"
    assert log_in(client, path="/hello/a?name=b", method="POST").status == 200


@pytest.mark.row("SAD-AUTH-01", "SAD-AUTH-06", "SAD-APP-07")
def test_defaults(app) -> None:
    assert app.authorization == "digest"
    assert app.authenticate is False
    assert (app.realm, app.users) == (None, {})
    app.users["a"] = "b"
    app.authenticate = True
    another = Saddle(__name__)
    assert (another.users, another.authenticate) == ({}, False)


@pytest.mark.row("SAD-AUTH-01", "SAD-AUTH-06", "SAD-AUTH-10")
def test_basic(guarded, visit) -> None:
    guarded.authorization = "basic"
    client = visit(guarded)
    answer = client.get("/hello/Hans", auth=("app", PASSWORD))
    assert answer.text == f"Hello, Hans from {('app', REALM, {'role': 'root'})}"
    for wrong in (("app", "wrong"), ("app", ""), ("", ""), ("nobody", PASSWORD)):
        refused = client.get("/hello/Hans", auth=wrong)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == f'Basic realm="{REALM}", charset="UTF-8"'
    assert log_in(client, algorithm=None).status == 200


@pytest.mark.row("SAD-AUTH-07", "SAD-AUTH-10", "SAD-ROUTE-04", "SAD-REQ-19")
def test_one_route(app, visit) -> None:
    app.authenticate = False  # as it is by default
    app.realm, app.users = REALM, {"app": PASSWORD}
    hello(app, authenticate=True)

    @app.route("/open")
    def open_(was):
        return repr(was.request.user)

    client = visit(app)
    assert client.get("/hello/Hans").status == 401
    assert log_in(client).text == f"Hello, Hans from {('app', REALM, None)}"
    assert client.get("/open").text == "None"
    assert client.get("/open", auth=("app", "wrong")).text == "None"


@pytest.mark.row("SAD-AUTH-07")
def test_a_route_does_not_lift_what_the_app_says(guarded, visit) -> None:
    @guarded.route("/open", authenticate=False)
    def open_(was): ...

    assert visit(guarded).get("/open").status == 401


def test_a_part_may_ask_for_its_functions(app, visit) -> None:
    app.realm, app.users = REALM, {"app": PASSWORD}
    part, inner = Saddlery(), Saddlery()
    part.authenticate = True
    for each, name in ((app, "/a"), (part, "/b"), (inner, "/c")):
        each.route(name)(lambda was: "in")
    part.mount("/inner", inner)
    app.mount("/part", part)
    client = visit(app)
    paths = ("/a", "/part/b", "/part/inner/c")
    assert [client.get(path).status for path in paths] == [200, 401, 401]
    assert log_in(client, path="/part/inner/c").status == 200


@pytest.mark.row("SAD-AUTH-03")
def test_one_account_as_in_0_15(visit) -> None:
    app = Saddle(__name__)
    app.authorization = "digest"
    app.realm = REALM
    app.user = "app"
    app.password = PASSWORD
    hello(app)
    assert (app.user, app.password) == ("app", PASSWORD)
    client = visit(app)
    assert client.get("/hello/Hans").status == 401
    assert log_in(client).status == 200
    assert log_in(client, user="other").status == 401
    app.password = "new"
    assert log_in(client).status == 401
    assert log_in(client, password="new").status == 200


def test_half_an_account_is_none(app) -> None:
    app.user = "app"
    assert (app.authenticate, app.users) == (False, {})
    app.password = "x"
    app.user = "another"
    assert (app.authenticate, app.users) == (True, {"another": ("x", False)})


def test_an_account_beside_other_users(app) -> None:
    app.users = object()
    app.user = "app"
    with pytest.raises(SetupError, match="either"):
        app.password = "x"


class Users:
    """A collection that is no dict."""

    def get(self, name):
        return {
            "plain": "p",
            "two": ("p", False),
            "three": ("p", 0, "info"),
            "list": ["p", 0, None],
            "md5": (md5(f"md5:{REALM}:p".encode()).hexdigest().upper(), True),
            "sha": (sha256(f"sha:{REALM}:p".encode()).hexdigest(), 1, "strong"),
            "number": 5,
            "broken": ("p", True),
        }.get(name)


@pytest.mark.row("SAD-AUTH-04", "SAD-AUTH-05", "SAD-AUTH-08", "SAD-AUTH-10")
@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_what_a_collection_may_return(app, visit, kind, written) -> None:
    app.authorization, app.realm, app.users = kind, REALM, Users()
    client = visit(hello(app, authenticate=True))

    def visit_as(user, password="p"):
        algorithm = {"md5": "MD5", "sha": "SHA-256"}.get(user) if kind == "digest" else None
        return log_in(client, user, password, algorithm=algorithm)

    infos = {"plain": None, "two": None, "three": "info", "list": None, "md5": None, "sha": "strong"}
    for user, info in infos.items():
        assert visit_as(user).text == f"Hello, Hans from {(user, REALM, info)}"
        assert visit_as(user, "wrong").status == 401
    assert visit_as("nobody").status == 401
    for user in ("number", "broken"):
        answer = visit_as(user)
        assert answer.status == 500
        assert "app.users" not in answer.text
    assert "SetupError" in written.app


@pytest.mark.row("SAD-AUTH-08")
def test_the_encrypted_password_of_the_documents(app, visit) -> None:
    username, realm, password = "app", REALM, PASSWORD
    encrypted_password = md5(("%s:%s:%s" % (username, realm, password)).encode("utf8")).hexdigest()  # noqa: UP031
    app.realm, app.users = realm, {username: (encrypted_password, True, None)}
    client = visit(hello(app, authenticate=True))
    asked = client.get("/hello/Hans")
    assert [each.parameters["algorithm"] for each in challenges(asked)] == ["MD5"]
    assert log_in(client).status == 200
    assert log_in(client, password=encrypted_password).status == 401


def test_an_algorithm_that_cannot_be_checked_is_asked_for_anew(app, visit) -> None:
    app.realm, app.users = REALM, Users()
    client = visit(hello(app, authenticate=True))
    answer = log_in(client, "md5", "p", algorithm="SHA-256")
    assert answer.status == 401
    (challenge,) = challenges(answer)
    assert (challenge.parameters["algorithm"], challenge.parameters["stale"]) == ("MD5", "true")
    value = digest(answer, "md5", "p")
    assert client.get("/hello/Hans", headers={"Authorization": value}).status == 200


# The challenge


@pytest.mark.row("SAD-AUTH-09")
def test_challenge_of_digest(guarded, visit) -> None:
    answer = visit(guarded).get("/hello/Hans")
    assert answer.status == 401
    found = challenges(answer)
    assert [(each.scheme, each.parameters["algorithm"]) for each in found] == [("digest", "SHA-256"), ("digest", "MD5")]
    for each in found:
        assert each.parameters["realm"] == REALM
        assert each.parameters["qop"] == "auth"
        assert len(each.parameters["nonce"]) > 40
        assert each.parameters["opaque"]
        assert "stale" not in each.parameters
    assert "Hello" not in answer.text


@pytest.mark.row("SAD-AUTH-02")
@pytest.mark.parametrize("realm", ['my "own" realm', "back\\slash", "Zürich"])
def test_any_realm(app, visit, realm) -> None:
    app.realm, app.users = realm, {"app": PASSWORD}
    client = visit(hello(app, authenticate=True))
    asked = client.get("/hello/Hans")
    answer = client.get("/hello/Hans", headers={"Authorization": digest(asked, algorithm="MD5")})
    assert answer.text == f"Hello, Hans from {('app', realm, None)}"


def send(client, value, path="/hello/Hans", method="GET"):
    return client.request(method, path, headers={"Authorization": value})


@pytest.mark.row("SAD-AUTH-09")
def test_a_replayed_login_gets_nothing(guarded, visit, written) -> None:
    client = visit(guarded)
    value = digest(client.get("/hello/Hans"))
    assert send(client, value).status == 200
    again = send(client, value)
    assert again.status == 401
    assert {each.parameters.get("stale") for each in challenges(again)} == {"true"}
    assert "stale or replayed" in written.app
    assert "Traceback" not in written.app
    assert send(client, digest(again)).status == 200


def test_a_nonce_is_good_for_several_requests(guarded, visit) -> None:
    client = visit(guarded)
    known = Authorization.choose(challenges(client.get("/hello/Hans")))
    values = [known.value("app", PASSWORD, "GET", "/hello/Hans") for _ in range(3)]
    assert [send(client, values[number]).status for number in (1, 0, 2, 0)] == [200, 200, 200, 401]


@pytest.mark.row("SAD-AUTH-09")
def test_an_old_nonce_is_stale(guarded, visit, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth, "_nonces", Nonces(lambda: now[0], Once()))
    client = visit(guarded)
    known = Authorization.choose(challenges(client.get("/hello/Hans")))
    assert send(client, known.value("app", PASSWORD, "GET", "/hello/Hans")).status == 200
    now[0] += LIFETIME
    answer = send(client, known.value("app", PASSWORD, "GET", "/hello/Hans"))
    assert answer.status == 401
    assert challenges(answer)[0].parameters["stale"] == "true"
    wrong = send(client, known.value("app", "wrong", "GET", "/hello/Hans"))
    assert wrong.status == 401
    assert "stale" not in challenges(wrong)[0].parameters


def test_a_login_is_for_one_request(guarded, visit) -> None:
    @guarded.route("/secret")
    def secret(was): ...

    client = visit(guarded)
    for path, method in (("/secret", "GET"), ("/hello/Hans?x=1", "GET"), ("/hello/Hans", "POST")):
        value = digest(client.get("/hello/Hans"))
        assert send(client, value, path, method).status == 401
        assert send(client, value).status == 200  # it was not used up by somebody who changed it


@pytest.mark.parametrize(
    "change",
    [
        (r'nonce="[^"]*"', 'nonce="abc"'),
        (r'nonce="[^"]*"', 'nonce=""'),
        (r'realm="[^"]*"', 'realm="other"'),
        (r'uri="[^"]*"', 'uri="/other"'),
        (r'uri="[^"]*"', 'uri="http://["'),
        (r"nc=\d+", "nc=00000002"),
        (r"nc=\d+", "nc=ffffffffff"),
        (r"qop=auth", "qop=auth-int"),
        (r'response="[^"]*"', 'response="é"'),
        (r'response="[^"]*"', 'response=""'),
        (r'username="[^"]*"', 'username="nobody"'),
        (r'username="[^"]*"', 'username="a\x01b"'),
        (r'username="[^"]*"', ""),
        (r"algorithm=[A-Z0-9-]+", "algorithm=MD4"),
        (r"algorithm=[A-Z0-9-]+", "algorithm=MD5"),
        ("^Digest", "digest digest"),
        ("^Digest .*", "Digest " + "a=b," * 500),
        ("^Digest .*", "Basic " + b64encode(f"app:{PASSWORD}".encode()).decode()),
        ("^Digest .*", "Bearer x"),
        ("^Digest .*", ""),
    ],
)
def test_a_changed_login_gets_nothing(guarded, written, change) -> None:
    client = guarded.test_client()
    value = digest(client.get("/hello/Hans"))
    changed = re.sub(change[0], lambda _: change[1], value)
    assert changed != value
    answer = send(client, changed)
    assert answer.status == 401
    assert "Hello" not in answer.text
    assert challenges(answer)
    assert "401 for GET /hello/Hans from 127.0.0.1" in written.app
    assert "Traceback" not in written.app + answer.text
    assert PASSWORD not in written.app


def test_the_name_of_a_user_cannot_end_a_line_of_the_log(guarded, written) -> None:
    guarded.authorization = "basic"
    guarded.test_client().get("/hello/Hans", auth=("a\u2028b\u0085c", "x"))
    assert "a\\u2028b\\x85c" in written.app


# Nothing to check a login by


@pytest.mark.row("SAD-AUTH-02")
@pytest.mark.parametrize("kind", ["basic", "digest"])
@pytest.mark.parametrize(
    ("realm", "users", "missing"),
    [(None, {"app": PASSWORD}, "app.realm"), ("", {"app": PASSWORD}, "app.realm"), (REALM, {}, "app.users"),
     (REALM, None, "app.users"), (REALM, ["app"], "app.users"), (None, {}, "app.realm")],
)  # fmt: skip
def test_without_realm_or_users_nobody_gets_in(app, visit, written, kind, realm, users, missing) -> None:
    app.authorization, app.realm, app.users, app.authenticate = kind, realm, users, True
    client = visit(hello(app))
    client.get("/hello/Hans")
    assert re.search(rf"\[error:auth\].*nobody can log in.*{re.escape(missing)}", written.app)
    assert client.get("/hello/Hans").status == 401
    assert log_in(client).status == 401


def test_a_start_hook_may_load_the_users(app, written) -> None:
    app.realm = REALM

    @app.startup
    def startup(wasc):
        app.users = {"app": PASSWORD}

    assert log_in(hello(app, authenticate=True).test_client()).status == 200
    assert "nobody" not in written.app


def test_it_cannot_be_switched_on_too_late(app) -> None:
    hello(app).test_client().get("/hello/Hans")
    with pytest.raises(SetupError, match="authenticate"):
        app.authenticate = True


def test_an_unknown_kind(app) -> None:
    app.authorization, app.authenticate = "ntlm", True
    with pytest.raises(SetupError, match="ntlm"):
        hello(app).test_client().get("/hello/Hans")


# OPTIONS


@pytest.mark.row("SAD-AUTH-11")
def test_options_is_not_asked_and_runs_nothing(guarded, visit) -> None:
    @guarded.route("/listed", methods=["GET", "OPTIONS"])
    @guarded.route("/all")
    def secret(was):
        return "secret"

    client = visit(guarded)
    for path in ("/listed", "/all"):
        answer = client.options(path)
        assert (answer.status, answer.content) == (200, b"")
        assert "GET" in answer.headers["Allow"]
        assert client.get(path).status == client.head(path).status == 401


def test_every_other_method_is_asked(guarded, visit) -> None:
    client = visit(guarded)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/hello/Hans").status == 401, method


# The request log, hooks


def test_the_request_log_has_the_user(guarded, run, written) -> None:
    running = run({"": guarded})
    answer = requests.get(
        f"http://127.0.0.1:{running.port}/hello/Hans", auth=HTTPDigestAuth("app", PASSWORD), timeout=30
    )
    assert answer.status_code == 200
    written.logs.flush()
    assert '"app"' in written._others.getvalue().decode()


def test_hooks_see_only_who_was_let_in(guarded, visit) -> None:
    names = []

    @guarded.before_request
    def before(was):
        names.append(was.request.user.name)

    client = visit(guarded)
    client.get("/hello/Hans", auth=("app", "x"))
    log_in(client)
    assert names == ["app"]


# Other people's clients


def curl(port, *options, path="/hello/Hans"):
    command = ["curl", "-sS", "-w", " %{http_code}", *options, f"http://127.0.0.1:{port}{path}"]
    return subprocess.run(command, capture_output=True, timeout=30, text=True).stdout


@pytest.mark.parametrize("user", ["app", "Hans Röh"])
def test_curl(guarded, run, user) -> None:
    guarded.users = {user: "ä:b"}
    port = run({"": guarded}).port
    seen = f"Hello, Hans from {(user, REALM, None)} 200"
    assert curl(port, "--digest", "-u", f"{user}:ä:b") == seen
    assert curl(port, "--anyauth", "-u", f"{user}:ä:b") == seen
    assert curl(port, "--digest", "-u", f"{user}:wrong").endswith(" 401")
    assert curl(port, "--basic", "-u", f"{user}:ä:b").endswith(" 401")
    assert curl(port).endswith(" 401")
    assert curl(port, "--digest", "-u", f"{user}:ä:b", "-F", "name=1", path="/hello/a%20b?name=c").endswith(" 200")


def test_curl_basic(guarded, run) -> None:
    guarded.authorization, guarded.users = "basic", {"Hans Röh": "ä:b"}
    port = run({"": guarded}).port
    assert curl(port, "--basic", "-u", "Hans Röh:ä:b") == f"Hello, Hans from {('Hans Röh', REALM, None)} 200"
    assert curl(port, "--anyauth", "-u", "Hans Röh:ä:b").endswith(" 200")
    assert curl(port, "--basic", "-u", "Hans Röh:x").endswith(" 401")


def test_curl_finds_out_by_what_a_password_is_encrypted(guarded, run) -> None:
    guarded.users = Users()
    port = run({"": guarded}).port
    for user in ("md5", "sha", "plain"):
        assert curl(port, "--digest", "-u", f"{user}:p").endswith(" 200"), user
        assert curl(port, "--digest", "-u", f"{user}:wrong").endswith(" 401"), user


def test_requests(guarded, run) -> None:
    guarded.users = {"app": PASSWORD, "md5": Users().get("md5")}
    port = run({"": guarded}).port
    for user, password in (("app", PASSWORD), ("md5", "p")):
        with requests.Session() as session:
            session.auth = HTTPDigestAuth(user, password)
            answers = [session.get(f"http://127.0.0.1:{port}/hello/{n}", timeout=30) for n in range(5)]
            assert [each.status_code for each in answers] == [200] * 5
            assert [len(each.history) for each in answers] == [1, 0, 0, 0, 0]  # one challenge is enough
    wrong = requests.get(f"http://127.0.0.1:{port}/hello/a", auth=HTTPDigestAuth("app", "x"), timeout=30)
    assert wrong.status_code == 401


SCRIPT = """
import skitai
from skitai.saddle import Saddle

app = Saddle(__name__)
app.realm, app.users = "R", {"app": "secret"}

@app.route("/", authenticate=True)
def index(was):
    return "in"

@app.route("/upload", authenticate=True, methods=["POST"])
def upload(was, file):
    return f"{was.request.user.name} {file.name} {file.size} {file.path}"

if __name__ == "__main__":
    skitai.mount("/", app)
    skitai.run(port=0, workers=2)
"""


def test_uploads_with_a_login_to_several_workers(workplace) -> None:
    script = workplace.serve(SCRIPT)
    url = f"http://127.0.0.1:{script.port}/upload"
    for _ in range(6):
        # The first answer closes, because nobody reads the body; the second request may come to the other worker.
        with requests.Session() as session:
            session.auth = HTTPDigestAuth("app", "secret")
            answer = session.post(url, files={"file": ("x.bin", b"x" * 300_000)}, timeout=30)
            assert answer.status_code == 200, script.text
            user, name, size, path = answer.text.split()
            assert (user, name, size) == ("app", "x.bin", "300000")
            assert not os.path.exists(path)
    assert requests.post(url, files={"file": b"x"}, timeout=30).status_code == 401
    assert script.stop() == 0


@pytest.mark.row("SAD-AUTH-09")
def test_a_login_is_good_for_one_of_several_workers(workplace) -> None:
    script = workplace.serve(SCRIPT)
    url = f"http://127.0.0.1:{script.port}/"
    asked = requests.get(url, timeout=30)
    known = Authorization.choose(parse_challenges([asked.headers["WWW-Authenticate"]]))
    values = [known.value("app", "secret", "GET", "/") for _ in range(3)]
    for value in values:
        # Each on a connection of its own, which any worker may take.
        statuses = [requests.get(url, headers={"Authorization": value}, timeout=30).status_code for _ in range(8)]
        assert statuses == [200] + [401] * 7
    assert script.stop() == 0
