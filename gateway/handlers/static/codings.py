"""Which precompressed form of a file a client is sent: `app.js.br` beside `app.js`. Pure."""

from typing import Final

from ....protocol.messages import Pairs
from ...http.negotiation import values_of, weighted

SIBLINGS: Final = (("zstd", b".zst"), ("br", b".br"), ("gzip", b".gz"))
"""Content codings (RFC 9110 section 8.4.1, 8878, 7932) and what their files' names end with; of
those that a client likes as much, the first."""


def accepted_siblings(headers: Pairs) -> list[tuple[str, bytes]]:
    """The rows of SIBLINGS that the client takes, those that it likes most first, and none that it
    likes less than the file as it is (RFC 9110 section 12.5.3)."""
    weights = {
        coding.removeprefix("x-"): quality
        for coding, quality in weighted(values_of(headers, b"accept-encoding"))
    }
    others = weights.get("*", 0.0)
    least = weights.get("identity", 0.0)
    rated = [(weights.get(row[0], others), row) for row in SIBLINGS]
    liked = [(weight, row) for weight, row in rated if weight > 0 and weight >= least]
    return [row for _, row in sorted(liked, key=lambda each: -each[0])]
