"""The patches, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from skitai import patches
from tests.scripts import PATIENCE
from tests.servers import Address

ROOT = Path(__file__).resolve().parent.parent


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_patches_are_applied_once_and_in_order() -> None:
    assert patches.is_applied()
    before = patches.applied()
    assert before == ("gevent", "psycopg", "pymongo", "grpc", "jinja2", "asyncio", "multiprocessing")
    patches.apply()
    assert patches.applied() == before


def test_nothing_is_patched_by_importing_the_patches() -> None:
    result = run("import skitai.patches as p; print(p.is_applied(), p.applied())")
    assert result.stdout == "False ()\n"


def test_patching_too_late_is_refused_and_patches_nothing() -> None:
    result = run(
        "import requests\n"
        "from skitai import patches\n"
        "try: patches.apply()\n"
        "except patches.LatePatching as error: print(error, patches.is_applied(), patches.applied())\n"
    )
    assert "ssl was already imported by" in result.stdout
    assert "urllib3" in result.stdout
    assert "python -m skitai script.py" in result.stdout
    assert result.stdout.endswith("False ()\n")


def test_a_program_that_patched_itself_may_have_imported_anything() -> None:
    result = run(
        "from gevent import monkey; monkey.patch_all()\n"
        "import requests\n"
        "from skitai import patches; patches.apply(); print(patches.applied())\n"
    )
    assert result.stdout == f"{patches.applied()}\n", result.stderr


def test_psycopg_waits_in_the_loop_however_early_it_is_imported() -> None:
    seen = "import psycopg2.extensions as e; print(e.get_wait_callback().__module__)\n"
    early = run(
        "from gevent import monkey; monkey.patch_all()\nimport psycopg2\n"
        "from skitai import patches; patches.apply()\n" + seen
    )
    late = run("from skitai import patches; patches.apply()\nimport psycopg2\n" + seen)
    assert early.stdout == late.stdout == "psycogreen.gevent\n", early.stderr + late.stderr


def test_statements_run_beside_each_other_without_any_patch(postgres: Address) -> None:
    """Of a script that was not started by Skitai, and in which psycopg2 has no wait callback."""
    code = (
        "import sys, skitai\nfrom skitai import was, patches\n"
        "skitai.alias('@db', skitai.DB_PGSQL, sys.argv[1])\n"
        "db = was.postgresql('@db')\n"
        "with db.transaction() as tx:\n"
        "    tx.execute('select pg_advisory_xact_lock(10)')\n"
        "    waits = db.execute('select pg_advisory_xact_lock(10), 2 as n')\n"  # else it would never return
        "    assert db.execute('select 3 as n').getwait(9).data[0].n == 3\n"
        "assert waits.getwait(9).data[0].n == 2\n"
        "import psycopg2.extensions\n"
        "print(patches.is_applied(), psycopg2.extensions.get_wait_callback())\n"
    )
    command = [sys.executable, "-c", code, postgres.member]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.stdout == "False None\n", result.stderr


def test_psycopg_is_imported_by_nobody_else() -> None:
    assert (
        run("import sys; from skitai import patches; patches.apply(); print('psycopg2' in sys.modules)").stdout
        == "False\n"
    )


def test_psycopg_without_psycogreen_is_refused() -> None:
    result = run(
        "import sys\nsys.modules['psycogreen'] = None\n"
        "from skitai import patches; patches.apply()\n"
        "try: import psycopg2\nexcept ImportError as error: print(error)\n"
    )
    assert "psycopg2 blocks the whole worker without psycogreen: pip install 'skitai[postgresql]'" in result.stdout


def test_the_monitors_of_pymongo_do_not_keep_a_program_from_its_end() -> None:
    sleeper = (
        "from pymongo.periodic_executor import PeriodicExecutor\n"
        "executor = PeriodicExecutor(600, 600, lambda: True)\n"
        "executor.open()\n"
        "import gevent\n"
        "gevent.sleep(0)\n"
        "gevent.get_hub().join()\n"
        "print('joined', flush=True)\n"
        "import os\n"
        "os._exit(0)\n"
    )
    late = run("from skitai import patches; patches.apply()\n" + sleeper)
    early = run(
        "from gevent import monkey; monkey.patch_all()\nimport pymongo\n"
        "from skitai import patches; patches.apply()\n" + sleeper
    )
    assert late.stdout == early.stdout == "joined\n", late.stderr + early.stderr


def test_a_watched_module_keeps_its_own_loader() -> None:
    result = run(
        "from skitai import patches; patches.apply()\n"
        "import psycopg2, importlib.machinery as m\n"
        "print(type(psycopg2.__loader__) is type(psycopg2.__spec__.loader) is m.SourceFileLoader)\n"
    )
    assert result.stdout == "True\n", result.stderr


GRPC = """
import grpc, gevent, subprocess, sys
sys.path.insert(0, "examples")
import route_guide_pb2 as pb
server = subprocess.Popen([sys.executable, "tests/grpcio_server.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
channel = grpc.insecure_channel(f"127.0.0.1:{int(server.stdout.readline())}")
call = channel.unary_unary("/routeguide.RouteGuide/GetFeature", pb.Point.SerializeToString, pb.Feature.FromString)
turns = []
def count():
    while True:
        turns.append(1)
        gevent.sleep(0.01)
counting = gevent.spawn(count)
call(pb.Point(latitude=7), timeout=10, wait_for_ready=True)
turns.clear()
try: call(pb.Point(latitude=5), timeout=0.5)
except grpc.RpcError as error: print(error.code().name, len(turns) > 5)
counting.kill()
channel.close()
server.stdin.close()
server.wait()
"""


def test_grpcio_waits_in_the_loop_however_early_it_is_imported(tmp_path: Path) -> None:
    told = f"import os; os.environ['GRPC_TOLD'] = {str(tmp_path / 'told')!r}; os.chdir({str(ROOT)!r})\n"
    early = run(
        "from gevent import monkey; monkey.patch_all()\nimport grpc\n"
        "from skitai import patches; patches.apply()\n" + told + GRPC
    )
    late = run("from skitai import patches; patches.apply()\n" + told + GRPC)
    assert early.stdout == late.stdout == "DEADLINE_EXCEEDED True\n", early.stderr + late.stderr


def test_grpcio_is_imported_by_nobody_else() -> None:
    assert run("import sys; from skitai import patches; patches.apply(); print('grpc' in sys.modules)").stdout == (
        "False\n"
    )


DOUBLED = """
import jinja2
env = jinja2.Environment(variable_start_string="#", variable_end_string="#", comment_start_string="<!--")
try: print(env.from_string("##1 #n# ##\\n## # n # #'##'#\\n##").render(n=7))
except jinja2.TemplateSyntaxError as error: print(error.message)
"""


def test_doubled_delimiters_stand_for_themselves_however_early_jinja2_is_imported() -> None:
    early = run(
        "from gevent import monkey; monkey.patch_all()\nimport jinja2\n"
        "from skitai import patches; patches.apply()\n" + DOUBLED
    )
    late = run("from skitai import patches; patches.apply()\n" + DOUBLED)
    assert early.stdout == late.stdout == "#1 7 #\n# 7 ##\n#\n", early.stderr + late.stderr


def test_jinja2_is_imported_by_nobody_else() -> None:
    assert run("import sys; from skitai import patches; patches.apply(); print('jinja2' in sys.modules)").stdout == (
        "False\n"
    )


def test_templates_with_usual_delimiters_read_as_before() -> None:
    code = (
        "import jinja2\ne = jinja2.Environment()\n"
        "print(e.from_string('## {{ n }} {% raw %}{{}}{% endraw %}').render(n=1))\n"
        "try: e.from_string('a\\n{{}}')\n"
        "except jinja2.TemplateSyntaxError as error: print(error.lineno, error.message)\n"
    )
    plain, patched = run(code), run("from skitai import patches; patches.apply()\n" + code)
    assert plain.stdout == patched.stdout
    assert plain.stdout.startswith("## 1 {{}}\n2 Expected an expression")


def test_an_unknown_jinja2_is_left_as_it_is_and_the_reason_is_kept() -> None:
    result = run(
        "import importlib.metadata as m\nm.version = lambda name: '4.0.1'\n"
        "from skitai import patches; patches.apply()\n" + DOUBLED + "\nprint(patches._jinja2.refusal)\n"
    )
    lines = result.stdout.splitlines()
    assert "Expected an expression" in lines[0], result.stderr
    assert lines[1] == "Jinja2 4.0.1 is left as it is: doubled delimiters are known for 3.1.x only"
