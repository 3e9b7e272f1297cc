"""What proxies write down, read from the right."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.http import forwarded
from propylon.gateway.http.forwarded import forwarded_from_right, list_from_right, node
from propylon.protocol.messages import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"192.0.2.1", ("192.0.2.1", 0)),
        (b"192.0.2.1:4711", ("192.0.2.1", 4711)),
        (b"192.0.2.1:_port", ("192.0.2.1", 0)),
        (b"2001:DB8::1", ("2001:db8::1", 0)),
        (b"[2001:db8::1]", ("2001:db8::1", 0)),
        (b"[2001:db8::1]:65535", ("2001:db8::1", 65_535)),
        (b"::ffff:192.0.2.1", ("192.0.2.1", 0)),
        (b"[::ffff:192.0.2.1]:80", ("192.0.2.1", 80)),
        (b"unknown", None),
        (b"Unknown:80", None),
        (b"_hidden", None),
        (b"_SEVKISEK:_x", None),
    ],
)
def test_node(text: bytes, address: Address | None) -> None:
    assert node(text) == address


@pytest.mark.parametrize(
    "text",
    [
        b"", b"localhost", b"1.2.3", b"1.2.3.4.5", b"256.1.1.1", b"01.2.3.4", b"1.2.3.4:65536",
        b"1.2.3.4:", b"1.2.3.4:+1", b"1.2.3.4 ", b"[1.2.3.4]", b"[::1", b"::1]", b"[fe80::1%eth0]",
        b"fe80::1%eth0", b":::", b"::g", b"_", b"_a b", b'"1.2.3.4"', b"1.2.3.4\n",
        b"\xd9\xa1.2.3.4", b"<script>", b"unknownx",
    ],
)  # fmt: skip
def test_no_node(text: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        node(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("values", "entries"),
    [
        ([], []),
        ([b""], []),
        ([b"a"], [b"a"]),
        ([b"a, b ,\tc"], [b"c", b"b", b"a"]),
        ([b"a, b", b"c"], [b"c", b"b", b"a"]),
        ([b",a,, ,", b","], [b"a"]),
    ],
)
def test_list_from_right(values: list[bytes], entries: list[bytes]) -> None:
    assert list(list_from_right(values)) == entries


@pytest.mark.parametrize(
    ("values", "elements"),
    [
        ([b""], []),
        ([b" ; , ;;"], []),
        ([b"for=192.0.2.60;proto=http;by=203.0.113.43"],
         [{b"for": b"192.0.2.60", b"proto": b"http", b"by": b"203.0.113.43"}]),
        ([b'for=192.0.2.43,FOR="[2001:db8:cafe::17]",For=unknown'],
         [{b"for": b"unknown"}, {b"for": b"[2001:db8:cafe::17]"}, {b"for": b"192.0.2.43"}]),
        ([b"for=1.1.1.1", b"for=2.2.2.2"], [{b"for": b"2.2.2.2"}, {b"for": b"1.1.1.1"}]),
        ([b'host="a,b;c";proto=http'], [{b"host": b"a,b;c", b"proto": b"http"}]),
        ([b'a="\\"\\\\x"'], [{b"a": b'"\\x'}]),
        ([b'a=""'], [{b"a": b""}]),
        ([b"for=1.1.1.1 ; proto=http , for=2.2.2.2"],
         [{b"for": b"2.2.2.2"}, {b"for": b"1.1.1.1", b"proto": b"http"}]),
    ],
)  # fmt: skip
def test_forwarded(values: list[bytes], elements: list[dict[bytes, bytes]]) -> None:
    assert list(forwarded_from_right(values)) == elements


BROKEN = [
    b"for", b"for=", b"=x", b"for =x", b"for= x", b"for=a b", b"for=[::1]", b"for=1.1.1.1:80",
    b'for="', b'for="x', b'for="x\\"', b'for="x"y', b'for="a""b"', b"for=a;for=b", b"for=a;FOR=b",
    b"for=a/b", b"\xff=a",
    # A client that leaves a quote open, and what a proxy may append behind it.
    b'for="x, for=192.0.2.1', b'for="x, for="[2001:db8::1]"', b'for="x, for=1.1.1.1;host="a"',
    b'for="x, host="";for=1.1.1.1', b'for="x\\, for="1.1.1.1"',
]  # fmt: skip


@pytest.mark.parametrize("value", BROKEN)
def test_forwarded_malformed(value: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        list(forwarded_from_right([value]))
    assert caught.value.status == 400


@pytest.mark.parametrize("value", BROKEN)
def test_a_field_behind_a_broken_one_is_whole(value: bytes) -> None:
    assert next(forwarded_from_right([value, b"for=192.0.2.1"])) == {b"for": b"192.0.2.1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"http", "http"), (b"HTTPS", "https"), (b"ws", "http"), (b"wss", "https")],
)
def test_scheme(text: bytes, value: str) -> None:
    assert forwarded.scheme(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"Example.com", ("example.com", 0)),
        (b"example.com:8443", ("example.com", 8443)),
        (b"[::1]:80", ("[::1]", 80)),
        (b"example.com:", ("example.com", 0)),
    ],
)
def test_host(text: bytes, value: tuple[str, int]) -> None:
    assert forwarded.host(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"/", ""), (b"", ""), (b"/api", "/api"), (b"/api/", "/api"), (b"/a/b~c", "/a/b~c")],
)
def test_prefix(text: bytes, value: str) -> None:
    assert forwarded.prefix(text) == value


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (forwarded.scheme, [b"", b"ftp", b"https ", b"http:", b"h\xc3\xb6"]),
        (forwarded.host, [b"", b"a b", b"a/b", b"u@a", b"a:65536", b"a:b", b"[::1", b"a,b"]),
        (forwarded.port, [b"", b"0", b"65536", b"+1", b"1_0", b"-1", b"80 ", b"\xd9\xa3"]),
        (
            forwarded.prefix,
            [b"api", b"//evil.example", b"//", b"/a//b", b"/a/../b", b"/..", b"/.", b"/%2e%2e",
             b"/a?b", b"/a#b", b"/a b", b"/\xc3\xb6", b"/a\\b", b"/a//"],
        ),
    ],
)  # fmt: skip
def test_single_values_that_are_none(read: Callable[[bytes], object], texts: list[bytes]) -> None:
    for text in texts:
        with pytest.raises(RequestError) as caught:
            read(text)
        assert caught.value.status == 400, text


PIECES = st.sampled_from(
    [b"for=", b"proto=", b"host=", b'"', b"\\", b",", b";", b" ", b"1.2.3.4", b"[::1]", b":", b"_a",
     b"unknown", b"=", b"\t", b"\xff", b"/"]
)  # fmt: skip
VALUES = st.lists(st.one_of(st.binary(max_size=20), st.lists(PIECES, max_size=12).map(b"".join)))


@given(VALUES)
def test_garbage_is_refused_and_nothing_else(values: list[bytes]) -> None:
    for entry in list_from_right(values):
        for read in (node, forwarded.scheme, forwarded.host, forwarded.port, forwarded.prefix):
            with suppress(RequestError):
                read(entry)
    with suppress(RequestError):
        assert all(forwarded_from_right(values))


TOKENS = st.text("abcXYZ019.-_", min_size=1, max_size=8).map(str.encode)
QUOTABLE = st.text('ab,;= "\\', max_size=8).map(str.encode)


def quoted(value: bytes) -> bytes:
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@given(st.lists(st.dictionaries(TOKENS.map(bytes.lower), QUOTABLE, min_size=1), max_size=5))
def test_what_is_quoted_comes_back(elements: list[dict[bytes, bytes]]) -> None:
    value = b", ".join(
        b";".join(name + b"=" + quoted(text) for name, text in element.items())
        for element in elements
    )
    assert list(forwarded_from_right([value])) == elements[::-1]
