import pytest
from propylon.gateway.http.negotiation import takes_gzip, values_of


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (b"", False),
        (b"gzip", True),
        (b"GZip", True),
        (b"x-gzip", True),
        (b"br, gzip;q=0.5", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*", True),
        (b"*;q=0", False),
        (b"identity", False),
        (b"gzip;q=nan-sense", False),
        (b"," * 10_000 + b"gzip", False),
    ],
)
def test_who_takes_gzip(text: bytes, taken: bool) -> None:
    assert takes_gzip(((b"accept-encoding", text),)) is taken


def test_a_field_that_comes_twice_is_one_list() -> None:
    fields = ((b"accept", b"a/b"), (b"x", b"y"), (b"accept", b"c/d"))
    assert values_of(fields, b"accept") == "a/b, c/d"
    assert not takes_gzip(())
