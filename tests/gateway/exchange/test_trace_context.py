"""W3C Trace Context: what is a trace to continue, and what would harm whoever reads it."""

import pytest
from propylon.gateway.exchange.trace_context import (
    TraceParent,
    continued_trace,
    is_tracestate,
    write_traceparent,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00".encode(), 0),
        (f"00-{TRACE}-{SPAN}-03".encode(), 3),
        (f"00-{TRACE}-{SPAN}-ff".encode(), 3),  # unknown flags are not passed on
        (f"00-{TRACE}-{SPAN}-fc".encode(), 0),
        (f"01-{TRACE}-{SPAN}-01".encode(), 1),  # a version to come
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be".encode(), 1),
        (f"fe-{TRACE}-{SPAN}-01-".encode(), 1),
    ],
)
def test_a_trace_is_continued(value: bytes, flags: int) -> None:
    assert continued_trace([value], []) == TraceParent(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE}-{SPAN}-01-".encode(),
        f"00-{TRACE}-{SPAN}-010".encode(),
        f"00-{TRACE}-{SPAN}-1".encode(),
        f"00-{TRACE}-{SPAN}".encode(),
        f"00-{TRACE}-{SPAN}-0x".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"0-{TRACE}-{SPAN}-01".encode(),
        f"000-{TRACE}-{SPAN}-01".encode(),
        f"01-{TRACE}-{SPAN}-01.more".encode(),
        f"01-{TRACE}-{SPAN}-0".encode(),
        f"01-{TRACE}-{SPAN}-01-\xff".encode("latin-1"),
        f"0A-{TRACE}-{SPAN}-01".encode(),
        GOOD.upper(),
        f"00-{TRACE}-{SPAN.upper()}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE[1:]}-{SPAN}-01".encode(),
        f"00-{TRACE}0-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN[1:]}-01".encode(),
        f"00_{TRACE}_{SPAN}_01".encode(),
        GOOD + b"\n",
        b" " + GOOD,
        GOOD + b"," + GOOD,
    ],
)
def test_a_malformed_traceparent_continues_nothing(value: bytes) -> None:
    assert continued_trace([value], [b"a=1"]) is None


def test_there_is_one_traceparent_or_no_trace() -> None:
    assert continued_trace([], [b"a=1"]) is None
    assert continued_trace([GOOD, GOOD], []) is None


def test_several_tracestates_are_one() -> None:
    read = continued_trace([GOOD], [b"a=1", b"b=2, c=3"])
    assert read is not None
    assert read.state == b"a=1,b=2, c=3"


def test_a_malformed_tracestate_is_dropped_alone() -> None:
    assert continued_trace([GOOD], [b"a=1", b"A=2"]) == TraceParent(TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b",, ,",
        b"a=1",
        b"a=1,\t b=2 ,",
        b"a=1,a=2",
        b"a_-*/9=x y!~",
        b"0a=1",
        b"fw529a3039@dt=FfAAAAA",
        b"a" * 256 + b"=1",
        b"a" * 241 + b"@" + b"b" * 14 + b"=1",
        b"a=" + b"x" * 256,
        b",".join(b"k%d=1" % number for number in range(32)),
    ],
)
def test_a_tracestate(value: bytes) -> None:
    assert is_tracestate(value)


@pytest.mark.parametrize(
    "value",
    [
        b"a",
        b"=1",
        b"a=",
        b"A=1",
        b"a =1",
        b"a= ",
        b"a=b=c",
        b"a=\xc3\xa9",
        b"a=x\x7f",
        b"a=x\ty",
        b"a@b@c=1",
        b"@b=1",
        b"a@=1",
        b"a@1b=1",
        b"a" * 257 + b"=1",
        b"a" * 242 + b"@b=1",
        b"a@" + b"b" * 15 + b"=1",
        b"a=" + b"x" * 257,
        b",".join(b"k%d=1" % number for number in range(33)),
    ],
)
def test_no_tracestate(value: bytes) -> None:
    assert not is_tracestate(value)


def test_what_is_written_is_read() -> None:
    assert write_traceparent(TRACE, SPAN, 1) == GOOD
    assert continued_trace([write_traceparent(TRACE, SPAN, 2)], []) == TraceParent(TRACE, SPAN, 2)
