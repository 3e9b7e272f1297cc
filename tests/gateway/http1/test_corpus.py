"""The rows of the rules for broken and hostile requests: both parsers, every cut, one answer."""

import random

import pytest
from propylon.gateway.http1.machine import HttpMachine
from propylon.gateway.http1.refused_request import refused_request
from propylon.gateway.http1.request_head import why_malformed
from propylon.gateway.settings import HttpSettings

from .drive import context, drive, every_byte

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HOST = ((b"host", b"a"),)
IN_CHUNKS = (*HOST, (b"transfer-encoding", b"chunked"))

WEBSOCKET = (
    b"Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat"
)
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = b"Sec-WebSocket-Version: 13"
UPGRADE = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket"
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def got(method: str = "GET", path: bytes = b"/", query: bytes = b"", headers=HOST, body=b""):
    return [(method, path, query, headers, body, True)]


def line(request_line: bytes) -> bytes:
    return request_line + b"\r\nHost: a\r\n\r\n"


def field(raw: bytes) -> bytes:
    return GET + raw + b"\r\n\r\n"


def length(value: bytes) -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\nhello"


def coding(raw: bytes) -> bytes:
    return POST + raw + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def handshake(*fields: bytes, key: bytes = KEY, version: bytes = VERSION) -> bytes:
    return field(b"\r\n".join(one for one in (UPGRADE, key, version, *fields) if one))


ACCEPTED = {
    "plain": (GET + b"\r\n", got()),
    "query": (line(b"GET /a/b?c=d&e HTTP/1.1"), got(path=b"/a/b", query=b"c=d&e")),
    "one empty line before": (b"\r\n" + GET + b"\r\n", got()),
    "HTTP/1.2 is spoken as 1.1": (line(b"GET / HTTP/1.2"), got()),
    "lower-case method": (line(b"get / HTTP/1.1"), got(method="get")),
    "unknown method": (line(b"FROBNICATE / HTTP/1.1"), got(method="FROBNICATE")),
    "method of all token bytes": (line(b"!#$%&'*+-.^_`|~ / HTTP/1.1"), got("!#$%&'*+-.^_`|~")),
    "options asterisk": (line(b"OPTIONS * HTTP/1.1"), got(method="OPTIONS", path=b"*")),
    "absolute form": (line(b"GET http://a/x?y HTTP/1.1"), got(path=b"/x", query=b"y")),
    "absolute form without path": (line(b"GET http://A HTTP/1.1"), got()),
    "encoded slash and dots": (line(b"GET /a%2fb/%2e/c HTTP/1.1"), got(path=b"/a%2fb/%2e/c")),
    "double slash": (line(b"GET //a//b HTTP/1.1"), got(path=b"//a//b")),
    "dots inside of the root": (line(b"GET /a/../b HTTP/1.1"), got(path=b"/a/../b")),
    "odd but legal target": (line(b'GET /"<>{}|^`\\ HTTP/1.1'), got(path=b'/"<>{}|^`\\')),
    "1.0 without host": (b"GET / HTTP/1.0\r\n\r\n", got(headers=())),
    "host with port": (b"GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", got(headers=((b"host", b"a:80"),))),
    "host IPv6": (
        b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        got(headers=((b"host", b"[::1]:80"),)),
    ),
    "value trimmed": (field(b"X: \t y z \t"), got(headers=(*HOST, (b"x", b"y z")))),
    "empty value": (field(b"X:"), got(headers=(*HOST, (b"x", b"")))),
    "obs-text passes unchanged": (
        field(b"X: \x80\xa0\x85\xff"),
        got(headers=(*HOST, (b"x", b"\x80\xa0\x85\xff"))),
    ),
    "names with underscores are dropped": (
        field(b"X_Forwarded_For: 1\r\nX-A: b_c\r\nX_A: 1\r\n_: 1\r\nContent_Length: 5"),
        got(headers=(*HOST, (b"x-a", b"b_c"))),
    ),
    "httpoxy": (field(b"Proxy: http://evil"), got()),
    "a trace": (
        field(b"TraceParent: " + TRACE + b"\r\nX: 1\r\nTraceState: a=1\r\ntracestate: b=2"),
        got(
            headers=(
                *HOST,
                (b"traceparent", TRACE),
                (b"x", b"1"),
                (b"tracestate", b"a=1"),
                (b"tracestate", b"b=2"),
            )
        ),
    ),
    "a malformed traceparent goes with its tracestate": (
        field(b"Traceparent: " + TRACE.upper() + b"\r\nTracestate: a=1"),
        got(),
    ),
    "two traceparents": (
        field(b"Traceparent: " + TRACE + b"\r\ntraceparent: " + TRACE),
        got(),
    ),
    "a tracestate of no trace": (field(b"Tracestate: a=1"), got()),
    "a malformed tracestate goes alone": (
        field(b"Traceparent: " + TRACE + b"\r\nTracestate: a=1\r\nTracestate: A=1"),
        got(headers=(*HOST, (b"traceparent", TRACE))),
    ),
    "forwarded from strangers": (
        field(
            b"X-Forwarded-For: 1\r\nX-Forwarded-Proto: ws\r\nForwarded: for=1\r\nX-Real-IP: 1\r\n"
            b"X-FORWARDED-SSL: on\r\nX-Forwarded-User: root"
        ),
        got(),
    ),
    "hop-by-hop fields reach the app": (
        field(b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers"),
        got(
            headers=(
                *HOST,
                (b"connection", b"keep-alive, X-Hop"),
                (b"x-hop", b"1"),
                (b"keep-alive", b"1"),
                (b"te", b"trailers"),
            )
        ),
    ),
    "h2c upgrade decides nothing": (
        field(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA"),
        got(
            headers=(
                *HOST,
                (b"connection", b"Upgrade, HTTP2-Settings"),
                (b"upgrade", b"h2c"),
                (b"http2-settings", b"AAMA"),
            )
        ),
    ),
    "a WebSocket's handshake reaches the app whole": (
        field(WEBSOCKET),
        got(
            headers=(
                *HOST,
                *(
                    (b"upgrade", b"WebSocket"),
                    (b"connection", b"keep-alive, Upgrade"),
                    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
                    (b"sec-websocket-version", b"13"),
                    (b"sec-websocket-extensions", b"permessage-deflate"),
                    (b"sec-websocket-protocol", b"chat"),
                ),
            )
        ),
    ),
    "length": (
        length(b"5"),
        got("POST", b"/p", headers=(*HOST, (b"content-length", b"5")), body=b"hello"),
    ),
    "length with zeros": (
        length(b"0005"),
        got("POST", b"/p", headers=(*HOST, (b"content-length", b"0005")), body=b"hello"),
    ),
    "GET with a body": (
        GET + b"Content-Length: 2\r\n\r\nhi",
        got(headers=(*HOST, (b"content-length", b"2")), body=b"hi"),
    ),
    "chunked": (
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        got("POST", b"/p", headers=IN_CHUNKS, body=b"hello"),
    ),
    "chunked in capitals, trimmed": (
        coding(b"Transfer-Encoding: \t CHUNKED \t"),
        got("POST", b"/p", headers=(*HOST, (b"transfer-encoding", b"chunked")), body=b"hello"),
    ),
    "chunks": (
        CHUNKED + b"1\r\nh\r\n00a\r\n0123456789\r\n0\r\n\r\n",
        got("POST", b"/p", headers=IN_CHUNKS, body=b"h0123456789"),
    ),
    **{
        f"chunk extension {extension!r}": (
            CHUNKED + b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n",
            got("POST", b"/p", headers=IN_CHUNKS, body=b"hello"),
        )
        for extension in (
            b";a",
            b";a=b",
            b';a=b;c="d"',
            b" ; a = b\t;\tc",
            b';a=""',
            b';a="\\"; \xff\t;b="',
        )
    },
    **{
        f"an empty line behind {what}": (first + b"\r\n" + GET + b"\r\n", outcome + got())
        for what, first, outcome in (
            ("a head", GET + b"\r\n", got()),
            (
                "a body",
                length(b"5"),
                got("POST", b"/p", headers=(*HOST, (b"content-length", b"5")), body=b"hello"),
            ),
        )
    },
    "trailers are thrown away": (
        CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        got("POST", b"/p", headers=IN_CHUNKS, body=b"hello"),
    ),
    "pipelined": (
        GET + b"\r\n" + CHUNKED + b"2\r\nhi\r\n0\r\n\r\n" + length(b"5") + GET + b"\r\n",
        got()
        + got("POST", b"/p", headers=IN_CHUNKS, body=b"hi")
        + got("POST", b"/p", headers=(*HOST, (b"content-length", b"5")), body=b"hello")
        + got(),
    ),
    "nothing behind close is parsed": (
        GET + b"Connection: close\r\n\r\n\x00\x00garbage",
        got(headers=(*HOST, (b"connection", b"close"))),
    ),
    "nothing behind 1.0 is parsed": (b"GET / HTTP/1.0\r\n\r\n\x00\r\n\r\n", got(headers=())),
    "1.0 keep-alive": (
        b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
        got(headers=((b"connection", b"Keep-Alive"),)) + got(path=b"/2", headers=()),
    ),
    "expect": (
        POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
        got(
            "POST",
            b"/p",
            headers=(*HOST, (b"expect", b"100-Continue"), (b"content-length", b"2")),
            body=b"hi",
        ),
    ),
}

REFUSED = {
    # The request line and its target.
    "two spaces": (line(b"GET  / HTTP/1.1"), 400),
    "tab": (line(b"GET\t/ HTTP/1.1"), 400),
    "leading space": (b" " + GET + b"\r\n", 400),
    "trailing space": (line(b"GET / HTTP/1.1 "), 400),
    "bare CR": (line(b"GET /\r HTTP/1.1"), 400),
    "bare LF ends the line": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare LF in the fields": (GET + b"X: y\nZ: w\r\n\r\n", 400),
    "two empty lines before": (b"\r\n\r\n" + GET + b"\r\n", 400),
    "space in target": (line(b"GET /a b HTTP/1.1"), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/1": (line(b"GET / HTTP/1"), 400),
    "HTTP/01.1": (line(b"GET / HTTP/01.1"), 400),
    "http/1.1": (line(b"GET / http/1.1"), 400),
    "HTTP/1.32": (line(b"GET / HTTP/1.32"), 400),
    "HTTP/3.0": (line(b"GET / HTTP/3.0"), 505),
    "HTTP/2.0": (line(b"GET / HTTP/2.0"), 505),
    "method with a colon": (line(b"G:T / HTTP/1.1"), 400),
    "method with a high byte": (line(b"G\xc3T / HTTP/1.1"), 400),
    "get asterisk": (line(b"GET * HTTP/1.1"), 400),
    "absolute form, other host": (line(b"GET http://b/ HTTP/1.1"), 400),
    "absolute form, other port": (line(b"GET http://a:81/ HTTP/1.1"), 400),
    "absolute form, userinfo": (
        b"GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n",
        400,
    ),
    "absolute form, not http": (line(b"GET ftp://a/ HTTP/1.1"), 400),
    "authority form": (line(b"GET a:80 HTTP/1.1"), 400),
    "relative target": (line(b"GET index.html HTTP/1.1"), 400),
    "fragment": (line(b"GET /#x HTTP/1.1"), 400),
    "connect": (line(b"CONNECT a:80 HTTP/1.1"), 405),
    "trace": (line(b"TRACE / HTTP/1.1"), 405),
    "high byte in target": (line(b"GET /\xc3\xa4 HTTP/1.1"), 400),
    "NUL in target": (line(b"GET /\x00 HTTP/1.1"), 400),
    "DEL in target": (line(b"GET /\x7f HTTP/1.1"), 400),
    "encoded NUL": (line(b"GET /%00 HTTP/1.1"), 400),
    "climbs out": (line(b"GET /../etc HTTP/1.1"), 400),
    "climbs out later": (line(b"GET /a/../../etc HTTP/1.1"), 400),
    "climbs out encoded": (line(b"GET /%2e%2E/etc HTTP/1.1"), 400),
    "climbs out over an encoded slash": (line(b"GET /a%2f..%2f..%2fetc HTTP/1.1"), 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    # Fields.
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (field(b"Host: a"), 400),
    "host list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "host empty": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "host with userinfo": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "host with path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host with bad port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "host with signed port": (b"GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", 400),
    "host with large port": (b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400),
    "host with space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host with a high byte": (b"GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n", 400),
    "host with broken IPv6": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "host with long IPv6": (b"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]\r\n\r\n", 400),
    "host with two gaps": (b"GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n", 400),
    "blank before colon": (field(b"X : y"), 400),
    "tab before colon": (field(b"X\t: y"), 400),
    "field before the first name": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "folded line": (field(b"X: y\r\n z"), 400),
    "no colon": (field(b"X"), 400),
    "empty name": (field(b": y"), 400),
    "name with a blank": (field(b"X Y: z"), 400),
    "name with a high byte": (field(b"X\xe4: z"), 400),
    "NUL in value": (field(b"X: a\x00b"), 400),
    "CR in value": (field(b"X: a\rb"), 400),
    "vertical tab in value": (field(b"X: a\x0bb"), 400),
    "DEL in value": (field(b"X: a\x7fb"), 400),
    "connection lists host": (field(b"Connection: Host"), 400),
    "connection lists cookie": (field(b"Connection: close, Cookie"), 400),
    "connection lists content-length": (field(b"Connection: content-length"), 400),
    "connection lists x-forwarded-for": (field(b"Connection: close, X-Forwarded-For"), 400),
    "connection lists forwarded": (field(b"Connection: Forwarded"), 400),
    "connection is no list": (field(b"Connection: a b"), 400),
    "expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    # Framing.
    "length and chunked": (coding(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
    "chunked in 1.0": (
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two codings": (coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400),
    "identity": (coding(b"Transfer-Encoding: identity"), 400),
    **{
        f"coding {value!r}": (coding(b"Transfer-Encoding: " + value), status)
        for value, status in (
            (b"gzip", 501), (b"gzip, chunked", 501), (b"br", 501), (b"gzip,deflate", 501),
            (b"a;b=c", 501), (b'a ; b = "c" , Chunked', 501),
            (b"chunked, gzip", 400), (b"chunked, chunked", 400), (b"identity, chunked", 400),
            (b"gzip,, chunked", 400), (b"gzip;", 400), (b"gzip;q", 400), (b"gz ip", 400),
            (b'a;b="', 400), (b'"gzip"', 400), (b"gzip chunked", 400), (b"x\xe4", 400),
        )
    },
    "comma before": (coding(b"Transfer-Encoding: ,chunked"), 400),
    "comma behind": (coding(b"Transfer-Encoding: chunked,"), 400),
    "xchunked": (coding(b"Transfer-Encoding: xchunked"), 400),
    "vertical tab chunked": (coding(b"Transfer-Encoding: \x0bchunked"), 400),
    "chunked with a parameter": (coding(b"Transfer-Encoding: chunked;x"), 400),
    "coding empty": (coding(b"Transfer-Encoding:"), 400),
    **{
        f"length {value!r}": (length(value), 400)
        for value in (
            b"+5", b"-1", b"0x5", b"1_0", b"5,5", b'"5"', b"5 5", b"5,", b"", b"1" * 20, b"5\x0b",
            "\u0665".encode(),
        )
    },
    "two lengths": (length(b"5\r\nContent-Length: 6"), 400),
    "the same length twice": (length(b"5\r\nContent-Length: 5"), 400),
    **{
        f"chunk size {size!r}": (CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n", 400)
        for size in (
            b"+5", b"-5", b" 5", b"5 ", b"0x5", b"5_", b"", b"0" * 16 + b"5", b"5;\x00", b"5;a\rb",
            b"5;" + b"x" * 257, b"g", b"5;", b"5;;a", b"5;a=", b"5;=b", b"5;a b", b"5;a=b c",
            b"5;bad[=x", b'5; "', b'5;a="b', b'5;a="b"c', b'5;a="\\"', b"5;\xff", b"5;a ",
        )
    },
    "chunk size ends in LF": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
    "chunk extension with LF": (CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", 400),
    "chunk without CRLF behind": (CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n", 400),
    "chunk with LF behind": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    "trailer that frames": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "trailer that is none": (CHUNKED + b"0\r\nX y\r\n\r\n", 400),
    "second request is malformed": (GET + b"\r\nGET  / HTTP/1.1\r\n\r\n", 400),
    "two empty lines behind a request": (GET + b"\r\n\r\n\r\n" + GET + b"\r\n", 400),
    # WebSocket handshakes.
    "handshake without a version": (handshake(version=b""), 426),
    "handshake, another version": (handshake(version=b"Sec-WebSocket-Version: 8"), 426),
    **{
        f"handshake version {value!r}": (handshake(version=b"Sec-WebSocket-Version: " + value), 400)
        for value in (b"", b"013", b"+13", b"13, 8", b"256", b"x", b"13\r\n" + VERSION)
    },
    **{
        f"handshake key {value!r}": (handshake(key=b"Sec-WebSocket-Key: " + value), 400)
        for value in (b"", b"c2hvcnQ=", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZR==",
                      b"dGhlIHNhbXBsZSBub25jZQ==\r\n" + KEY)
    },
    "handshake without a key": (handshake(key=b""), 400),
    **{
        f"handshake with {more!r}": (handshake(more), 400)
        for more in (
            b"Origin: http://a\r\nOrigin: http://a", b"Origin: http://a\r\norigin: http://b",
            b"Connection: origin", b"Connection: Sec-WebSocket-Key", b"Connection: sec-fetch-site",
            b"Content-Length: 1", b"Upgrade: a b", b"Upgrade: /",
            b"Sec-WebSocket-Protocol:", b"Sec-WebSocket-Protocol: ,",
            b"Sec-WebSocket-Protocol: a b", b"Sec-WebSocket-Protocol: a, \xe4",
            b'Sec-WebSocket-Protocol: "a"',
            b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b;c",
            b"Sec-WebSocket-Extensions:", b"Sec-WebSocket-Extensions: ;",
            b"Sec-WebSocket-Extensions: a;", b"Sec-WebSocket-Extensions: a;b=",
            b"Sec-WebSocket-Extensions: a b",
            b'Sec-WebSocket-Extensions: a;b="', b'Sec-WebSocket-Extensions: a;b="c d"',
            b'Sec-WebSocket-Extensions: a;b="c,d"', b"Sec-WebSocket-Extensions: a, =b",
        )
    },
    "handshake in 1.0": (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "handshake by POST": (handshake().replace(b"GET", b"POST"), 400),
}  # fmt: skip

UNFINISHED = {
    # What no head begins with.
    "a control": (b"\x05", 400),
    "NUL": (b"\x00", 400),
    "a blank": (b" ", 400),
    "a high byte": (b"\xc3", 400),
    "TLS": (b"\x16", 400),
    "JSON": (b"{", 400),
    "the PROXY protocol, version 1": (b"PROXY TCP4 1", 400),
    "the PROXY protocol, version 2": (b"\r\n\r", 400),
    "LF": (b"\n", 400),
    "CR": (b"\rG", 400),
    # The request line.
    "another protocol": (b"SSH-2.0-x\r", 400),
    "a mail": (b"EHLO a.example\r", 400),
    "no target": (b"GET  ", 400),
    "a tab": (b"GET\t", 400),
    "a control in the target": (b"GET /\x01", 400),
    "a high byte in the target": (b"GET /\xe4", 400),
    "HTTP/0.9": (b"GET /\r", 400),
    "a blank more": (b"GET / H ", 400),
    **{
        f"version {version!r}": (b"GET / " + version, 400)
        for version in (b"h", b"HTTp", b"HTTP/1,", b"HTTP/x", b"HTTP/1.x", b"HTTP/1.10",
                        b"HTTP/1\r", b"\r", b"HTTP/1.1\n", b"HTTP/1.1 ", b"HTTP/1.1\rG")
    },
    "HTTP/2": (b"PRI * HTTP/2.0\r\n", 505),
    "HTTP/3": (b"GET / HTTP/3.0\r\n", 505),
    "a method that is not served": (b"TRACE / HTTP/1.1\r\n", 405),
    "a target that is none": (b"GET * HTTP/1.1\r\n", 400),
    # Fields.
    "a blank line begins": (GET + b" ", 400),
    "a name with a blank": (GET + b"Bad ", 400),
    "a blank before the colon": (GET + b"X ", 400),
    "no name": (GET + b":", 400),
    "no colon": (GET + b"X\r", 400),
    "NUL in a name": (GET + b"X\x00", 400),
    "NUL in a value": (GET + b"X: y\x00", 400),
    "a field ends in LF": (GET + b"X: y\n", 400),
    "a bare CR in a value": (GET + b"X: y\rz", 400),
    "the head ends in LF": (GET + b"\n", 400),
    "the head ends in CR": (GET + b"\rX", 400),
    "a folded line": (GET + b"X: y\r\n ", 400),
    "two hosts": (GET + b"Host: a\r\n", 400),
    "a host that is none": (b"GET / HTTP/1.1\r\nHost: a b\r\n", 400),
    "another host": (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n", 400),
    "two lengths": (GET + b"Content-Length: 1\r\nContent-Length: 1\r\n", 400),
    "no length": (GET + b"Content-Length: x\r\n", 400),
    "length and coding": (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
    "a coding that is none": (GET + b"Transfer-Encoding: xchunked\r\n", 400),
    "a coding in 1.0": (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400),
    "connection lists host": (GET + b"Connection: host\r\n", 400),
    # Chunks.
    **{
        f"chunk {data!r}": (CHUNKED + data, 400)
        for data in (b"g", b"-", b" ", b";", b"\r", b"5_", b"5 x", b"5;\x00", b"0" * 16,
                     b"5\r\nhelloX", b"0\r\n ", b"0\r\n:", b"0\r\nX\x00", b"0\r\nX: y\x00")
    },
}  # fmt: skip
"""What can't become a request, whatever follows."""


def cuts(data: bytes, name: str) -> list[list[bytes]]:
    generator = random.Random(name)
    ways = [[data], every_byte(data)]
    for _ in range(4):
        points = sorted(generator.sample(range(len(data) + 1), min(3, len(data))))
        ways.append([data[a:b] for a, b in zip([0, *points], [*points, len(data)], strict=True)])
    return [[piece for piece in way if piece] for way in ways]


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str, parser: str) -> None:
    data, expected = ACCEPTED[name]
    for pieces in cuts(data, name):
        assert drive(pieces, parser) == expected, pieces


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, parser: str) -> None:
    data, status = REFUSED[name]
    for pieces in cuts(data, name):
        assert drive(pieces, parser)[-1] == ("refused", status), pieces


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_can_never_become_a_request_is_not_waited_for(name: str) -> None:
    """With the byte that makes it impossible, and not before."""
    data, status = UNFINISHED[name]
    for pieces in cuts(data, name):
        assert drive(pieces, "h11")[-1] == ("refused", status), pieces
    assert [one for one in drive([data[:-1]], "h11") if one[0] == "refused"] == []


def test_an_empty_line_is_nothing_of_a_head() -> None:
    machine = HttpMachine(context("h11"))
    for piece, began in ((b"\r", False), (b"\n", False), (b"G", True)):
        machine.receive(piece)
        assert machine.next_request() is None
        assert machine.head_began == began


UNDERSCORES = b"X_A: 1\r\nX_Forwarded_For: 6.6.6.6\r\nTransfer_Encoding: x\r\nX_Forwarded_User: 1"


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize(
    ("header_map", "data", "outcome"),
    [
        ("drop", UNDERSCORES, got()),
        # Names that decide something, or that a stranger may not use, stay out all the same.
        ("dangerous", UNDERSCORES, got(headers=(*HOST, (b"x_a", b"1")))),
        ("refuse", UNDERSCORES, [("refused", 400)]),
        ("refuse", b"X-A: b_c", got(headers=(*HOST, (b"x-a", b"b_c")))),
        # The field of request ids is sifted out, but is not let through before it is judged.
        ("refuse", b"X_Request_ID: a", [("refused", 400)]),
        ("dangerous", b"X_Request_ID: a", got()),
    ],
)
def test_names_with_underscores(
    header_map: str, data: bytes, outcome: list[object], parser: str
) -> None:
    for pieces in ([field(data)], every_byte(field(data))):
        assert drive(pieces, parser, header_map=header_map) == outcome


@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_a_good_handshake(parser: str) -> None:
    data = handshake(
        b"Origin: http://a",
        b"Sec-WebSocket-Protocol: a, b",
        b"Sec-WebSocket-Protocol: ,c",
        b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits ; x = "1", y',
    )
    for pieces in cuts(data, parser):
        (outcome,) = drive(pieces, parser)
        assert outcome[0] == "GET"


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize(
    ("data", "limits", "status"),
    [
        (b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {"limit_request_line": 100}, 414),
        (b"GET /" + b"a" * 200, {"limit_request_line": 100}, 414),
        (field(b"X: " + b"y" * 100), {"limit_request_field_size": 100}, 431),
        (field(b"\r\n".join([b"X: y"] * 10)), {"limit_request_fields": 10}, 431),
        (field(b"X: " + b"y" * 300), {"limit_request_head": 200}, 431),
        (GET + b"X: " + b"y" * 300, {"limit_request_head": 200}, 431),
        (GET + b"X: " + b"y" * 100, {"limit_request_field_size": 100}, 431),
        (GET + b"X: y\r\n" * 10, {"limit_request_fields": 10}, 431),
        (length(b"5"), {"max_request_body_size": 4}, 413),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", {"max_request_body_size": 4}, 413),
    ],
)
def test_limits(data: bytes, limits: dict[str, int], status: int, parser: str) -> None:
    assert drive([data], parser, **limits)[-1] == ("refused", status)
    assert drive(every_byte(data), parser, **limits)[-1] == ("refused", status)


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (POST + b"Content-Length: 10\r\n\r\nhello", b"hello"),
        (CHUNKED + b"5\r\nhello\r\n", b"hello"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", b"hello"),
        (CHUNKED + b"5\r\nhe", b"he"),
    ],
)
def test_a_body_that_ends_before_its_end_is_never_complete(
    data: bytes, body: bytes, parser: str
) -> None:
    (outcome,) = drive([data], parser)
    assert outcome[-2:] == (body, False)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"GET / HTTP/1.1\r\nAuthorization : hush\r\n\r\n", "malformed: 'Authorization '"),
        (b"GET / HTTP/1.1\r\nCookie: a=hush\x01\r\n\r\n", "malformed: 'Cookie'"),
        (b"GET / HTTP/1.1\r\nCookie: a=b;\r\n c=hush:1\r\n\r\n", "malformed."),
        (b"GET / HTTP/1.1\r\nhush\r\n\r\n", "malformed."),
        (b"GET / HTTP/1.1\nCookie: hush\n\n", "malformed: 'GET / HTTP/1.1'"),
        (b"GET / HTTP/1.1\rCookie: hush\r\n\r\n", "malformed: 'GET / HTTP/1.1'"),
    ],
)
def test_no_value_of_a_field_is_in_the_reason(head: bytes, said: str) -> None:
    """It stands on the error page and in the access log."""
    error = why_malformed(head, HttpSettings())
    assert error.sentence.endswith(said)
    assert "hush" not in error.sentence
    assert b"hush" not in refused_request(head).target
