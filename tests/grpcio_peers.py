"""Handles of the grpcio processes that tests talk to."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from gevent.lock import Semaphore

from tests.scripts import clean_environment

HERE = Path(__file__).resolve().parent


class GrpcioClient:
    """A client in a process of its own; one call at a time, while everything else in this process goes on."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "grpcio_client.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**clean_environment(), "GRPC_VERBOSITY": "NONE"},
        )  # fmt: skip
        self._turn = Semaphore(1)

    def order(self, name: str, *args: Any, **options: Any) -> Any:
        """Let it run one of its functions."""
        with self._turn:
            pickle.dump((name, args, options), self._process.stdin)
            self._process.stdin.flush()
            outcome = pickle.load(self._process.stdout)
        assert not isinstance(outcome, str), outcome
        return outcome

    def call(self, port: int, method: str, *messages: Any, **options: Any) -> Any:
        """One call; messages of protobuf."""
        data = [each if isinstance(each, bytes) else each.SerializeToString() for each in messages]
        return self.order("call", f"localhost:{port}", method, data, **options)

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class GrpcioServer:
    """A server in a process of its own.

    Args:
        arguments: ``tls``, ``gzip``. env: of the process.
    """

    def __init__(self, *arguments: str, **env: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "grpcio_server.py"), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**clean_environment(), "GRPC_VERBOSITY": "NONE", **env},
        )  # fmt: skip
        self.port = int(self._process.stdout.readline())

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}/routeguide.RouteGuide"

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
