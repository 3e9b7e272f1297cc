"""`wsgi.input` reads as a file does, however the body arrives."""

import io

from hypothesis import given
from hypothesis import strategies as st
from propylon.worker.wsgi.input import WsgiInput

PIECES = st.lists(st.text("ab\n", min_size=1, max_size=9).map(str.encode), max_size=6)
SIZES = st.one_of(st.none(), st.integers(-2, 12))
READS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "readline", "readlines"]), SIZES),
        st.tuples(st.sampled_from(["read", "readline", "readlines", "next", "iterate"])),
    ),
    max_size=12,
)


def perform(file, reads):
    found = []
    for name, *arguments in reads:
        if name == "next":
            found.append(next(file, None))
        elif name == "iterate":
            found.append(list(zip(range(2), file, strict=False)))
        else:
            found.append(getattr(file, name)(*arguments))
    return [*found, file.read()]


@given(pieces=PIECES, reads=READS)
def test_every_way_of_reading_in_any_order_and_size(pieces: list[bytes], reads: list) -> None:
    first, *later = pieces or [b""]
    arriving = iter(later)
    ours = WsgiInput(first, (lambda: next(arriving, b"")) if later else None)
    assert perform(ours, reads) == perform(io.BytesIO(b"".join(pieces)), reads)


def test_it_waits_for_no_more_than_it_was_asked() -> None:
    """PEP 3333: a server may simulate the end of the file, and an app may answer before it."""
    asked = []
    ours = WsgiInput(b"one\ntwo", lambda: asked.append(1) or b"\n")
    assert (ours.read(2), ours.readline(), ours.read(3), ours.read(0)) == (
        b"on",
        b"e\n",
        b"two",
        b"",
    )
    assert not asked
