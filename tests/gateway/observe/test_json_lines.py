"""Lines of JSON: the same in every process, and one line whatever is in a message."""

import json
import logging
import sys
from datetime import datetime

import pytest
from propylon.gateway.observe import json_lines as gateways
from propylon.worker.process import json_lines as workers

ABOUT = {"process": "worker", "pool": "api", "worker": 2}


class Mute(Exception):
    """An exception of an app, of which not even the text can be had."""

    def __str__(self) -> str:
        raise ValueError


def raised(error: BaseException) -> tuple:
    try:
        raise error
    except BaseException:
        return sys.exc_info()


def record(message: str, *arguments: object, error: tuple | None = None, **extra: object):
    one = logging.LogRecord(
        "propylon.worker", logging.WARNING, "", 0, message, arguments or None, error
    )
    one.created = 1_000_000_000.25
    one.__dict__.update(extra)
    return one


def line_of(one: logging.LogRecord) -> dict:
    """The record's line as it is read, after both formatters made the same."""
    text = gateways.JsonFormatter(ABOUT).format(one)
    assert text == workers.JsonFormatter(ABOUT).format(one)
    assert text.isascii()
    assert text.isprintable()
    return json.loads(text)


def test_a_line() -> None:
    line = line_of(record("%s of %d", "one", 2))
    assert datetime.fromisoformat(line.pop("time")).timestamp() == 1_000_000_000.25
    assert line.pop("pid") > 0
    assert line == ABOUT | {
        "level": "warning", "logger": "propylon.worker", "message": "one of 2"
    }  # fmt: skip


def test_the_time_has_milliseconds_and_a_zone() -> None:
    time = json.loads(gateways.JsonFormatter({}).format(record("")))["time"]
    assert time[19:23] == ".250"
    assert time[23] in "+-"
    assert time[26] == ":"


def test_what_a_line_is_about() -> None:
    assert "request_id" not in line_of(record("", request_id=""))
    assert line_of(record("", request_id="0af7-x"))["request_id"] == "0af7-x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('a "quoted"\nline\r\n\x00\x1b[31m\x85\u2028', None),
        ("\u20ac \U0001f600", None),
        ("\udcff \ud800", r"\udcff \ud800"),
    ],
)
def test_no_text_leaves_its_line(text: str, shown: str | None) -> None:
    assert line_of(record("%s", text, request_id=text)) | {"time": "", "pid": 0} == ABOUT | {
        "time": "", "pid": 0, "level": "warning", "logger": "propylon.worker",
        "message": shown or text, "request_id": shown or text,
    }  # fmt: skip


def test_a_huge_text_loses_its_middle() -> None:
    message = line_of(record("%s", "a" * 40_000 + "z"))["message"]
    assert len(message) < 33_000
    assert message.startswith("aaa")
    assert "\n... 7233 characters left out ...\n" in message
    assert message.endswith("az")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("a\nb"), "ValueError", "a\nb"),
        (Mute(), f"{__name__}.Mute", "<no text: its __str__ fails>"),
        (ExceptionGroup("two", [ValueError("in it")]), "ExceptionGroup", "two (1 sub-exception)"),
    ],
)
def test_exceptions(error: BaseException, kind: str, text: str) -> None:
    found = line_of(record("failed", error=raised(error)))["exception"]
    assert (found["type"], found["message"]) == (kind, text)
    assert found["traceback"].startswith(("Traceback (most", "  + Exception Group Traceback"))
    assert "in raised\n" in found["traceback"]


def test_a_traceback_that_another_process_has_sent() -> None:
    detail = "Traceback (most recent call last):\nValueError: no"
    line = line_of(record("%s", f"Not reloaded: no\n{detail}", detail=detail))
    assert line["message"] == "Not reloaded: no"
    assert line["exception"] == {"type": None, "message": None, "traceback": detail}
    assert "exception" not in line_of(record("Reloaded", detail=""))
