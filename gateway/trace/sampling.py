"""Which traces are recorded: OpenTelemetry's samplers, by the names of its variables. Pure.

OTEL_TRACES_SAMPLER has one of the words in `SAMPLERS`, OTEL_TRACES_SAMPLER_ARG the ratio of
`traceidratio`. A parent-based sampler does what the client has decided, so that a trace is recorded
in all of its processes or in none.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

DEFAULT_SAMPLER: Final = "parentbased_always_on"
_OF_ID: Final = (1 << 64) - 1
"""The part of a trace id that a ratio looks at, as OpenTelemetry's Python SDK has it: processes
that look at the same part with the same ratio decide alike."""

Decide = Callable[[int], bool]
"""Whether the trace with this id, a number of 128 bits, is recorded."""


class Sampler(NamedTuple):
    root: Decide
    """Decides about a trace that begins here, or about every one."""
    follows_parent: bool
    """Whether a client that continues a trace has decided already."""

    def samples(self, trace_id: int, parent_sampled: bool | None) -> bool:
        """Whether a trace is recorded. `parent_sampled` is None for one that begins here."""
        if parent_sampled is None or not self.follows_parent:
            return self.root(trace_id)
        return parent_sampled


def _always(_: int) -> bool:
    return True


def _never(_: int) -> bool:
    return False


def ratio(share: float) -> Decide:
    """Samples this share of all traces, from 0.0 to 1.0."""
    bound = round(share * (_OF_ID + 1))
    return lambda trace_id: trace_id & _OF_ID < bound


SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


def sampler(name: str, share: float) -> Sampler:
    """The sampler of a name in SAMPLERS. `share` is for those by ratio."""
    root = name.removeprefix("parentbased_")
    decide = {"always_on": _always, "always_off": _never, "traceidratio": ratio(share)}[root]
    return Sampler(decide, root != name)
