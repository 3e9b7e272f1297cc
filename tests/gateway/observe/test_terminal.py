"""What a terminal is shown, and when."""

import os
import re
from collections.abc import Iterator

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.observe.access_log import AccessLog
from propylon.gateway.observe.terminal import columns, wants_colour
from propylon.gateway.observe.terminal_format import duration, size, terminal_format
from propylon.gateway.settings import LogSettings

from ...fakes.exchange_sides import FakeClient


def exchange(target: bytes = b"/a?b", status: int = 200) -> Exchange:
    one = Exchange(Request("GET", target, "1.1"), FakeClient())
    one.complete(status, (), 1_234, 0.5)
    return one


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Its other end, and itself."""
    ends = os.openpty()
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_line() -> None:
    line = terminal_format(False, lambda: 80)
    text = line((exchange(), 0.0031, 1e9)).decode()
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /a\?b 200 1\.2 KB 3\.1 ms", text)
    late = exchange(status=504)
    late.give_reason("The app did not answer in time.")
    text = line((late, 61.0, 1e9)).decode()
    assert text.endswith("GET /a?b 504 1.2 KB 61 s The app did not answer in time.")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_it_fits(width: int) -> None:
    text = terminal_format(False, lambda: width)((exchange(b"/" + 300 * b"x"), 0.5, 1e9)).decode()
    assert len(text) == width
    assert "xxx... 200 1.2 KB 500 ms" in text


def test_colours() -> None:
    text = terminal_format(True, lambda: 80)((exchange(status=404), 0.5, 1e9)).decode()
    assert "\x1b[33m404\x1b[0m" in text
    forged = exchange(b"/\x1b[31m")
    assert b"\x1b" not in terminal_format(False, lambda: 80)((forged, 0.5, 1e9))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_234, "1.2 KB"), (999_950, "1.0 MB"), (5 * 10**12, "5.0 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0004, "0.4 ms"), (0.0123, "12 ms"), (0.9996, "1.00 s"), (1.5, "1.50 s"), (75.2, "75 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("wish", "environ", "on_terminal", "elsewhere"),
    [
        (None, {}, True, False),
        (None, {"TERM": "dumb"}, False, False),
        (None, {"NO_COLOR": "1"}, False, False),
        (None, {"NO_COLOR": ""}, True, False),
        (None, {"FORCE_COLOR": "1"}, True, True),
        (None, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        (True, {"NO_COLOR": "1"}, True, True),
        (False, {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_who_wants_colour(
    terminal: tuple[int, int],
    wish: bool | None,
    environ: dict[str, str],
    on_terminal: bool,
    elsewhere: bool,
) -> None:
    read, write = os.pipe()
    assert wants_colour(terminal[1], wish, environ) is on_terminal
    assert wants_colour(write, wish, environ) is elsewhere
    assert columns(write) == 80
    os.close(read)
    os.close(write)


def test_the_access_log_on_a_terminal(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, itself = terminal
    before = os.dup(1)
    monkeypatch.setenv("NO_COLOR", "1")
    try:
        os.dup2(itself, 1)
        log = AccessLog("-", LogSettings().access_logformat)
        custom = AccessLog("-", "%(m)s")
        for one in (log, custom):
            one.ended(exchange())
            one.close()
    finally:
        os.dup2(before, 1)
        os.close(before)
    text = b""
    while text.count(b"\n") < 2:
        text += os.read(other, 1_000)
    assert re.fullmatch(rb"\S+ GET /a\?b 200 1\.2 KB 500 ms\r\nGET\r\n", text)
