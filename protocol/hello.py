"""HELLO: which side this is, its versions and features, and how much the peer may send.

Both sides send HELLO first. The highest version that both speak is spoken, features are the
intersection of the names, and unknown keys in the maps are ignored, so that a gateway and a worker
of different releases work together (SPEC.md 3).
"""

import math
from dataclasses import dataclass, field
from typing import Final

from .errors import RemoteProtocolError, VersionMismatch
from .messages import (
    BYE_VERSION,
    HELLO,
    MAGIC,
    MAX_BODY,
    MAX_MESSAGE,
    VERSION_HIGH,
    VERSION_LOW,
    WINDOW,
    Hello,
)

SMALLEST_MAX_MESSAGE: Final = 131_072
"""Bytes of a message that every peer must take: a full body and a large head."""
_LIMITS: Final = frozenset({"max_message", "window", "request_timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """One side's HELLO."""

    who: dict[str, object]
    """Facts about the sender. Of a worker: pool, worker, pid, generation, interface, id. Of a
    gateway: gateway, pid."""
    features: frozenset[str] = frozenset()
    version_low: int = VERSION_LOW
    version_high: int = VERSION_HIGH
    max_message: int = MAX_MESSAGE
    """Bytes of the largest encoded message that this side takes."""
    window: int = WINDOW
    """Bytes of credit that every call has at first, for bodies that this side receives."""
    request_timeout: float = 0.0
    """Seconds from OPEN until a gateway abandons a call without a response; 0.0 if it never does or
    has not said."""
    extra: dict[str, object] = field(default_factory=dict[str, object])
    """Limits of the peer that this version does not know. They are kept and not interpreted."""

    def message(self) -> Hello:
        limits: dict[str, float] = {"max_message": self.max_message, "window": self.window}
        if self.request_timeout:
            limits["request_timeout"] = self.request_timeout
        features = tuple(sorted(self.features))
        return (HELLO, MAGIC, self.version_low, self.version_high, features, limits, self.who)

    @classmethod
    def read(cls, message: Hello) -> "Greeting":
        """Reads the peer's HELLO. Raises RemoteProtocolError if version 1 does not allow it."""
        _, magic, low, high, features, limits, who = message
        if magic != MAGIC:
            raise RemoteProtocolError(f"HELLO begins with {magic!r}, not {MAGIC!r}")
        if not all(type(name) is str for name in features):
            raise RemoteProtocolError("feature names are strings")
        timeout = limits.get("request_timeout", 0.0)
        if type(timeout) not in (int, float) or not 0 <= timeout < math.inf:
            raise RemoteProtocolError(f"HELLO's limit request_timeout is {timeout!r}")
        return cls(
            who=who,
            features=frozenset(features),
            version_low=low,
            version_high=high,
            max_message=_size(limits, "max_message", MAX_MESSAGE, SMALLEST_MAX_MESSAGE),
            window=_size(limits, "window", WINDOW, MAX_BODY),
            request_timeout=float(timeout),
            extra={name: limit for name, limit in limits.items() if name not in _LIMITS},
        )


def _size(limits: dict[str, float], name: str, default: int, least: int) -> int:
    limit = limits.get(name, default)
    if type(limit) is not int or not least <= limit < 2**31:
        raise RemoteProtocolError(f"HELLO's limit {name} is {limit!r}; least is {least}")
    return limit


def negotiate(ours: Greeting, theirs: Greeting) -> tuple[int, frozenset[str]]:
    """Returns the version to speak and the features to use. Both sides get the same answer."""
    version = min(ours.version_high, theirs.version_high)
    if version < max(ours.version_low, theirs.version_low):
        raise VersionMismatch(
            (ours.version_low, ours.version_high),
            (theirs.version_low, theirs.version_high),
            BYE_VERSION,
        )
    return version, ours.features & theirs.features
