"""Whatever comes, both parsers say the same, and where the bytes are cut does not matter."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from .drive import drive, every_byte

TOKENS = st.sampled_from([
    b"GET", b"POST", b"get", b"OPTIONS", b"M-SEARCH", b"X!", b"Host", b"Content-Length", b"X-A",
    b"Transfer-Encoding", b"Connection", b"Expect", b"Upgrade", b"TE", b"Cookie", b"X_Y",
    b"Origin", b"X-Forwarded-User", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Version",
])  # fmt: skip
TARGETS = st.sampled_from([
    b"/", b"*", b"/a?b", b"/%2e%2e/", b"/a/../b", b"//", b"http://a/b", b"http://b/", b"a:1", b"/#",
    b"/%00", b'/"<>', b"/a b", b"?", b"",
])  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/1", b""])
VALUES = st.one_of(
    st.sampled_from([
        b"a", b"a:80", b"", b"5", b"0", b"5,5", b"+5", b"chunked", b"Chunked ", b"gzip", b"close",
        b"keep-alive, X-A", b"100-continue", b"websocket", b"Upgrade", b"\x80", b" \t a \t ",
        b"a\x00", b"gzip, chunked", b"origin", b"13", b"keep-alive, Upgrade",
    ]),
    st.binary(max_size=6),
)  # fmt: skip
ENDINGS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n "])
COLONS = st.sampled_from([b": "] * 12 + [b":", b" :", b"", b":\t"])
FIELDS = st.tuples(TOKENS, COLONS, VALUES, ENDINGS).map(b"".join)
HEADS = st.builds(
    lambda method, target, version, end, host, fields, last: (
        method + b" " + target + b" " + version + end + host + b"".join(fields) + last
    ),
    TOKENS,
    TARGETS,
    VERSIONS,
    ENDINGS,
    st.sampled_from([b"Host: a\r\n"] * 4 + [b"", b"Host: b\r\n"]),
    st.lists(FIELDS, max_size=4),
    st.sampled_from([b"\r\n"] * 8 + [b"\n", b""]),
)
BODIES = st.one_of(
    st.binary(max_size=12),
    st.lists(
        st.sampled_from([
            b"5\r\nhello\r\n", b"0\r\n\r\n", b"5;x\r\nhello\r\n", b"5\nhello\n", b"a\r\n", b"\r\n",
            b'5 ; x = "\\""\r\nhello\r\n', b"5;x=\r\nhello\r\n",
            b"0\r\nX: y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]),
        max_size=4,
    ).map(b"".join),
)  # fmt: skip
MESSAGES = st.lists(st.tuples(HEADS, BODIES).map(b"".join), min_size=1, max_size=2).map(b"".join)


def agree(data: bytes) -> None:
    whole = drive([data], "httptools")
    assert drive([data], "h11") == whole
    for parser in ("httptools", "h11"):
        assert verdict(drive(every_byte(data), parser)) == verdict(whole)


@settings(max_examples=500, deadline=None)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nhello")
@example(b"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
@given(MESSAGES)
def test_parsers_and_cuts_agree(data: bytes) -> None:
    agree(data)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(MESSAGES)
def test_parsers_and_cuts_agree_at_length(data: bytes) -> None:
    agree(data)


def verdict(outcomes: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """An unfinished request is reported with what came of its body before it was refused; how far
    that is depends on the cut. Everything else does not."""
    return [outcome for outcome in outcomes if outcome[-1] is not False]


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_answered_or_awaited(data: bytes) -> None:
    assert drive([data], "httptools") == drive([data], "h11")
