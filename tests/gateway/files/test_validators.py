"""RFC 9110 sections 8.8 and 13: validators, and what conditions on them come to."""

import pytest
from propylon.gateway.files.validators import (
    Validators,
    http_date,
    judge,
    range_still_holds,
    validators_of,
)

STATE = Validators(b'"abc"', 784111777)  # Sun, 06 Nov 1994 08:49:37 GMT
BEFORE, THEN = b"Sun, 06 Nov 1994 08:49:36 GMT", b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_date_is_written_in_one_form() -> None:
    assert http_date(784111777) == THEN
    assert http_date(10**12) == b"Fri, 31 Dec 9999 23:59:59 GMT"
    assert http_date(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"


def test_a_tag_tells_states_apart() -> None:
    second = 10**9
    states = [
        validators_of(10, 5 * second + 1, 7),
        validators_of(11, 5 * second + 1, 7),
        validators_of(10, 5 * second + 2, 7),
        validators_of(10, 5 * second, 7),
        validators_of(10, 5 * second, 8),  # written within one second, as archives say it
        validators_of(10, 5 * second + 1, 7, "gzip"),
    ]
    assert len({state.etag for state in states}) == len(states)
    # Another machine's copy of a file has another number.
    assert validators_of(10, 5 * second + 1, 9) == states[0]
    assert validators_of(10, -5, 7).modified == 0


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, "proceed"),
        ({"if-none-match": b'"abc"'}, "not modified"),
        ({"if-none-match": b'W/"abc"'}, "not modified"),
        ({"if-none-match": b'"x", "abc"'}, "not modified"),
        ({"if-none-match": b'"a,b" ,"abc"'}, "not modified"),
        ({"if-none-match": b'"x,"abc"'}, "proceed"),
        ({"if-none-match": b"*"}, "not modified"),
        ({"if-none-match": b'"ab"'}, "proceed"),
        ({"if-none-match": b"abc"}, "proceed"),
        ({"if-modified-since": THEN}, "not modified"),
        ({"if-modified-since": BEFORE}, "proceed"),
        ({"if-modified-since": b"Sunday, 06-Nov-94 08:49:37 GMT"}, "not modified"),
        ({"if-modified-since": b"Sun Nov  6 08:49:37 1994"}, "not modified"),
        ({"if-modified-since": b"Sun Nov  6 08:49:36 1994"}, "proceed"),
        ({"if-modified-since": b"yesterday"}, "proceed"),
        ({"if-modified-since": b"\xff"}, "proceed"),
        ({"if-modified-since": b"Sun, 06 Nov 99999999 08:49:37 GMT"}, "proceed"),
        # If-None-Match counts, and If-Modified-Since does not (13.1.3).
        ({"if-none-match": b'"ab"', "if-modified-since": THEN}, "proceed"),
        ({"if-match": b'"abc"'}, "proceed"),
        ({"if-match": b"*"}, "proceed"),
        ({"if-match": b'W/"abc"'}, "failed"),
        ({"if-match": b'"x"'}, "failed"),
        ({"if-match": b'"x"', "if-none-match": b'"abc"'}, "failed"),
        ({"if-unmodified-since": THEN}, "proceed"),
        ({"if-unmodified-since": BEFORE}, "failed"),
        ({"if-match": b'"abc"', "if-unmodified-since": BEFORE}, "proceed"),
        ({"if-match": b'"abc"', "if-none-match": b'"abc"'}, "not modified"),
    ],
)
def test_conditions_in_their_order(fields: dict[str, bytes], verdict: str) -> None:
    headers = tuple((name.encode(), value) for name, value in fields.items())
    assert judge(headers, STATE) == verdict


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (None, True),
        (b'"abc"', True),
        (b'W/"abc"', False),
        (b'"x"', False),
        (THEN, True),
        (BEFORE, False),
        (b"nonsense", False),
    ],
)
def test_a_part_is_of_the_same_state(value: bytes | None, holds: bool) -> None:
    headers = () if value is None else ((b"if-range", value),)
    assert range_still_holds(headers, STATE) is holds
