"""The peers' own virtual environment, made once; packages come one by one, so that one failure costs one peer."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from harness.contenders import OURSELVES, PEERS_BIN, PEERS_ENV, ROOT

PACKAGES = (
    "gevent",
    # What the extra gunicorn[gevent] adds; named here because extras leave no trace to look for.
    "packaging",
    "gunicorn",
    "waitress",
    "granian",
    "hypercorn",
    "uvicorn",
    "uvloop",
    "httptools",
    "flask",
    "bottle",
    "falcon",
    "starlette",
    "jinja2",
    "itsdangerous",
    "requests",
    "aiohttp",
    "geventhttpclient",
    "psycopg2-binary",
    "psycogreen",
    "asyncpg",
    "redis",
    "websockets",
    "wsproto",
    "protobuf",
    "grpcio",
    # Needs a C compiler and the headers of libev (Debian: libev-dev).
    "bjoern",
)
INSTALL_TIME = 600


def normalized(name: str) -> str:
    """A package name as indexes compare it (PEP 503, for the names used here)."""
    return name.lower().replace("_", "-")


def versions(python: Path | str) -> dict[str, str]:
    """Name and version of each package that ``python`` can import; empty when there is no such python."""
    if not Path(python).exists():
        return {}
    code = "import importlib.metadata as m, json; print(json.dumps([(d.name, d.version) for d in m.distributions()]))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {normalized(name): version for name, version in json.loads(done.stdout)}


def install(*words: str) -> bool:
    """Give ``words`` to ``pip install``, or print why that fails; who needs them is then named in the table."""
    command = [str(PEERS_BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIME)
    except subprocess.TimeoutExpired:
        print(f"{words[-1]} does not install within {INSTALL_TIME} s", file=sys.stderr)
        return False
    if done.returncode:
        print(f"{words[-1]} does not install: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return done.returncode == 0


def install_ourselves() -> None:
    """Install this checkout, as frameworks are compared on our own server, once for each state of its dependencies."""
    digest = hashlib.sha256((ROOT / "setup.py").read_bytes()).hexdigest()[:12]
    stamp = PEERS_ENV / f"{OURSELVES}-{digest}"
    if not stamp.exists():
        print(f"installing {OURSELVES} beside the peers", flush=True)
        if install("--editable", str(ROOT)):
            stamp.touch()


def ensure_peers() -> dict[str, str]:
    """Make the environment if it is not there, add what is missing, and return the versions of what it holds."""
    python = PEERS_BIN / "python"
    if not python.exists():
        command = [sys.executable, "-m", "venv", str(PEERS_ENV)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            print(f"no environment for the peers: {done.stdout}{done.stderr}", file=sys.stderr)
            return {}
    present = versions(python)
    for package in PACKAGES:
        if package not in present:
            print(f"installing {package} for the peers", flush=True)
            install(package)
    install_ourselves()
    return versions(python)
