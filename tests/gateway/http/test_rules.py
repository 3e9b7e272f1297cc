"""What RFC 9110 says of a message, whatever HTTP version it is written in."""

import pytest
from propylon.gateway.exchange.errors import RequestError, ResponseError
from propylon.gateway.http.rules import (
    Fields,
    check_field,
    ends_with_head,
    fit,
    request_length,
    response_length,
    sift,
    sift_ids,
)


@pytest.mark.parametrize(
    ("method", "status", "ends"),
    [
        ("GET", 200, False),
        ("HEAD", 200, True),
        ("HEAD", 500, True),
        ("GET", 204, True),
        ("POST", 304, True),
        ("GET", 205, False),
        ("GET", 404, False),
    ],
)
def test_who_has_a_body(method: str, status: int, ends: bool) -> None:
    assert ends_with_head(method, status) is ends


def test_a_request_s_length() -> None:
    assert request_length(b"0") == 0
    assert request_length(b"9" * 18) == 10**18 - 1
    for value in (b"", b"+5", b"-1", b"1_0", b"5,5", b" 5", b"0x5", b"9" * 19, "٣".encode()):
        with pytest.raises(RequestError) as refused:
            request_length(value)
        assert refused.value.status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"bad name", b""), (b"", b"x"), (b"n\n", b""), (b"n", b"a\r\nb: c"), (b"n", b"\x00")],
)
def test_a_field_that_would_change_what_stands_around_it(name: bytes, value: bytes) -> None:
    check_field(b"X-Name", b"some \t value \xff")
    with pytest.raises(ResponseError):
        check_field(name, value)


def test_a_response_s_length() -> None:
    assert response_length(b"5", None) == 5
    assert response_length(b"05", 5) == 5
    for value, before in ((b"6", 5), (b"", None), (b"-1", None), (b"1" * 19, None)):
        with pytest.raises(ResponseError):
            response_length(value, before)


def test_a_body_that_is_not_as_long_as_it_says() -> None:
    assert fit(b"hello", 3) == (b"hel", "a body of 5 bytes was cut to its content-length 3")
    assert fit(b"hel", 5) == (b"hel", "the body ended after 3 of 5 bytes")


LIES: Fields = [
    (b"x-a", b"1"),
    (b"x_a", b"2"),
    (b"content_length", b"3"),
    (b"x_forwarded_user", b"4"),
    (b"x-forwarded-user", b"5"),
    (b"x-forwarded-for", b"6"),
]


def test_names_that_lie() -> None:
    word = ((b"x-forwarded-user", b"5"),)
    assert sift(LIES, "drop") == ([LIES[0], LIES[5]], word)
    assert sift(LIES, "dangerous") == ([LIES[0], LIES[1], LIES[5]], word)
    with pytest.raises(RequestError) as refused:
        sift(LIES, "refuse")
    assert refused.value.status == 400


def test_request_ids_are_kept_apart() -> None:
    """With those that an environ would take for the same name, whatever --header-map says."""
    names = (b"a", b"x-request-id", b"x_request_id", b"x-request_id", b"x-request-id-b")
    fields: Fields = [(name, b"%d" % number) for number, name in enumerate(names)]
    kept, ids = sift_ids([*fields, (b"x-request-id", b"9")], b"x-request-id")
    assert kept == [(b"a", b"0"), (b"x-request-id-b", b"4")]
    assert ids == (b"1", b"9")
