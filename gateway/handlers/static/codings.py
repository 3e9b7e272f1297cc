"""Which precompressed form of a file a client is sent: `app.js.br` beside `app.js`. Pure."""

from typing import Final

from ....protocol.messages import Pairs

SIBLINGS: Final = (("zstd", b".zst"), ("br", b".br"), ("gzip", b".gz"))
"""Content codings (RFC 9110 section 8.4.1, 8878, 7932) and what their files' names end with; of
those that a client likes as much, the first."""
MOST_CODINGS: Final = 64
"""Members of a list that are looked at."""


def accepted_siblings(headers: Pairs) -> list[tuple[str, bytes]]:
    """The rows of SIBLINGS that the client takes, those that it likes most first, and none that it
    likes less than the file as it is (RFC 9110 section 12.5.3)."""
    weights = _weights(headers)
    if not weights:
        return []
    others = weights.get("*", 0.0)
    least = weights.get("identity", 0.0)
    rated = [(weights.get(row[0], others), row) for row in SIBLINGS]
    liked = [(weight, row) for weight, row in rated if weight > 0 and weight >= least]
    return [row for _, row in sorted(liked, key=lambda each: -each[0])]


def _weights(headers: Pairs) -> dict[str, float]:
    """Coding in lower case -> its quality value, of all Accept-Encoding fields."""
    found: dict[str, float] = {}
    values = [value for name, value in headers if name == b"accept-encoding"]
    for member in b",".join(values).decode("latin-1").split(",")[:MOST_CODINGS]:
        coding, *parameters = (part.strip().lower() for part in member.split(";"))
        if coding:
            found[coding.removeprefix("x-")] = _quality(parameters)
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
