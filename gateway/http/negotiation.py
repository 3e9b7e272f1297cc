"""What a client is willing to take: the fields Accept and Accept-Encoding. Pure."""

from typing import Final

from ...protocol.messages import Pairs

LONGEST_LIST: Final = 64
"""Members of a list that are looked at."""


def values_of(headers: Pairs, name: bytes) -> str:
    """The values of a field, joined as one list (RFC 9110 section 5.3)."""
    return ", ".join(value.decode("latin-1") for field, value in headers if field == name)


def takes_gzip(headers: Pairs) -> bool:
    """Whether the client takes gzip (RFC 9110 section 12.5.3)."""
    any_coding = False
    for coding, quality in weighted(values_of(headers, b"accept-encoding")):
        if coding in ("gzip", "x-gzip"):
            return quality > 0
        any_coding = any_coding or (coding == "*" and quality > 0)
    return any_coding


def weighted(text: str) -> list[tuple[str, float]]:
    """The members of a list in lower case, each with its quality value (RFC 9110 section
    12.4.2)."""
    found: list[tuple[str, float]] = []
    for member in text.split(",")[:LONGEST_LIST]:
        word, *parameters = (part.strip().lower() for part in member.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        found.append((word, quality))
    return found
