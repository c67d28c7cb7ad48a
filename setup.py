"""Package metadata. ``patches/`` stands beside ``skitai/`` and is installed inside it, as ``skitai.patches``."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def read_version() -> str:
    """The version as ``skitai/constants.py`` states it, read without importing the package."""
    text = (HERE / "skitai" / "constants.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise RuntimeError('skitai/constants.py has no line __version__ = "..."')
    return match.group(1)


def read_description() -> str:
    """The README, which is the page of the package index."""
    readme = HERE / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


EXTRAS = {
    "chameleon": ["chameleon>=4.6"],
    "postgresql": ["psycopg2-binary>=2.9.9", "psycogreen>=1.0.2"],
    # 4.19 is the first that bears an exception thrown into a greenlet that waits: how a call is cancelled.
    "mongodb": ["pymongo>=4.19"],
    # The command methods and the protocol; 5.2 is the oldest that the tests pass with. Group chats of several workers
    # need it too.
    "redis": ["redis>=5.2"],
    # Messages of gRPC. 6.33.5 is the first of its line without a way past the depth limit of JSON (CVE-2026-0994).
    "grpc": ["protobuf>=6.33.5"],
    # For apps that use it themselves; Skitai does not. The tests have it as their foreign peer.
    "grpcio": ["grpcio>=1.75.1"],
    # brotli 1.2 is the first that can be told how much to decompress at a time (CVE-2025-6176).
    "fast": ["brotli>=1.2", "zstandard>=0.23"],
}
# Lower bounds are versions without known advisories, and those that `make test-lowest` installs and tests.
TEST = [
    "bottle>=0.13",
    "coverage>=7.6",
    # Frameworks that read as many bytes of a body as CONTENT_LENGTH says.
    "django>=5.2.19",
    "falcon>=4.0",
    "flask[async]>=3.1.3",
    # WebSockets of apps that were written for other servers; the last is Flask-SocketIO's client.
    "flask-sock>=0.7",
    "flask-socketio>=5.3",
    "gevent-websocket>=0.10.1",
    "python-socketio[client]>=5.11",
    # The generated modules and the client of others for what Skitai serves by descriptors of its own.
    "grpcio-health-checking>=1.75.1",
    "grpcio-reflection>=1.75.1",
    # The foreign parser that our own is compared with, never imported by skitai itself.
    "httptools>=0.6.4",
    # A foreign HTTP/2 server for our client, in a process of its own.
    "hypercorn>=0.17",
    "hypothesis>=6.100",
    # The double of a MongoDB server: one has the wire, the other the semantics. No package ships a real one.
    "mockupdb>=1.8.1",
    "mongomock>=4.3",
    "mypy>=1.11",
    # Judges the documents of app.enable_openapi(); skitai itself does not need it.
    "openapi-spec-validator>=0.7",
    "pytest>=9.0.3",
    # Tests on all cores: make test. tests/parallel.py knows what 3.8 waits for.
    "pytest-xdist>=3.8",
    "requests>=2.33",
    "ruff>=0.6",
    "trustme>=1.1",
    "types-defusedxml>=0.7.0.20240218",
    "types-protobuf>=6.32.1.20250918",
    "types-setuptools>=80.9.0.20250822",
    # The client and the server that WebSockets are tried with.
    "websockets>=15",
]

setup(
    name="skitai",
    version=read_version(),
    description="A gevent application server whose apps call other services synchronously to read, concurrently to run",
    long_description=read_description(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=[*find_packages(include=["skitai", "skitai.*"]), "skitai.patches"],
    package_dir={"skitai": "skitai", "skitai.patches": "patches"},
    package_data={"skitai": ["py.typed"]},
    install_requires=[
        # 25.9.1 is the first that patches queue.SimpleQueue, which the pools of urllib3 and others wait on.
        "gevent>=25.9.1",
        # Seals the cookies of sessions and message boxes.
        # 50 is the first without known advisories (CVE-2026-69247, -69248, -39892, -26007).
        "cryptography>=50",
        "defusedxml>=0.7.1",
        # States and windows of HTTP/2. 4.4.1 is the first without two known ways to exhaust a server.
        "h2>=4.4.1,<5",
        # Its header compression, which ours builds on.
        "hpack>=4.2",
        # Names of hosts outside ASCII by IDNA 2008 and UTS 46. 3.7 is the first that long names cannot keep busy.
        "idna>=3.10",
        "jinja2>=3.1.6",
        # 1.3.1 is the first whose header parser takes linear time (CVE-2026-28356).
        "multipart>=1.3.1",
        # 2.13 is the first that refuses a public key as an HMAC secret (CVE-2026-48526 and others).
        "PyJWT>=2.13",
        # Masks and unmasks the frames of WebSockets in C; a mask in Python takes as long as all the rest of a frame.
        "websockets>=15",
    ],
    extras_require={
        **EXTRAS,
        "all": sorted({requirement for extra in EXTRAS.values() for requirement in extra}),
        "test": [*TEST, *(requirement for extra in EXTRAS.values() for requirement in extra)],
    },
    entry_points={"console_scripts": ["skitai = skitai.__main__:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Web Environment",
        "Intended Audience :: Developers",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Server",
        "Typing :: Typed",
    ],
)
