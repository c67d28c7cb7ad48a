"""A headless Chromium for tests, driven by the WebDriver protocol (W3C) of chromedriver; nothing else is needed."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scripts import PATIENCE, clean_environment

PROGRAMS = ("chromium", "chromedriver")
needs_browser = pytest.mark.skipif(
    any(shutil.which(program) is None for program in PROGRAMS),
    reason="there is no browser: apt-get install chromium chromium-driver",
)

_QUIET = (
    *("--headless", "--disable-gpu", "--no-first-run", "--no-proxy-server", "--window-size=900,1000"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
#: What names an element in the JSON of the protocol (WebDriver section 12.2).
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class BrowserError(Exception):
    """The driver refused a command; the text says which and why."""


class Browser:
    """A browser with an empty profile. Commands wait for the page that they lead to; call :meth:`close` at the end.

    Args:
        profile: a directory for its profile. options: of its command line, besides those that keep it quiet.
    """

    def __init__(self, profile: Path, *options: str) -> None:
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True, env=clean_environment()
        )
        self._session = ""
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if match := re.search(r"started successfully on port (\d+)", line):
                self._port = int(match[1])
                break
        else:
            raise BrowserError("chromedriver ended before it listened")
        arguments = [*_QUIET, *options, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        chrome = {"binary": shutil.which("chromium"), "args": arguments}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}
        self._session = self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]

    def open(self, url: str) -> None:
        """Load a page."""
        self._command("POST", "url", {"url": url})

    @property
    def url(self) -> str:
        """The URL of the page."""
        return str(self._command("GET", "url"))

    def text(self, selector: str = "body") -> str:
        """What one sees of the first element that a CSS selector finds."""
        return str(self._command("GET", f"element/{self._find(selector)}/text"))

    def has(self, selector: str) -> bool:
        """Whether there is such an element."""
        return bool(self._command("POST", "elements", {"using": "css selector", "value": selector}))

    def fill(self, selector: str, text: str) -> None:
        """Type a text; into a file input, the path of a file."""
        self._command("POST", f"element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click an element that leads to no other page."""
        self._command("POST", f"element/{self._find(selector)}/click", {})

    def follow(self, selector: str) -> None:
        """Click an element that leads to another page, and wait until that is there."""
        self.run("window.isOld = true")
        self.click(selector)
        end = time.monotonic() + PATIENCE
        while not self._has_new_page():
            if time.monotonic() > end:
                raise BrowserError(f"{selector} led to no other page in {PATIENCE} seconds")

    def _has_new_page(self) -> bool:
        try:
            return bool(self.run("return !window.isOld && document.readyState === 'complete'"))
        except BrowserError:  # between two pages
            return False

    def wait_for(self, condition: str) -> None:
        """Wait until an expression of JavaScript is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > end:
                raise BrowserError(f"{condition} did not come true in {PATIENCE} seconds")

    def screenshot(self, path: Path) -> None:
        """Write a PNG of what one sees."""
        path.write_bytes(base64.b64decode(self._command("GET", "screenshot")))

    def run(self, script: str) -> Any:
        """Return what a script on the page returns."""
        return self._command("POST", "execute/sync", {"script": script, "args": []})

    def close(self) -> None:
        """End the browser and its driver."""
        try:
            if self._session:
                self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._driver.terminate()
            self._driver.wait(PATIENCE)
            assert self._driver.stdout is not None
            self._driver.stdout.close()

    def _find(self, selector: str) -> str:
        found = self._command("POST", "element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def _command(self, method: str, name: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._ask(method, f"/session/{self._session}/{name}", parameters)

    def _ask(self, method: str, path: str, parameters: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            body = None if parameters is None else json.dumps(parameters)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise BrowserError(f"{method} {path} {parameters or ''}: {value['error']}: {value['message']}")
        return value
