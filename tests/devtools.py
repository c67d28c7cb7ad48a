"""Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from websockets.sync.client import connect

PATIENCE = 20.0


class Tab:
    """One window.

    Args:
        url: of its debugger. closing: address that closes it.
    """

    def __init__(self, url: str, closing: str) -> None:
        self._closing = closing
        self._number = 0
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(connect(url, max_size=None, proxy=None, compression=None))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page."""
        result = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true; one that fails is not true yet."""
        ends = time.monotonic() + PATIENCE
        while not self.run(f"(() => {{ try {{ return {condition}; }} catch (e) {{ return false; }} }})()"):
            assert time.monotonic() < ends, f"never came true: {condition}; {self.run('document.body.innerText')}"
            time.sleep(0.02)

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the window."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def let_go(self) -> None:
        """Leave the window alone."""
        self._stack.close()

    def close(self) -> None:
        """Close the window."""
        self.let_go()
        with urlopen(self._closing, timeout=PATIENCE) as answer:
            answer.read()


class Browser:
    """A browser with a profile of its own in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tabs: list[Tab] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--remote-debugging-port=0", "--remote-allow-origins=*", "--no-first-run", "--window-size=600,500",
                "--disable-background-networking", "--no-proxy-server", f"--user-data-dir={self._directory}/profile",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if match := re.search(r"DevTools listening on ws://([^/]+)/", line):
                self._address = match[1]
                return self
        raise AssertionError("the browser did not start")

    def open(self, url: str) -> Tab:
        """Open a window."""
        from urllib.parse import quote

        request = Request(f"http://{self._address}/json/new?{quote(url, safe='')}", method="PUT")
        with urlopen(request, timeout=PATIENCE) as answer:
            found = json.load(answer)
        tab = Tab(found["webSocketDebuggerUrl"], f"http://{self._address}/json/close/{found['id']}")
        self._tabs.append(tab)
        return tab

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tab in self._tabs:
            tab.let_go()
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stderr is not None
        self._process.stderr.close()
