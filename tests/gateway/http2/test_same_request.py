"""The same request in HTTP/1 and in HTTP/2 is the same to all behind the two, or is refused in
both for the same reason."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Request
from propylon.gateway.http.rules import Fields
from propylon.gateway.http1.machine import HttpContext, HttpMachine
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.http2.request_fields import request_of
from propylon.gateway.settings import Http2Settings, HttpSettings

TRACE = b"00-" + 32 * b"a" + b"-" + 16 * b"b" + b"-01"
FIELD = st.sampled_from([
    (b"accept", b"*/*"), (b"x", b""), (b"x", b"y" * 60), (b"content-length", b"0"),
    (b"content-length", b"5"), (b"content-length", b"05"), (b"content-length", b"x"),
    (b"content-length", b"999"), (b"expect", b"100-Continue"), (b"expect", b"x"),
    (b"te", b"trailers"), (b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-ssl", b"on"),
    (b"forwarded", b"for=1.2.3.4"), (b"x_forwarded_for", b"5"), (b"a_b", b"c"), (b"proxy", b"x"),
    (b"x-request-id", b"7"), (b"x_request_id", b"8"), (b"traceparent", TRACE),
    (b"traceparent", b"00-x"), (b"tracestate", b"a=1"), (b"tracestate", b"A=,"),
    (b"host", b"a.example"), (b"cookie", b"a=b"), (b"priority", b"u=1"), (b"x", b"\xe4\t b"),
])  # fmt: skip
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"TRACE", b"OPTIONS", b"get", b"X-Y", b"G("])
PATHS = st.one_of(
    st.sampled_from([
        b"/", b"/a?b", b"/" + 70 * b"a", b"*", b"a", b"/%00", b"/..", b"/a/%2e./..", b"/a#",
        b"/\xff", b"/?%00", b"?", b"/a?b?c",
    ]),
    st.text("/ab.?#%2e0", min_size=1, max_size=8).map(str.encode),
)  # fmt: skip
HOSTS = st.sampled_from(
    [b"a.example", b"A.example:80", b"[::1]:8", b"", b"a@b", b"a:70000", b"a b"]
)
SETTINGS = st.builds(
    HttpSettings,
    parser=st.sampled_from(["h11", "httptools"]),
    limit_request_line=st.sampled_from([8_190, 8_190, 40]),
    limit_request_fields=st.sampled_from([100, 100, 3]),
    limit_request_field_size=st.sampled_from([8_190, 8_190, 50]),
    limit_request_head=st.sampled_from([65_536, 65_536, 150]),
    max_request_body_size=st.sampled_from([0, 100]),
    header_map=st.sampled_from(["drop", "refuse", "dangerous"]),
    early_hints=st.sampled_from(["all", "off"]),
    request_id_header=st.sampled_from(["x-request-id", ""]),
)

SHORT = HttpSettings(limit_request_line=40, early_hints="off")


def known(request: Request) -> tuple[object, ...]:
    return tuple(getattr(request, name) for name in Request.__slots__ if name != "http_version")


def in_http1(method: bytes, path: bytes, fields: Fields, limits: HttpSettings) -> object:
    context = HttpContext(limits, choose_parser(limits.parser), ResponseHeads(b"", 0.0))
    machine = HttpMachine(context)
    lines = [b"%b: %b\r\n" % field for field in fields]
    machine.receive(b"%b %b HTTP/1.1\r\n%b\r\n" % (method, path, b"".join(lines)))
    try:
        request = machine.next_request()
    except RequestError as error:
        return error.status
    assert request is not None
    return known(request)


def in_http2(method: bytes, path: bytes, host: bytes, more: Fields, limits: HttpSettings) -> object:
    fields = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", host)]
    ended = not any(name == b"content-length" and value != b"0" for name, value in more)
    try:
        return known(request_of([*fields, *more], ended, limits, Http2Settings()))
    except RequestError as error:
        return error.status


@settings(max_examples=300, deadline=None)
@example(b"GET", b"/" + b"a" * 26, b"a.example", [], SHORT)
@example(b"GET", b"/" + b"a" * 27, b"a.example", [], SHORT)
@given(METHODS, PATHS, HOSTS, st.lists(FIELD, max_size=4), SETTINGS)
def test_it_is_the_same(
    method: bytes, path: bytes, host: bytes, more: Fields, limits: HttpSettings
) -> None:
    if [name for name, _ in more].count(b"cookie") > 1:
        return  # HTTP/2 alone joins them (RFC 9113 section 8.2.3)
    if any(name == b"host" for name, _ in more):
        return  # in HTTP/1 it would be a second one
    one = in_http1(method, path, [(b"host", host), *more], limits)
    assert in_http2(method, path, host, more, limits) == one
