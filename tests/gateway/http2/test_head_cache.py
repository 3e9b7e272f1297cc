"""What a connection remembers of its client's fields never changes what a request is."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.http.rules import Fields
from propylon.gateway.http2.head_cache import HeadCache
from propylon.gateway.http2.request_fields import Http2Request, MalformedRequest
from propylon.gateway.settings import Http2Settings, HttpSettings

METHODS = st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"CONNECT", b"OPTIONS", b"G("])
PATHS = st.one_of(
    st.sampled_from([
        b"/", b"/a?b=c&d", b"/a?", b"/?a?b", b"/%20", b"/a?%20", b"/a?%00", b"/%00", b"/a/../b",
        b"/..", b"/../a", b"/%2e%2e/", b"/a#b", b"/a?b#c", b"*", b"http://a/x", b"", b"a",
        b"/" + 30 * b"a", b"/" + 60 * b"a", b'/"<>\\^`{|}~', b"/\x7f", b"/\xff", b"/a\n", b"/a b",
    ]),
    st.text("/ab.?#%2e0\x00\x7f ", max_size=8).map(str.encode),
)  # fmt: skip
MORE = st.sampled_from([
    [],
    [(b"user-agent", b"x y"), (b"accept", b"*/*")],
    [(b"x-forwarded-for", b"1.2.3.4"), (b"priority", b"u=1"), (b"te", b"trailers")],
    [(b"cookie", b"a=b"), (b"cookie", b"c=d")],
    [(b"content-length", b"0")],
    [(b"content-length", b"5")],
    [(b"x", b"y" * 30)],
    [(b"x", b"y" * 3_000)],
    [(b"x-request-id", b"1"), (b"traceparent", b"00-" + 32 * b"a" + b"-" + 16 * b"b" + b"-01")],
    [(b"host", b"a")],
    [(b"host", b"b")],
    [(b"X", b"y")],
    [(b":path", b"/")],
])  # fmt: skip
PLACES = st.sampled_from([0, 1, 3])
"""Where `:path` stands among the pseudo-fields."""


def fields_of(method: bytes, path: bytes, place: int, more: Fields) -> Fields:
    fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"a"), *more]
    return [*fields[:place], (b":path", path), *fields[place:]]


HEADS = st.builds(fields_of, METHODS, PATHS, PLACES, MORE)
GET = fields_of(b"GET", b"/", 1, [(b"x", b"y")])


def reader() -> HeadCache:
    limits = HttpSettings(limit_request_line=50, limit_request_head=220)
    return HeadCache(limits, Http2Settings())


def understood(reads: HeadCache, fields: Fields, ended: bool) -> tuple[object, ...]:
    """Everything that is known of a request, or how it is refused. The request is changed then, as
    its exchange may do."""
    try:
        request = reads.read(fields, ended)
    except RequestError as error:
        return error.status, error.sentence
    except MalformedRequest as error:
        return ("malformed", error.sentence)
    said = (*Http2Request.__slots__, *Http2Request.__mro__[2].__slots__)
    known = tuple([getattr(request, name) for name in said])
    request.carry((b"x-request-id", b"ours"))
    request.is_meant_for("other", request.headers)
    return known


@settings(max_examples=300, deadline=None)
@example(GET, GET, b"/b", True, True)
@example(GET, GET, b"/b", True, False)
@example(GET, [(b":method", b"HEAD"), *GET[1:]], b"", False, True)
@example(GET, [GET[0], (b":protocol", b"/"), *GET[2:]], b"", False, True)
@example(GET, GET, b"/a/../..", True, True)
@example(GET, GET, b"/?%00", True, True)
@example(GET, GET, b"/" + 60 * b"a", True, True)
@given(HEADS, HEADS, PATHS, st.booleans(), st.booleans())
def test_each_request_is_what_it_would_be_alone(
    first: Fields, second: Fields, path: bytes, same: bool, ended: bool
) -> None:
    if same:
        second = [(name, path if name == b":path" else value) for name, value in first]
    reads = reader()
    understood(reads, first, True)
    alone = understood(reader(), second, ended)
    assert understood(reads, second, ended) == alone
    assert understood(reads, second, ended) == alone


def test_repeated_fields_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the property above would hold of nothing."""
    reads = reader()
    first = understood(reads, GET, True)
    monkeypatch.setattr("propylon.gateway.http2.head_cache.request_of", None)
    assert understood(reads, list(GET), True) == first
    with pytest.raises(TypeError):
        understood(reads, [*GET, (b"y", b"z")], True)


def test_a_large_head_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = HeadCache(HttpSettings(), Http2Settings())
    understood(reads, [*GET, (b"x", b"y" * 3_000)], True)
    monkeypatch.setattr("propylon.gateway.http2.head_cache.request_of", None)
    with pytest.raises(TypeError):
        understood(reads, [*GET, (b"x", b"y" * 3_000)], True)
