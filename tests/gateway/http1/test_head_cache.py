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
