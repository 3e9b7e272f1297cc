"""RFC 9110 section 14: which parts are sent, and what is not honoured."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from propylon.gateway.files.ranges import MOST_PARTS, Part, multipart, parts_of

SIZE = 1000
FAR = [f"{start}-{start + 9}" for start in range(0, SIZE * 100, 200)]


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-", [(500, 1000)]),
        ("bytes=-1", [(999, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("bytes=990-5000", [(990, 1000)]),
        ("Bytes = 1-2", [(1, 3)]),
        ("bytes=1-2,", [(1, 3)]),
        ("bytes=0-0,-1", [(0, 1), (999, 1000)]),
        ("bytes=500-509, 0-9", [(0, 10), (500, 510)]),
        ("bytes=0-9,5-20", [(0, 21)]),
        ("bytes=0-9,20-29", [(0, 30)]),
        ("bytes=0-9,2000-2010", [(0, 10)]),
        ("bytes=1000-", []),
        ("bytes=5000-6000,-0", []),
        ("bytes=5-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=0x1-2", None),
        ("lines=1-2", None),
        ("bytes=" + "1" * 30 + "-", None),
        ("bytes=0-1," + "2" * 5000, None),
        ("bytes=0-400,500-999", [(0, 401), (500, 1000)]),
    ],
)
def test_parts(field: str, parts: list[tuple[int, int]] | None) -> None:
    found = parts_of(field.encode(), SIZE)
    assert (found is None) is (parts is None)
    assert parts is None or found == [Part(*part) for part in parts]


def test_more_parts_than_anybody_wants_are_none() -> None:
    size = SIZE * 200
    assert len(parts_of(f"bytes={','.join(FAR[:MOST_PARTS])}".encode(), size) or ()) == MOST_PARTS
    assert parts_of(f"bytes={','.join(FAR[: MOST_PARTS + 1])}".encode(), size) is None
    assert parts_of(b"bytes=" + b",".join([b"0-"] * 500), size) == [Part(0, size)]


def test_an_empty_file_has_no_part() -> None:
    assert parts_of(b"bytes=0-", 0) == []
    assert parts_of(b"bytes=-5", 0) == []


@given(
    some.lists(
        some.tuples(some.integers(0, 1200), some.one_of(some.none(), some.integers(0, 1200)))
    )
)
def test_parts_are_in_the_file_and_in_order(ranges: list[tuple[int, int | None]]) -> None:
    texts = [f"{first}-{'' if last is None else last}" for first, last in ranges]
    parts = parts_of(f"bytes={','.join(texts)}".encode(), SIZE)
    for one, other in zip(parts or (), (parts or ())[1:], strict=False):
        assert one.stop < other.start
    wanted = {
        byte
        for first, last in ranges
        for byte in range(first, SIZE if last is None else min(last + 1, SIZE))
    }
    if parts is not None:
        assert wanted <= {byte for part in parts for byte in range(*part)}
        assert all(0 <= part.start < part.stop <= SIZE for part in parts)


def test_several_parts_are_framed() -> None:
    framed = multipart([Part(0, 5), Part(10, 12)], 20, b"text/plain", b"b0undary")
    assert framed.content_type == b"multipart/byteranges; boundary=b0undary"
    assert framed.heads[1] == (
        b"\r\n--b0undary\r\nContent-Type: text/plain\r\nContent-Range: bytes 10-11/20\r\n\r\n"
    )
    assert framed.end == b"\r\n--b0undary--\r\n"
