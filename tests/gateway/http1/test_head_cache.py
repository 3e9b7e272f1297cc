"""What a connection remembers of its client's fields never changes what a request is."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Request
from propylon.gateway.http1.machine import HttpMachine
from propylon.gateway.http1.request_head import Http1Request

from .drive import context

BLOCKS = st.sampled_from([
    b"Host: a\r\n\r\n",
    b"Host: a\r\nUser-Agent: x y\r\nAccept: */*\r\n\r\n",
    b"Host: A:80\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"Host: a\r\nConnection: close\r\n\r\n",
    b"Host: a\r\nContent-Length: 5\r\n\r\n",
    b"Host: a\r\nContent-Length: 0\r\n\r\n",
    b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"Host: a\r\nExpect: 100-continue\r\n\r\n",
    b"Host: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"Host: a\r\nX: " + 3_000 * b"x" + b"\r\n\r\n",
    b"Host: a\r\nTraceparent: 00-" + 32 * b"a" + b"-" + 16 * b"b" + b"-01\r\n\r\n",
    b"Host: a\r\nTraceparent: 00-" + 32 * b"0" + b"-" + 16 * b"b" + b"-01\r\n\r\n",
    b"Host: a\r\nX-Request-ID: 1\r\n\r\n",
    b"Host: a\r\nX-Request-ID: 1\r\nX_Request_ID: 2\r\nX-Request-ID: 3\r\n\r\n",
    b"X: 1\r\nHost: a\r\n\r\n",
    b"X: 1\r\n\r\n",
    b"\r\n",
])  # fmt: skip
METHODS = st.sampled_from([b"GET", b"get", b"X!", b"HEAD", b"POST", b"CONNECT", b"TRACE", b"G(T"])
TARGETS = st.one_of(
    st.sampled_from([
        b"/", b"/a?b=c&d", b"/a?", b"/?a?b", b"/%20", b"/a?%20", b"/a?%00", b"/%00", b"/a/../b",
        b"/..", b"/../a", b"/%2e%2e/", b"/a#b", b"/a?b#c", b"*", b"http://a/x", b"http://b/x", b"",
        b"/" + 60 * b"a", b"a:1", b"//", b'/"<>\\^`{|}~', b"/\x7f", b"/\xff", b"/a\x00", b"/a b",
    ]),
    st.text("/ab.?#%2e0\x00\x7f ", max_size=8).map(str.encode),
)  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1"])
FIRST = st.sampled_from([b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n"])
LINES = st.builds(lambda *parts: b" ".join(parts) + b"\r\n", METHODS, TARGETS, VERSIONS)


def understood(machine: HttpMachine, head: bytes) -> tuple[object, ...]:
    """Everything that is known of a request, or how it is refused."""
    machine.receive(head)
    try:
        request = machine.next_request()
    except RequestError as error:
        return error.status, error.sentence
    if request is None:
        return ("not whole",)
    said = [getattr(request, name) for name in (*Request.__slots__, *Http1Request.__slots__)]
    return *said, machine.body_complete, machine.keep_alive


@settings(max_examples=800, deadline=None)
@example(
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n",
    b"Host: a\r\n\r\n",
    b"X: 1\r\nHost: a\r\n\r\n",
    False,
)
@example(
    b"GET / HTTP/1.1\r\n", b"GET /b HTTP/1.1\r\n", b"Host: a\r\n\r\n", b"Host: a\r\n\r\n", True
)
@given(FIRST, LINES, BLOCKS, BLOCKS, st.sampled_from([True, True, True, False]))
def test_each_request_is_what_it_would_be_alone(
    first: bytes, line: bytes, block: bytes, other: bytes, repeats: bool
) -> None:
    shared = context("httptools", limit_request_line=50)
    machine = HttpMachine(shared)
    understood(machine, first + block)
    if machine.buffered:
        return  # refused
    if not machine.body_complete:
        machine.receive(b"hello" if b"Length" in block else b"5\r\nhello\r\n0\r\n\r\n")
        assert machine.next_body() == (b"hello", False)
    head = line + (block if repeats else other)
    assert understood(machine, head) == understood(HttpMachine(shared), head)


def test_repeated_fields_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the property above would hold of nothing."""
    machine = HttpMachine(context("httptools"))
    block = b"Host: a\r\nUser-Agent: x\r\n\r\n"
    first = understood(machine, b"GET /a HTTP/1.1\r\n" + block)
    monkeypatch.setattr("propylon.gateway.http1.machine.read_head", None)
    second = understood(machine, b"GET /a HTTP/1.1\r\n" + block)
    assert first == second
    with pytest.raises(TypeError):
        understood(machine, b"GET /a HTTP/1.1\r\n" + block.replace(b"x", b"y"))


TRACE = b"00-" + 32 * b"a" + b"-" + 16 * b"b" + b"-01"
VALUES = st.one_of(
    st.sampled_from([
        TRACE, TRACE.replace(b"a", b"c"), TRACE[:-2] + b"00", b"cc" + TRACE[2:], TRACE.upper(),
        TRACE.replace(b"a", b"0"), TRACE + b"-x", b"cc" + TRACE[2:] + b"-x", TRACE[1:], b"",
        TRACE[:20] + b"\r\n" + TRACE[22:], TRACE[:20] + b"\r\nX:" + TRACE[24:], b" " + TRACE[:-1],
        TRACE + b"\r\nTraceparent: " + TRACE, TRACE + b"\r\nTracestate: c=1",
    ]),
    st.text("0123456789abcdefA-\r\n: ", min_size=55, max_size=55).map(str.encode),
)  # fmt: skip
AROUND = st.sampled_from([
    (b"Host: a\r\nTraceparent: ", b"\r\n\r\n"),
    (b"traceparent:", b"\r\nHost: a\r\nX: y\r\n\r\n"),
    (b"Host: a\r\nTracestate: a=1\r\nTRACEPARENT: \t", b" \r\nTracestate: b=2\r\n\r\n"),
    (b"Host: a\r\nTraceparent: ", b"\r\nTracestate: A=1\r\n\r\n"),
    (b"Host: a\r\nX-Traceparent: ", b"\r\n\r\n"),
    (b"Host: a\r\nX: traceparent:", b"\r\nTraceparent: " + TRACE + b"\r\n\r\n"),
    (b"Host: a\r\nTraceparent: " + TRACE + b"\r\nTraceparent: ", b"\r\n\r\n"),
])  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(AROUND, AROUND, VALUES, VALUES)
def test_each_trace_is_what_it_would_be_alone(
    around: tuple[bytes, bytes], other: tuple[bytes, bytes], first: bytes, second: bytes
) -> None:
    shared = context("httptools")
    for (before, after), value in ((around, first), (other, first)):
        machine = HttpMachine(shared)
        understood(machine, b"GET /a HTTP/1.1\r\n" + around[0] + TRACE + around[1])
        understood(machine, b"GET /a HTTP/1.1\r\n" + before + value + after)
        if machine.buffered:
            continue  # refused
        head = b"GET /b HTTP/1.1\r\n" + before + second + after
        assert understood(machine, head) == understood(HttpMachine(shared), head)


@pytest.mark.parametrize("after", [b"\r\n\r\n", b"\r\nTracestate: a=1\r\n\r\n"])
def test_another_trace_alone_is_no_reason_to_parse(
    after: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = HttpMachine(context("httptools"))
    start = b"GET /a HTTP/1.1\r\nHost: a\r\nTraceparent: "
    understood(machine, start + TRACE + after)
    monkeypatch.setattr("propylon.gateway.http1.machine.read_head", None)
    understood(machine, start + TRACE.replace(b"a", b"c") + after)
    with pytest.raises(TypeError):
        understood(machine, start + TRACE.upper() + after)
