"""Every rule of RFC 9113 section 8 for requests, and of RFC 8441, is a named case here."""

from contextlib import suppress
from dataclasses import replace

import pytest
from h2.exceptions import ProtocolError
from h2.utilities import HeaderValidationFlags, validate_headers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Request
from propylon.gateway.http.head_limits import LONGEST_SHOWN
from propylon.gateway.http.rules import Fields
from propylon.gateway.http2.request_fields import (
    BodyLength,
    Http2Request,
    MalformedRequest,
    check_trailers,
    refused_request,
    request_of,
)
from propylon.gateway.settings import Http2Settings, HttpSettings
from propylon.protocol.messages import TAKES_HINTS, TAKES_TRAILERS

METHOD, SCHEME = (b":method", b"GET"), (b":scheme", b"https")
AUTHORITY, PATH = (b":authority", b"a.example:8"), (b":path", b"/b?c=d")
GET = [METHOD, SCHEME, AUTHORITY, PATH]
POST = [(b":method", b"POST"), SCHEME, AUTHORITY, PATH]
CONNECT = [(b":method", b"CONNECT"), AUTHORITY]
WEBSOCKET = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), SCHEME, AUTHORITY, PATH]
TWO_HOSTS = [(b"host", b"a.example:8")] * 2
TRACE = b"00-" + 32 * b"a" + b"-" + 16 * b"b" + b"-01"


def read(fields: Fields, ended: bool = True, **limits: int | str | bool) -> Http2Request:
    return request_of(fields, ended, replace(HttpSettings(), **limits), Http2Settings())


def put(fields: Fields, name: bytes, value: bytes | None) -> Fields:
    """The fields with another value for one of them, or without it."""
    others = [(key, value if key == name else old) for key, old in fields]
    return [(key, kept) for key, kept in others if kept is not None]


# -- malformed requests ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param([*GET, (b"Accept", b"x")], "'Accept' has upper case", id="8.2.1 upper case"),
        pytest.param([*GET, (b"x-Y", b"x")], "'x-Y' has upper case", id="8.2.1 one such letter"),
        pytest.param([*GET, (b"", b"x")], "'' is no name", id="8.2.1 an empty name"),
        pytest.param([*GET, (b"a", b"x"), (b"", b"")], "'' is no", id="8.2.1 an empty last name"),
        pytest.param([*GET, (b"a b", b"x")], "'a b' is no name", id="8.2.1 a blank in a name"),
        pytest.param([*GET, (b"a\x00", b"x")], "is no name", id="8.2.1 NUL in a name"),
        pytest.param([*GET, (b"a\r", b"x")], "is no name", id="8.2.1 CR in a name"),
        pytest.param([*GET, (b"a\nb", b"x")], "'a\\nb' is no name", id="8.2.1 LF in a name"),
        pytest.param([*GET, (b"a\x7f", b"x")], "is no name", id="8.2.1 DEL in a name"),
        pytest.param([*GET, (b"a\xff", b"x")], "is no name", id="8.2.1 above ASCII in a name"),
        pytest.param([*GET, (b"a(", b"x")], "is no name", id="RFC 9110 5.1 no token"),
        pytest.param([*GET, (b"a:b", b"x")], "'a:b' is no name", id="8.2.1 a colon in a name"),
        pytest.param([*GET, (b"x", b"a\x00b")], "'x' has a control", id="8.2.1 NUL in a value"),
        pytest.param([*GET, (b"x", b"a\rb")], "'x' has a control", id="8.2.1 CR in a value"),
        pytest.param([*GET, (b"x", b"a\nb")], "'x' has a control", id="8.2.1 LF in a value"),
        pytest.param([*GET, (b"x", b"a\x01")], "'x' has a control", id="RFC 9110 5.5 a control"),
        pytest.param([*GET, (b"x", b"\x7f")], "'x' has a control", id="RFC 9110 5.5 DEL"),
        pytest.param(put(GET, b":path", b"/a\nb"), "':path' has", id="8.2.1 LF in a pseudo-field"),
        pytest.param(put(GET, b":authority", b"a\x00"), "':authority' has", id="8.2.1 NUL in one"),
        pytest.param(put(GET, b":method", b"G\r"), "':method' has", id="8.2.1 CR in a method"),
        pytest.param([*GET, (b"x", b" a")], "'x' begins or ends", id="8.2.1 a blank in front"),
        pytest.param([*GET, (b"x", b"a ")], "'x' begins or ends", id="8.2.1 a blank behind"),
        pytest.param([*GET, (b"x", b"\ta")], "begins or ends", id="8.2.1 a tab in front"),
        pytest.param([*GET, (b"x", b"a\t")], "begins or ends", id="8.2.1 a tab behind"),
        pytest.param([*GET, (b"x", b" ")], "'x' begins or ends", id="8.2.1 only a blank"),
        pytest.param([*GET, (b"x", b"a "), (b"y", b"")], "'x' begins", id="8.2.1 a blank within"),
        pytest.param([*GET, (b"x", b"\ta"), (b"y", b"")], "'x' begins", id="8.2.1 a tab within"),
        pytest.param([*GET, (b"x", b"a\t"), (b"y", b"")], "'x' begins", id="8.2.1 a tab between"),
        pytest.param([*GET, (b"x", b""), (b"y", b" a")], "'y' begins", id="8.2.1 in the last one"),
        pytest.param([(b":method", b" G"), *GET[1:]], "':method' begins", id="8.2.1 in the first"),
        pytest.param([*GET, (b"x", b"\t")], "'x' begins or ends", id="8.2.1 only a tab"),
        pytest.param([*GET, (b"connection", b"x")], "no field 'connection'", id="8.2.2 connection"),
        pytest.param([*GET, (b"keep-alive", b"5")], "no field 'keep-al", id="8.2.2 keep-alive"),
        pytest.param([*GET, (b"proxy-connection", b"x")], "'proxy-c", id="8.2.2 proxy-connection"),
        pytest.param([*GET, (b"transfer-encoding", b"chunked")], "'trans", id="8.2.2 a coding"),
        pytest.param([*GET, (b"upgrade", b"websocket")], "field 'upgrade'", id="8.2.2 upgrade"),
        pytest.param([*GET, (b"te", b"gzip")], "TE says", id="8.2.2 TE"),
        pytest.param([*GET, (b"te", b"trailers, gzip")], "TE says", id="8.2.2 TE with more"),
        pytest.param([*GET, (b"te", b"trailers"), (b"te", b"")], "TE says", id="8.2.2 two of it"),
        pytest.param([*GET, (b"te", b"")], "TE says", id="8.2.2 an empty TE"),
        pytest.param([*GET, (b":x", b"")], "no pseudo-field ':x'", id="8.3 an unknown one"),
        pytest.param([*GET, (b":status", b"200")], "no pseudo-field", id="8.3 a response's"),
        pytest.param([*GET, (b":", b"")], "no pseudo-field ':'", id="8.3 without a name"),
        pytest.param([*GET, (b":Path", b"/")], "no pseudo-field", id="8.3 in upper case"),
        pytest.param([*GET[:3], (b"x", b"y"), PATH], "is behind", id="8.3 behind other fields"),
        pytest.param([*GET, (b"x", b"y"), PATH], "is behind", id="8.3 once more behind them"),
        pytest.param([*GET, METHOD], "two ':method'", id="8.3 two methods"),
        pytest.param([*GET, PATH], "two ':path'", id="8.3 two paths"),
        pytest.param([*GET, SCHEME], "two ':scheme'", id="8.3 two schemes"),
        pytest.param([*GET, AUTHORITY], "two ':authority'", id="8.3 two authorities"),
        pytest.param(put(GET, b":method", None), "no :method", id="8.3.1 no method"),
        pytest.param(put(GET, b":scheme", None), "no :scheme", id="8.3.1 no scheme"),
        pytest.param(put(GET, b":path", None), "no :path", id="8.3.1 no path"),
        pytest.param(put(GET, b":path", b""), ":path is empty", id="8.3.1 an empty path"),
        pytest.param([], "no :method", id="8.3.1 nothing"),
        pytest.param([(b"accept", b"x")], "no :method", id="8.3.1 no pseudo-field"),
        pytest.param([*CONNECT, PATH], "CONNECT has", id="8.5 CONNECT with a path"),
        pytest.param([*CONNECT, SCHEME], "CONNECT has", id="8.5 CONNECT with a scheme"),
        pytest.param(CONNECT[:1], "CONNECT has", id="8.5 CONNECT without an authority"),
        pytest.param(put(WEBSOCKET, b":protocol", None), "CONNECT has", id="8.5 with all of them"),
        pytest.param(
            put(WEBSOCKET, b":method", b"GET"), "Only CONNECT", id="RFC 8441 4 of a GET"
        ),
        pytest.param(put(WEBSOCKET, b":path", None), "no :path", id="RFC 8441 4 no path"),
        pytest.param(put(WEBSOCKET, b":scheme", None), "no :scheme", id="RFC 8441 4 no scheme"),
        pytest.param(put(WEBSOCKET, b":authority", None), "no :auth", id="RFC 8441 4 no authority"),
        pytest.param([*WEBSOCKET, (b":protocol", b"x")], "two ':prot", id="RFC 8441 4 two of them"),
        pytest.param([*GET, (b"content-length", b"1")], "0 of 1 bytes", id="8.1.1 no body at all"),
    ],
)  # fmt: skip
def test_a_malformed_request(fields: Fields, said: str) -> None:
    with pytest.raises(MalformedRequest) as found:
        read(fields)
    assert said in found.value.sentence


def test_no_value_is_in_the_sentence() -> None:
    with pytest.raises(MalformedRequest) as found:
        read([*GET, (b"authorization", b"secret\n")])
    assert "secret" not in found.value.sentence
    with pytest.raises(MalformedRequest) as found:
        read([*GET, (b"A" * 9_000, b"")])
    assert len(found.value.sentence) < 200


@pytest.mark.parametrize(
    ("http", "http2"),
    [
        (HttpSettings(websockets=False), Http2Settings()),
        (HttpSettings(), Http2Settings(websockets=False)),
    ],
)
def test_protocol_is_unknown_where_no_websocket_is(
    http: HttpSettings, http2: Http2Settings
) -> None:
    """RFC 8441 section 3: the client was not told that it may send one."""
    with pytest.raises(MalformedRequest, match="no pseudo-field ':protocol'"):
        request_of(WEBSOCKET, False, http, http2)


# -- refused requests --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(CONNECT, 405, id="8.5 CONNECT"),
        pytest.param(put(GET, b":method", b"TRACE"), 405, id="TRACE"),
        pytest.param(put(GET, b":method", b"G T"), 400, id="RFC 9110 9.1 a method that is none"),
        pytest.param(put(GET, b":method", b""), 400, id="RFC 9110 9.1 an empty method"),
        pytest.param(put(GET, b":scheme", b"ftp"), 400, id="8.3.1 another scheme"),
        pytest.param(put(GET, b":scheme", b""), 400, id="8.3.1 an empty scheme"),
        pytest.param(put(GET, b":path", b"*"), 400, id="8.3.1 an asterisk without OPTIONS"),
        pytest.param(put(GET, b":path", b"b"), 400, id="8.3.1 a relative path"),
        pytest.param(put(GET, b":path", b"https://a.example:8/"), 400, id="8.3.1 a whole URL"),
        pytest.param(put(GET, b":path", b"/a b"), 400, id="RFC 3986 a blank in the path"),
        pytest.param(put(GET, b":path", b"/a\tb"), 400, id="RFC 3986 a tab in the path"),
        pytest.param(put(GET, b":path", b"/\xff"), 400, id="RFC 3986 above ASCII"),
        pytest.param(put(GET, b":path", b"/a#b"), 400, id="RFC 9110 7.1 a fragment"),
        pytest.param(put(GET, b":path", b"/a?%00"), 400, id="an encoded NUL"),
        pytest.param(put(GET, b":path", b"/a/../../b"), 400, id="a path that climbs out"),
        pytest.param(put(GET, b":authority", None), 400, id="RFC 9110 7.2 no host"),
        pytest.param(put(GET, b":authority", b""), 400, id="RFC 9110 7.2 an empty host"),
        pytest.param(put(GET, b":authority", b"me@a.example:8"), 400, id="8.3.1 userinfo"),
        pytest.param(put(GET, b":authority", b"a, b"), 400, id="RFC 9110 7.2 two hosts in one"),
        pytest.param(put(GET, b":authority", b"a:99999"), 400, id="RFC 9110 7.2 no such port"),
        pytest.param([*GET, (b"host", b"b.example:8")], 400, id="8.3.1 another host"),
        pytest.param([*GET, (b"host", b"a.example")], 400, id="8.3.1 another port"),
        pytest.param([*GET, (b"host", b"")], 400, id="8.3.1 an empty host beside it"),
        pytest.param([*GET, *TWO_HOSTS], 400, id="RFC 9110 7.2 two Host fields"),
        pytest.param([METHOD, SCHEME, PATH, *TWO_HOSTS], 400, id="RFC 9110 7.2 two of them alone"),
        pytest.param([*POST, (b"content-length", b"5x")], 400, id="RFC 9110 8.6 no number"),
        pytest.param([*POST, (b"content-length", b"-5")], 400, id="RFC 9110 8.6 negative"),
        pytest.param([*POST, (b"content-length", b"5"), (b"content-length", b"5")], 400,
                     id="RFC 9110 8.6 two lengths"),
        pytest.param([*POST, (b"expect", b"x")], 417, id="RFC 9110 10.1.1 an expectation"),
        pytest.param([*POST, (b"content-length", b"99999999999")], 413, id="RFC 9110 15.5.14 413"),
        pytest.param(put(WEBSOCKET, b":protocol", b"connect-udp"), 501, id="RFC 9298 another one"),
        pytest.param(put(WEBSOCKET, b":protocol", b""), 501, id="RFC 8441 4 an empty one"),
        pytest.param([*WEBSOCKET, (b"content-length", b"5")], 400, id="RFC 9110 9.3.6 a body"),
        pytest.param(put(WEBSOCKET, b":path", b"*"), 400, id="RFC 8441 4 an asterisk"),
    ],
)  # fmt: skip
def test_a_refused_request(fields: Fields, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        read(fields, ended=False)
    assert refused.value.status == status
    if status == 405:
        assert dict(refused.value.headers)[b"allow"].startswith(b"GET, ")


def test_a_websocket_needs_a_stream_that_goes_on() -> None:
    with pytest.raises(RequestError):
        read(WEBSOCKET, ended=True)


LINE = len("GET /b?c=d HTTP/1.1")
HEAD = LINE + len("\r\nhost: a.example:8\r\nx: y\r\n\r\n")


@pytest.mark.parametrize(
    ("limits", "status", "option"),
    [
        ({"limit_request_line": LINE}, 0, ""),
        ({"limit_request_line": LINE - 1}, 414, "limit-request-line"),
        ({"limit_request_fields": 2}, 0, ""),
        ({"limit_request_fields": 1}, 431, "limit-request-fields"),
        ({"limit_request_field_size": len("host: a.example:8")}, 0, ""),
        ({"limit_request_field_size": 16}, 431, "limit-request-field-size"),
        ({"limit_request_head": HEAD}, 0, ""),
        ({"limit_request_head": HEAD - 1}, 431, "limit-request-field-size"),
    ],
)
def test_the_limits_are_those_of_lines(limits: dict[str, int], status: int, option: str) -> None:
    fields = [*GET, (b"x", b"y")]
    if not status:
        assert read(fields, **limits).host == "a.example"
        return
    with pytest.raises(RequestError) as refused:
        read(fields, **limits)
    assert (refused.value.status, refused.value.option) == (status, option)


def test_crumbs_count_as_fields_and_their_cookie_as_one() -> None:
    crumbs = [(b"cookie", b"a=b")] * 4
    assert read([*GET, *crumbs], limit_request_fields=5).headers[1:] == (
        (b"cookie", b"a=b; a=b; a=b; a=b"),
    )
    with pytest.raises(RequestError):
        read([*GET, *crumbs], limit_request_fields=4)
    assert read([*GET, *crumbs], limit_request_field_size=26)
    with pytest.raises(RequestError):
        read([*GET, *crumbs], limit_request_field_size=25)


# -- requests ----------------------------------------------------------------------------------


def test_a_request() -> None:
    request = read([*GET, (b"accept", b"*/*"), (b"x", b""), (b"y", b"\xe4 \t b")])
    assert (request.method, request.target, request.path) == ("GET", b"/b?c=d", b"/b")
    assert (request.query, request.http_version, request.host) == (b"c=d", "2", "a.example")
    assert (request.content_length, request.expects_continue) == (0, False)
    assert (request.upgrade, request.trace_parent, request.told_ids) == ("", None, ())
    assert (request.forwarded, request.takes, request.priority) == ((), TAKES_HINTS, b"")
    assert request.headers == (
        (b"host", b"a.example:8"), (b"accept", b"*/*"), (b"x", b""), (b"y", b"\xe4 \t b"),
    )  # fmt: skip


def test_the_fields_of_the_engine_stay_as_they_are() -> None:
    fields = [*GET, (b"cookie", b"a=b"), (b"cookie", b"c=d")]
    before = list(fields)
    read(fields)
    assert fields == before


def test_pseudo_fields_have_no_order() -> None:
    assert read([PATH, AUTHORITY, SCHEME, METHOD]).headers == ((b"host", b"a.example:8"),)


@pytest.mark.parametrize("scheme", [b"https", b"http", b"HTTPS"])
def test_schemes_that_are_served(scheme: bytes) -> None:
    """Whatever the connection is: a proxy in front may have ended TLS, and what a client says of it
    is for `http.trust`."""
    assert read(put(GET, b":scheme", scheme)).path == b"/b"


def test_an_asterisk_goes_with_options() -> None:
    request = read(put(put(GET, b":method", b"OPTIONS"), b":path", b"*"))
    assert (request.path, request.target) == (b"*", b"*")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([METHOD, SCHEME, PATH, (b"x", b"y"), (b"host", b"A:8")], id="8.3.1 Host"),
        pytest.param([*put(GET, b":authority", b"a:8"), (b"x", b"y"), (b"host", b"A:8")],
                     id="8.3.1 both, but for their case"),
    ],
)  # fmt: skip
def test_a_host_field(fields: Fields) -> None:
    request = read(fields)
    assert request.host == "a"
    assert request.headers == ((b"x", b"y"), (b"host", b"A:8"))


def test_crumbs_are_one_cookie() -> None:
    """RFC 9113 section 8.2.3."""
    fields = [(b"a", b"b"), (b"cookie", b"c=d"), (b"x", b"y"), (b"cookie", b"e=f; g=h"),
              (b"cookie", b"i=j"), (b"z", b"")]  # fmt: skip
    assert read([*GET, *fields]).headers[1:] == (
        (b"a", b"b"), (b"cookie", b"c=d; e=f; g=h; i=j"), (b"x", b"y"), (b"z", b""),
    )  # fmt: skip
    assert read([*GET, (b"cookie", b"c=d")]).headers[1:] == ((b"cookie", b"c=d"),)


@pytest.mark.parametrize(
    ("fields", "ended", "length"),
    [
        ([], True, 0),
        ([], False, None),
        ([(b"content-length", b"0")], True, 0),
        ([(b"content-length", b"0")], False, 0),
        ([(b"content-length", b"12")], False, 12),
    ],
)
def test_the_length_of_a_body(fields: Fields, ended: bool, length: int | None) -> None:
    assert read([*POST, *fields], ended).content_length == length


def test_who_expects_a_100() -> None:
    expect = (b"expect", b"100-Continue")
    assert read([*POST, expect], ended=False).expects_continue
    assert not read([*POST, expect], ended=True).expects_continue
    assert not read([*POST, expect, (b"content-length", b"0")], ended=False).expects_continue


def test_who_takes_trailers_and_hints() -> None:
    assert read([*GET, (b"te", b"Trailers")]).takes == TAKES_TRAILERS | TAKES_HINTS
    assert read(GET, early_hints="all").takes == TAKES_HINTS
    assert read(GET, early_hints="off").takes == 0
    assert read([*GET, (b"te", b"trailers")], early_hints="off").takes == TAKES_TRAILERS


def test_priority_is_the_app_s_too() -> None:
    """RFC 9218 section 5; several fields are one (RFC 9110 section 5.3)."""
    one, other = (b"priority", b"u=1"), (b"priority", b"i")
    request = read([*GET, one])
    assert (request.priority, request.headers[1:]) == (b"u=1", (one,))
    assert read([*GET, one, other]).priority == b"u=1,i"


def test_a_websocket() -> None:
    """RFC 8441 section 5.1: the example."""
    fields = [*WEBSOCKET, (b"sec-websocket-version", b"13"), (b"origin", b"https://a.example")]
    request = read(fields, ended=False)
    assert (request.upgrade, request.method, request.path) == ("websocket", "CONNECT", b"/b")
    assert (request.content_length, request.expects_continue) == (0, False)
    assert request.headers == ((b"host", b"a.example:8"), *fields[5:])
    assert read(put(WEBSOCKET, b":protocol", b"WebSocket"), ended=False).upgrade == "websocket"
    assert read([*WEBSOCKET, (b"content-length", b"0")], ended=False).upgrade == "websocket"
    assert not read([*WEBSOCKET, (b"expect", b"100-continue")], ended=False).expects_continue


def test_what_is_kept_apart() -> None:
    request = read([
        *GET, (b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-ssl", b"on"), (b"proxy", b"x"),
        (b"x_y", b"dropped"), (b"x-request-id", b"7"), (b"traceparent", TRACE),
    ])  # fmt: skip
    assert request.headers == ((b"host", b"a.example:8"), (b"traceparent", TRACE))
    assert set(request.forwarded) == {
        (b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-ssl", b"on")
    }  # fmt: skip
    assert request.told_ids == (b"7",)
    assert request.trace_parent is not None
    assert request.trace_parent.trace_id == 32 * "a"


# -- what is behind a head ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b":path", b"/")], id="8.1 a pseudo-field"),
        pytest.param([(b"x", b"y"), (b":status", b"200")], id="8.1 one behind others"),
        pytest.param([(b"X", b"y")], id="8.2.1 upper case"),
        pytest.param([(b"x", b"y\n")], id="8.2.1 LF"),
        pytest.param([(b"x", b" y")], id="8.2.1 a blank"),
        pytest.param([(b"connection", b"x")], id="8.2.2 connection"),
        pytest.param([(b"te", b"gzip")], id="8.2.2 TE"),
    ],
)
def test_malformed_trailers(fields: Fields) -> None:
    with pytest.raises(MalformedRequest):
        check_trailers(fields, True)


def test_trailers_that_do_not_end_the_stream() -> None:
    """RFC 9113 section 8.1."""
    with pytest.raises(MalformedRequest, match="do not end"):
        check_trailers([(b"x", b"y")], False)


@pytest.mark.parametrize(
    "fields", [[(b"host", b"a")], [(b"content-length", b"5")], [(b"x", b"y" * 9_000)],
               [(b"x", b"y" * 999)] * 9]
)  # fmt: skip
def test_refused_trailers(fields: Fields) -> None:
    with pytest.raises(RequestError) as refused:
        check_trailers(fields, True)
    assert refused.value.status == 400


def test_trailers() -> None:
    check_trailers([(b"grpc-status", b"0"), (b"x", b"")], True)
    check_trailers([], True)


@pytest.mark.parametrize(
    ("length", "pieces", "said"),
    [
        (5, [(3, False), (2, True)], ""),
        (5, [(5, False), (0, True)], ""),
        (0, [(0, True)], ""),
        (5, [(6, False)], "1 bytes over"),
        (0, [(1, True)], "1 bytes over"),
        (5, [(3, False), (3, True)], "1 bytes over"),
        (5, [(3, False), (1, True)], "after 4 of 5"),
        (5, [(0, True)], "after 0 of 5"),
        (None, [(8, False), (8, True)], ""),
        (None, [(0, True)], ""),
    ],
)
def test_a_length_that_lies(length: int | None, pieces: list[tuple[int, bool]], said: str) -> None:
    """RFC 9113 section 8.1.1."""
    body = BodyLength(length, 16)
    for size, ended in pieces[:-1]:
        body.add(size, ended)
    if not said:
        body.add(*pieces[-1])
        return
    with pytest.raises(MalformedRequest, match=said):
        body.add(*pieces[-1])


def test_a_body_without_a_length_has_a_limit() -> None:
    body = BodyLength(None, 16)
    body.add(16, False)
    with pytest.raises(RequestError) as refused:
        body.add(1, False)
    assert refused.value.status == 413
    BodyLength(None, 0).add(10**12, True)


# -- the log -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([*GET, (b"X", b"y")], ("GET", b"/b?c=d")),
        ([], ("-", b"")),
        (CONNECT, ("CONNECT", b"a.example:8")),
        (put(GET, b":method", b"G T"), ("-", b"/b?c=d")),
        (put(GET, b":method", b"G" * 33), ("-", b"/b?c=d")),
        ([METHOD, (b":method", b"PUT"), PATH, (b":path", b"/z")], ("GET", b"/b?c=d")),
        ([METHOD, (b":path", b"/" + bytes(9_000))],
         ("GET", (b"/" + bytes(9_000))[:LONGEST_SHOWN] + b"...")),
        (put(GET, b":path", b"/" + b"a" * (LONGEST_SHOWN - 1)),
         ("GET", b"/" + b"a" * (LONGEST_SHOWN - 1))),
    ],
)  # fmt: skip
def test_what_is_known_of_a_refused_request(fields: Fields, told: tuple[str, bytes]) -> None:
    request = refused_request(fields)
    assert (request.method, request.target, request.http_version) == (*told, "2")


# -- any fields --------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from([
        b":method", b":scheme", b":path", b":authority", b":protocol", b"host", b"cookie", b"te",
        b"content-length", b"expect", b"x-forwarded-for", b"x_y", b"traceparent", b"connection",
        b"proxy", b"x-request-id", b"priority", b":status", b"upgrade", b"Host", b"",
    ]),
    st.binary(max_size=3),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([
        b"GET", b"CONNECT", b"OPTIONS", b"https", b"/", b"*", b"/a/../..", b"a", b"a:80", b"a@b",
        b"websocket", b"trailers", b"5", b"0", b"100-continue", b" a", b"a\t", b"a\nb", TRACE, b"",
    ]),
    st.binary(max_size=4),
)  # fmt: skip
ANY = st.lists(st.tuples(NAMES, VALUES), max_size=6)
FIRST = st.permutations(GET).flatmap(lambda four: st.sampled_from([four, four, four[:3], []]))


@settings(max_examples=300, deadline=None)
@example(GET, [(b"x", b"a\nb")], True)
@example(GET, [(b"a\nb", b"")], True)
@example(WEBSOCKET, [], False)
@given(FIRST, ANY, st.booleans())
def test_any_fields(first: Fields, more: Fields, ended: bool) -> None:
    """Fields make a request or one of two errors, and what h2 refuses is refused here."""
    fields = [*first, *more]
    refused_request(fields)
    with suppress(MalformedRequest, RequestError):
        check_trailers(fields, ended)
    try:
        request: Request | None = read(fields, ended, header_map="dangerous")
    except (MalformedRequest, RequestError):
        return
    try:
        assert list(validate_headers(fields, HeaderValidationFlags(False, False, False, False)))
    except ProtocolError as error:
        pytest.fail(f"h2 refuses what was taken: {error}")
    assert request is not None
    assert request.host
    for name, value in request.headers:
        assert name == name.lower()
        assert not name.startswith(b":")
        assert not set(b"\r\n\0") & set(name + value)
