"""Floods of HTTP/2 against the running thing: each is ended for its own reason, and who asks
politely meanwhile is answered."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from propylon.gateway.http2.engine import ErrorCode

from ..bench.http2_flood_clients import ATTACKS, run
from ..http2_frames import Kind, frame
from .http2_wire import Wire
from .server import DEADLINE, Propylon, wait_for
from .test_metrics import Page

APP = """
import asyncio

inside = most = 0
told = asyncio.Event()

async def app(scope, receive, send):
    global inside, most
    assert scope["type"] == "http"
    path, body = scope["path"], b"Hello, world!"
    if path == "/slow":  # it does not notice that nobody waits
        inside += 1
        most = max(most, inside)
        await told.wait()
        inside -= 1
    elif path == "/tell":
        told.set()
    elif path == "/most":
        body = b"%d %d" % (inside, most)
    elif path.startswith("/down/"):
        body = bytes(int(path[6:]))
    elif path == "/up":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
MOST_STREAMS = 20
LONG_ENOUGH = 0.5
ROUNDS = 20
"""Seconds, and rounds of what is sent, that what is no flood goes on."""

ENDED = {
    "rapid reset": "rapid_reset",
    "made reset": "made_reset",
    "malformed": "made_reset",
    "too many streams": "refused_stream",
    "continuation": "continuation",
    "large continuation": "header_block",
    "compression bomb": "head_list",
    "cookies": "head_list",
    "empty data": "empty_data",
    "padding": "empty_data",
    "ping": "ping",
    "unread ping": "ping",
    "settings": "settings",
    "many settings": "settings",
    "window update": "window_update",
    "dribble": "window_update",
    "priority": "priority",
    "priority update": "priority_update",
    "late reset": "rst_stream",
    "goaway": "goaway",
    "unknown frames": "unknown_frame",
}
"""Attack -> the reason that is counted."""
NOT_ENDED = {kind for kind, attack in ATTACKS.items() if attack.goes_on}
"""What is no more than it costs, or a matter of time (`serve`)."""
AT_LEAST = {"requests": 500, "small data": 500}
"""How often each was done then; what is held is done once by each connection."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Propylon]:
    folder: Path = tmp_path_factory.mktemp("floods")
    (folder / "main.py").write_text(APP)
    flags = ("main:app", "--lifespan=off", "--no-access-log", "-b", "127.0.0.1:0")
    flags += ("--h2c=prior-knowledge", f"--http2-max-streams={MOST_STREAMS}")
    flags += ("--http2-max-resets=200", "--admin-bind=127.0.0.1:0")
    with Propylon(*flags, cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def page(server: Propylon) -> Iterator[Page]:
    page = Page(server.stderr)
    yield page
    page.close()


def floods(page: Page, reason: str = "") -> float:
    return page.sum("propylon_http2_floods_total", f'reason="{reason}"' if reason else "")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "reason"), ENDED.items(), ids=ENDED)
def test_a_flood_is_ended(server: Propylon, page: Page, kind: str, reason: str) -> None:
    with Wire(server.address) as polite:
        before, until = floods(page, reason), time.monotonic() + DEADLINE
        answers = list[int]()

        def over() -> bool:
            if len(answers) % 10 == 9 and floods(page, reason) > before:
                return True
            answers.append(polite.ask().status)
            return time.monotonic() > until

        run(ATTACKS[kind], server.address[1], over)
        assert floods(page, reason) > before
        assert set(answers) == {200}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(NOT_ENDED))
def test_what_is_no_flood(server: Propylon, page: Page, kind: str) -> None:
    with Wire(server.address) as polite:
        before, until = floods(page), time.monotonic() + LONG_ENOUGH
        answers = list[int]()

        def over() -> bool:
            answers.append(polite.ask().status)
            return time.monotonic() > until and len(answers) > ROUNDS

        done, ended = run(ATTACKS[kind], server.address[1], over)
        assert floods(page) == before
        assert done >= AT_LEAST.get(kind, 1), "it was no attack"
        assert not ended
        assert set(answers) == {200}


@pytest.mark.slow
def test_what_a_client_is_told(server: Propylon) -> None:
    with Wire(server.address) as wire:
        wire.settle()
        wire.send(frame(Kind.PING, 0, 0, bytes(8)) * 1_000)
        wire.finish()
        ((_, code, text),) = wire.going_away
        assert code == ErrorCode.ENHANCE_YOUR_CALM
        assert text == b"an HTTP/2 connection was ended: too many PING frames"
    server.stderr.find(r"an HTTP/2 connection was ended: too many PING frames, from 127\.0\.0\.1")


def calls(wire: Wire) -> tuple[int, int]:
    """How many /slow the app has now, and at most has had."""
    inside, most = map(int, wire.ask(b"/most").body.split())
    return inside, most


@pytest.mark.slow
def test_who_cancels_has_no_more_calls_than_who_waits(server: Propylon) -> None:
    """The calls of requests that were cancelled count until the app has left them."""
    with Wire(server.address) as wire, Wire(server.address) as other:
        wire.settle()
        for turn in range(5):
            streams = [wire.get(b"/slow") for _ in range(MOST_STREAMS)]
            wire.round_trip()
            if not turn:
                wait_for(lambda: calls(other) == (MOST_STREAMS, MOST_STREAMS), "the app has them")
            for stream in streams:
                wire.send(frame(Kind.RST_STREAM, 0, stream, b"\0\0\0\x08"))
            wire.round_trip()
        assert calls(other) == (MOST_STREAMS, MOST_STREAMS)
        refused = [one.reset for one in wire.replies.values() if one.reset is not None]
        assert refused == [ErrorCode.REFUSED_STREAM] * (4 * MOST_STREAMS)
        other.ask(b"/tell")
        wait_for(lambda: calls(other)[0] == 0, "the app has left them")
        assert wire.ask().status == 200
