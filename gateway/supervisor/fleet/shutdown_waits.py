"""What a stop waits for, as a sentence. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from ....protocol.supervision.messages import StopWaits, Vitals
from ...control.durations import duration
from .replica import Process

HOW_TO_STOP_NOW: Final = "`propylon stop --now` or a second signal ends it at once"
KINDS: Final = (("requests", "request"), ("responses", "response"), ("websockets", "WebSocket"))
MOST_PLACES: Final = 8
"""Workers that a sentence names."""


def waits_for(
    children: Iterable[Process],
    gateways: Mapping[int, StopWaits],
    vitals: Mapping[int, Vitals],
    left: float | None,
) -> str:
    """ "" where nothing is left. `gateways`: child -> what it said last that it waits for;
    `vitals`: child -> a worker's; `left`: seconds until the rest has to stop now."""
    here = list(children)
    of_gateways = [child for child in here if child.replica_id.kind == "gateway"]
    parts = _of_gateways([gateways.get(child.id, StopWaits()) for child in of_gateways])
    if not parts:
        parts = _of_workers(here, vitals)
    if not parts:
        parts = [f"{child} to end" for child in here]
    if not parts:
        return ""
    limit = f", for {duration(left)} at most" if left is not None and left > 0 else ""
    named = parts[:MOST_PLACES]
    more = [f"{len(parts) - MOST_PLACES} more"] if len(parts) > MOST_PLACES else []
    return f"Stopping waits for {'; '.join(named + more)}{limit}; {HOW_TO_STOP_NOW}"


def _of_gateways(said: list[StopWaits]) -> list[str]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    connections = 0
    for each in said:
        connections += each.connections
        for pool, workers in each.calls.items():
            for calls in workers:
                place = "the queue" if calls.worker is None else f"worker {calls.worker}"
                counts = found.setdefault((pool, place), dict.fromkeys(dict(KINDS), 0))
                for key in counts:
                    counts[key] += getattr(calls, key)
    parts = [
        f"{_counted(counts)} of pool {pool} ({where})" for (pool, where), counts in found.items()
    ]
    if not parts and connections:
        return [_plural(connections, "connection")]
    return parts


def _of_workers(children: Iterable[Process], vitals: Mapping[int, Vitals]) -> list[str]:
    calls = [(child, vitals.get(child.id, Vitals()).calls) for child in children]
    return [f"{_plural(count, 'call')} of {child}" for child, count in calls if count]


def _counted(counts: Mapping[str, int]) -> str:
    words = [_plural(counts[key], word) for key, word in KINDS if counts[key]]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
