"""RFC 9110 section 12.5.3: which precompressed form is sent."""

import pytest
from propylon.gateway.handlers.static.codings import accepted_siblings


@pytest.mark.parametrize(
    ("accepts", "codings"),
    [
        (None, []),
        ("", []),
        ("gzip", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("gzip, deflate, br, zstd", ["zstd", "br", "gzip"]),
        ("gzip;q=1.0, br;q=0.5", ["gzip", "br"]),
        ("br;q=0, gzip", ["gzip"]),
        ("*", ["zstd", "br", "gzip"]),
        ("*;q=0", []),
        ("br, *;q=0", ["br"]),
        ("identity", []),
        ("identity;q=1, gzip;q=0.5", []),
        ("identity;q=0.5, gzip;q=1", ["gzip"]),
        ("identity;q=0, gzip;q=0.1", ["gzip"]),
        ("gzip;q=nonsense", []),
        ("GZIP ; Q=0.7", ["gzip"]),
    ],
)
def test_what_the_client_likes(accepts: str | None, codings: list[str]) -> None:
    headers = () if accepts is None else ((b"accept-encoding", accepts.encode()),)
    assert [coding for coding, _ in accepted_siblings(headers)] == codings
