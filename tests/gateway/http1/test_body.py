"""Chunked bodies: what is read in one step says the same as what is read step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.http1.body import MOST_CHUNKS, ChunkedBody

LIMIT = 3_000


def outcome(pieces: list[bytes]) -> tuple[bytes, bool | int]:
    """The body as far as it came and whether that is all, or the status of a refusal."""
    framing, body, rest = ChunkedBody(LIMIT), b"", b""
    try:
        for piece in pieces:
            rest += piece
            while rest and not framing.complete:
                data, rest = framing.decode(rest)
                body += data
    except RequestError as error:
        return b"", error.status
    return body, framing.complete


LINES = st.sampled_from(
    [
        b"1\r\na\r\n",
        b"3\r\nabc\r\n",
        b"0a\r\n0123456789\r\n",
        b"C\r\nABCDEFGHIJKL\r\n",
        b"2;x=y\r\nab\r\n",
        b"0\r\n\r\n",
        b"0\r\nt: v\r\n\r\n",
        b"7d0\r\n" + bytes(2_000) + b"\r\n",
        b"1\r\nab\r\n",
        b"1\na\r\n",
        b"g\r\na\r\n",
        b"\r\n",
        b"fffffffff\r\n",
        b"1",
        b"2\r\na",
    ]
)


@given(lines=st.lists(LINES, max_size=12))
def test_all_ways_to_read_chunks_agree(lines: list[bytes]) -> None:
    data = b"".join(lines)
    assert outcome([data]) == outcome([data[i : i + 1] for i in range(len(data))])


def test_a_step_reads_so_many_chunks() -> None:
    framing = ChunkedBody()
    data = b"1\r\nx\r\n" * (2 * MOST_CHUNKS) + b"0\r\n\r\nGET"
    body, rest = framing.decode(data)
    assert (len(body), len(rest)) == (MOST_CHUNKS, 6 * MOST_CHUNKS + 8)
    body, rest = framing.decode(rest)
    assert (len(body), rest, framing.complete) == (MOST_CHUNKS, b"0\r\n\r\nGET", False)
    assert framing.decode(rest) == (b"", b"GET")
    assert framing.complete


def test_many_small_chunks_have_the_limit_of_one_large_one() -> None:
    framing = ChunkedBody(10)
    assert framing.decode(b"1\r\nx\r\n" * 10) == (b"x" * 10, b"")
    with pytest.raises(RequestError) as refused:
        framing.decode(b"1\r\nx\r\n")
    assert refused.value.status == 413
