"""The peers' own virtual environment, made once; packages come one by one, so that one failure costs one peer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.contenders import PEERS_BIN, PEERS_ENV

PACKAGES = (
    "gevent",
    # What the extra gunicorn[gevent] adds; named here because extras leave no trace to look for.
    "packaging",
    "gunicorn",
    "waitress",
    "granian",
    "uvicorn",
    "uvloop",
    "httptools",
    "flask",
    "requests",
    "aiohttp",
    "geventhttpclient",
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


def install(package: str) -> None:
    """Install one package, or print why it is not there; those who need it are then named as missing in the table."""
    command = [str(PEERS_BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIME)
    if done.returncode:
        print(f"{package} does not install: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)


def ensure_peers() -> dict[str, str]:
    """Make the environment if it is not there, add what is missing, and return the versions of what it holds."""
    if not (PEERS_BIN / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS_ENV)], check=True, timeout=120)
    present = versions(PEERS_BIN / "python")
    missing = [package for package in PACKAGES if package not in present]
    for package in missing:
        print(f"installing {package} for the peers", flush=True)
        install(package)
    return versions(PEERS_BIN / "python") if missing else present
