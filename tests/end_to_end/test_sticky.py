"""Sticky clients at the real thing: several gateway processes and workers, and all that comes and
goes beneath a client."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from socketio import SimpleClient
from websockets.sync.client import connect

from .operating import done, settled
from .server import APPS, DEADLINE, Propylon, wait_for

APP = """
import os

async def app(scope, receive, send):
    who = str(os.getpid())
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": who})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": who.encode()})
"""
COOKIE = "propylon_sticky"


@contextmanager
def serving(folder: Path, balance: str, *more: str) -> Iterator[Propylon]:
    (folder / "main.py").write_text(APP)
    flags = ("main:app", "-w", "3", "--balance", balance, "--reload-observe", "0.1", *more)
    with Propylon(*flags, cwd=folder) as propylon:
        settled(propylon, 3)
        yield propylon


class Browser:
    """A client that keeps its cookies, and has a new connection for each request, so that another
    gateway process may get it."""

    def __init__(self, propylon: Propylon) -> None:
        self._url = propylon.url
        self._cookies = httpx.Cookies()
        self.given = 0
        """How often it was given a cookie."""

    def ask(self) -> str:
        with httpx.Client(cookies=self._cookies, timeout=DEADLINE, trust_env=False) as client:
            response = client.get(self._url)
            assert response.status_code == 200
            self.given += "set-cookie" in response.headers
            self._cookies = client.cookies
            return response.text

    def dial(self) -> str:
        """The same over a WebSocket."""
        fields = {"cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        url = self._url.replace("http", "ws", 1)
        with connect(url, additional_headers=fields, proxy=None, open_timeout=DEADLINE) as ws:
            assert ws.response is not None
            if new := ws.response.headers.get("set-cookie"):
                self.given += 1
                self._cookies.set(COOKIE, new.partition(";")[0].partition("=")[2])
            return str(ws.recv(DEADLINE))

    @property
    def cookie(self) -> str | None:
        return next((each.value for each in self._cookies.jar if each.name == COOKIE), None)


@pytest.mark.slow
def test_a_cookie_leads_home_whatever_comes_and_goes(tmp_path: Path) -> None:
    with serving(tmp_path, "sticky-cookie", "--gateways", "2") as propylon:
        browsers = [Browser(propylon) for _ in range(9)]
        homes = {browser: browser.ask() for browser in browsers}
        assert len(set(homes.values())) > 1, "new clients are spread"

        def all_at_home() -> None:
            for _ in range(3):
                assert {each: each.ask() for each in browsers} == homes
            assert {each: each.dial() for each in browsers} == homes

        all_at_home()
        assert all(each.given == 1 for each in browsers)
        by_socket = Browser(propylon)
        assert by_socket.dial() == by_socket.ask()
        assert by_socket.given == 1

        before = set(propylon.pids("gateway"))
        done(propylon, "upgrade")  # the supervisor's memory, and new gateway processes
        wait_for(lambda: not before & set(propylon.pids("gateway")), "other gateways")
        all_at_home()
        assert all(each.given == 1 for each in browsers), "its cookie is good for new gateways"

        done(propylon, "reload")
        wait_for(lambda: not set(homes.values()) & set(map(str, propylon.pids("worker"))), "others")
        settled(propylon, 3)
        moved = {browser: browser.ask() for browser in browsers}
        assert all(each.given == 1 for each in browsers), "the replica is the same"
        together = {(homes[each], moved[each]) for each in browsers}
        assert len(together) == len(set(homes.values())), "clients of one home stay together"
        homes = moved
        all_at_home()

        victim = homes[browsers[0]]
        os.kill(int(victim), signal.SIGKILL)
        assert all(browser.ask() for browser in browsers), "nobody loses a request by it"


@pytest.mark.slow
def test_an_address_leads_home(tmp_path: Path) -> None:
    with serving(tmp_path, "sticky-address", "--gateways", "2") as propylon:

        def ask(client: int) -> tuple[int, str]:
            fields = {"x-forwarded-for": f"192.0.2.{client}"}
            response = httpx.get(propylon.url, headers=fields, timeout=DEADLINE, trust_env=False)
            assert "set-cookie" not in response.headers
            return response.status_code, response.text

        homes = {client: ask(client) for client in range(12)}
        assert len(set(homes.values())) > 1
        for _ in range(3):
            assert {client: ask(client) for client in range(12)} == homes
        _, victim = homes[0]
        os.kill(int(victim), signal.SIGKILL)
        after = {client: ask(client) for client in range(12)}
        assert {status for status, _ in after.values()} == {200}
        stay = {client for client, (_, pid) in homes.items() if pid != victim}
        assert all(after[client] == homes[client] for client in stay), "only its own clients move"


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["sticky-cookie", "sticky-address"])
def test_long_polling_of_socket_io(balance: str) -> None:
    """Its session is in one process: a request to another ends it."""
    with Propylon(
        "socketio_app:asgi", "-w", "4", "--gateways", "2", "--balance", balance, cwd=APPS
    ) as propylon:
        settled(propylon, 4)
        for _ in range(3):
            with SimpleClient() as client:
                client.connect(propylon.url, transports=["polling"], wait_timeout=int(DEADLINE))
                for n in range(8):
                    assert client.call("echo", n, timeout=int(DEADLINE)) == n
