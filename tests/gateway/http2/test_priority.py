import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.http2.priority import (
    MOST_EARLY,
    MOST_PRIORITY_TEXT,
    UNSPECIFIED,
    EarlyUpdates,
    PriorityParameters,
    read_priority,
)

READ = {
    b"u=0": (0, False),
    b"u=7": (7, False),
    b"i": (3, True),
    b"i=?1": (3, True),
    b"i=?0": (3, False),
    b"u=1, i": (1, True),
    b"u=1,i": (1, True),
    b"u=1 \t,\t i": (1, True),
    b"  u=5, i  ": (5, True),
    b"i, u=2": (2, True),
    b"u=1, u=4": (4, False),
    b"i, i=?0": (3, False),
    b"u=1;x=2;y, i;z": (1, True),
    b"u=2, other": (2, False),
    b'u=2, a="x,\\"y", b=(1 2;q "c"), c=tok/en:x, d=:YQ==:, e=1.5, f=-3, *z, i': (2, True),
    b"other": (3, False),
    # wrong values are as none of them (RFC 9218 section 4)
    b"u=8": (3, False),
    b"u=-1": (3, False),
    b"u=1.0": (3, False),
    b"u=01": (3, False),
    b'u="1"': (3, False),
    b"u": (3, False),
    b"u=(1)": (3, False),
    b"i=1": (3, False),
    b"i=yes, u=1": (1, False),
}
NOT_READ = [
    b"", b" ", b"u=", b"U=1", b"u=1,", b",u=1", b"u=1,,i", b"u=1 i", b"u = 1", b"u=1, i=",
    b"u=?2", b"1", b"u=1\r\n", b"u=1;", b'a="', b"a=(1", b"\xff", b"u=1, i\0",
    b"u=1" + b" " * MOST_PRIORITY_TEXT + b",i", b"u=1234567890123456",
]  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_what_is_read(text: bytes) -> None:
    assert read_priority(text) == PriorityParameters(*READ[text])


@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_no_dictionary_is_as_nothing(text: bytes) -> None:
    assert read_priority(text) == UNSPECIFIED


@given(st.text('ui=?017, ;()":a.-', max_size=300))
def test_anything_can_be_asked(text: str) -> None:
    urgency, incremental = read_priority(text.encode())
    assert 0 <= urgency <= 7
    assert incremental in (True, False)


def test_updates_that_come_early() -> None:
    kept = EarlyUpdates()
    kept.keep(7, b"u=1")
    kept.keep(7, b"u=2")
    assert kept.take(7) == b"u=2"
    assert kept.take(7) == b""


def test_only_the_latest_are_kept() -> None:
    kept = EarlyUpdates()
    for stream in range(1, 2 * MOST_EARLY + 3, 2):
        kept.keep(stream, b"u=1")
    assert kept.take(1) == b""
    assert kept.take(3) == b"u=1"
    kept.keep(5, b"u" * (MOST_PRIORITY_TEXT + 1))
    assert kept.take(5) == b""
