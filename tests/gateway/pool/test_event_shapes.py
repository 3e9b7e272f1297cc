"""What a worker may say in an EVENT, and what it may not."""

from typing import Any

import pytest
from propylon.gateway.exchange.errors import ResponseError
from propylon.gateway.pool.event_shapes import hints_of, trailers_of

FIELDS = ((b"x-a", b"1"), (b"x-b", b""))


def test_hints_and_trailers() -> None:
    assert hints_of({"links": (b"</a>", b"</b>"), "headers": FIELDS}) == (
        (b"link", b"</a>"), (b"link", b"</b>"), *FIELDS,
    )  # fmt: skip
    assert hints_of({}) == trailers_of({}) == ()
    assert trailers_of({"headers": FIELDS}) == FIELDS


@pytest.mark.parametrize("links", ["</a>", b"</a>", ("</a>",), (b"</a>", 1), {"a": b"b"}, 7])
def test_links_that_are_none(links: Any) -> None:
    with pytest.raises(ResponseError, match="links are not bytes"):
        hints_of({"links": links})


@pytest.mark.parametrize("fields", ["x", (b"a",), ((b"a",),), ((b"a", "b"),), ([b"a", b"b"],), 7])
def test_fields_that_are_none(fields: Any) -> None:
    for read in (hints_of, trailers_of):
        with pytest.raises(ResponseError, match="pairs of bytes"):
            read({"headers": fields})
