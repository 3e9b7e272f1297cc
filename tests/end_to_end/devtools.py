"""Chromium, driven by its devtools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from websockets.sync.client import connect

from .server import DEADLINE, descendants, start_time, wait_for, with_no_such

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip

T = TypeVar("T")


class Browser:
    """One page in a Chromium of its own. It keeps what the page asks for and what the console says.

    `complaints`: errors in the console, exceptions, and breaches of the Content-Security-Policy.
    """

    def __init__(self, folder: Path, credentials: tuple[str, str] = ("", "")) -> None:
        """`credentials` are given if a server asks for them (Basic)."""
        self._credentials = credentials
        self._logged_in = set[str]()
        self._call = 0
        self.asked: list[str] = []
        self.complaints: list[str] = []
        folder.mkdir()
        self._log = folder / "log"
        profile = f"--user-data-dir={folder}/profile"
        env = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [CHROMIUM or "", *OPTIONS, profile, "--remote-debugging-port=0", "about:blank"],
                stdout=log,
                stderr=log,
                env=env,
            )

    def __enter__(self) -> "Browser":
        try:
            found = wait_for(self._port, "chromium's port")
            with httpx.Client(trust_env=False) as client:
                tabs = client.get(f"http://127.0.0.1:{found[1]}/json").json()
            (page,) = [tab for tab in tabs if tab["type"] == "page"]
            address = page["webSocketDebuggerUrl"]
            self._socket = connect(address, max_size=None, proxy=None).__enter__()
            for domain in ("Page", "Log", "Runtime", "Network"):
                self.call(f"{domain}.enable")
            self.call("Fetch.enable", handleAuthRequests=True)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.__exit__(None, None, None)
        self._end()

    def _port(self) -> re.Match[str] | None:
        return re.search(r"ws://127.0.0.1:(\d+)/", self._log.read_text(errors="replace"))

    def _end(self) -> None:
        family = descendants(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid, started in family.items():
            if start_time(pid) == started:
                with_no_such(os.kill, pid, signal.SIGKILL)

    # -- the protocol ------------------------------------------------------------------------

    def _send(self, method: str, **parameters: Any) -> int:
        self._call += 1
        message = {"id": self._call, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        return self._call

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = self._send(method, **parameters)
        while True:
            message = json.loads(self._socket.recv(DEADLINE))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            if "method" in message:
                self._heard(message["method"], message["params"])

    def _heard(self, method: str, said: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.asked.append(said["request"]["url"])
            case "Fetch.requestPaused":
                self._send("Fetch.continueRequest", requestId=said["requestId"])
            case "Fetch.authRequired":
                self._log_in(said["requestId"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["exceptionDetails"]))
            case "Log.entryAdded" if said["entry"]["level"] == "error":
                self.complaints.append(said["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(said["args"]))
            case _:
                pass

    def _log_in(self, request: str) -> None:
        """Gives the credentials, as a person would, and gives up if they are wrong."""
        user, password = self._credentials
        answer = {"response": "ProvideCredentials", "username": user, "password": password}
        if request in self._logged_in:
            answer = {"response": "CancelAuth"}
        self._logged_in.add(request)
        self._send("Fetch.continueWithAuth", requestId=request, authChallengeResponse=answer)

    # -- the page ----------------------------------------------------------------------------

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is, as JSON data."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """What is to be read in the first element that the selector finds; "" if there is none."""
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def see(self, selector: str, look: Callable[[str], T], what: str) -> T:
        """Waits until the element's text is so."""
        try:
            return wait_for(lambda: look(self.text(selector)), what)
        except AssertionError:
            text = self.text("body")
            raise AssertionError(f"never seen: {what}\n{text}\n{self.complaints}") from None
