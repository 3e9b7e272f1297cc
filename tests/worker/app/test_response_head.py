"""Response heads as apps give them: what passes, what is brought into shape, what is named."""

import pytest
from propylon.worker.app import response_head
from propylon.worker.app.response_head import checked_headers

BAD = [
    ([(b"x y", b"1")], "is no header name"),
    ([(b"", b"1")], "is no header name"),
    ([(b"x", b"1\r\nset-cookie: a=b")], "CR, LF or NUL"),
    ([(b"x", b"\x00")], "CR, LF or NUL"),
    ([("x", b"1")], "are bytes"),
    ([(b"x", 1)], "are bytes"),
    ([(b"x",)], "pair of name and value"),
    ([b"xy"], "pair of name and value"),
]
GOOD = [(b"content-type", b"text/plain"), (b"x-id", b"7")]


@pytest.mark.parametrize(("fields", "words"), BAD)
def test_what_is_wrong_is_named_each_time(fields: list[object], words: str) -> None:
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match=words):
            checked_headers([*GOOD, *fields])  # type: ignore[list-item]
        assert checked_headers(GOOD) == tuple(GOOD)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"X-Upper", b" 1\t")],
        [[b"x-upper", b"1"]],
        [(bytearray(b"x-upper"), bytearray(b"1"))],
        [(b"x-upper", memoryview(b"1"))],
        [(memoryview(bytearray(b"x-upper")), b"1")],
    ],
)
def test_shapes_that_apps_give(fields: list[object]) -> None:
    for _ in range(2):
        found = checked_headers([*GOOD, *fields])  # type: ignore[list-item]
        assert [tuple(map(bytes, field)) for field in found] == [*GOOD, (b"x-upper", b"1")]


def test_what_is_known_is_bounded() -> None:
    for number in range(10_000):
        checked_headers([(b"x-number", b"%d" % number), (b"x-long", b"%1000d" % number)])
    assert 0 < len(response_head._known) <= response_head._MOST_KNOWN
    assert all(len(value) <= response_head._LONGEST_KNOWN for _, value in response_head._known)


@pytest.mark.parametrize("field", [(b"set-cookie", b"hush\r\n"), (b"set-cookie", "hush")])
def test_no_value_is_in_what_is_raised(field: object) -> None:
    """The log has it, and the value may be a session's cookie."""
    with pytest.raises((TypeError, ValueError), match="set-cookie") as raised:
        checked_headers([field])  # type: ignore[list-item]
    assert "hush" not in str(raised.value)
