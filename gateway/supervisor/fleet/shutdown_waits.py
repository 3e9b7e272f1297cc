"""What a stop waits for, as a sentence. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from ...control.durations import duration
from .replica import Process

HOW_TO_HURRY: Final = "`propylon stop --now` or a second signal ends it at once"
KINDS: Final = (("requests", "request"), ("responses", "response"), ("websockets", "WebSocket"))
MOST_PLACES: Final = 8
"""Workers that a sentence names."""

Said = Mapping[str, Any]


def waits_for(
    children: Iterable[Process],
    gateways: Mapping[int, Said],
    vitals: Mapping[int, Said],
    left: float | None,
) -> str:
    """ "" where nothing is left. `gateways`: child -> what it said last that it waits for;
    `vitals`: child -> a worker's; `left`: seconds until the rest is cut."""
    here = list(children)
    of_gateways = [child for child in here if child.replica_id.kind == "gateway"]
    parts = _of_gateways([gateways.get(child.id, {}) for child in of_gateways])
    if not parts:
        parts = _of_workers(here, vitals)
    if not parts:
        parts = [f"{child} to end" for child in here]
    if not parts:
        return ""
    limit = f", for {duration(left)} at most" if left is not None and left > 0 else ""
    named = parts[:MOST_PLACES]
    more = [f"{len(parts) - MOST_PLACES} more"] if len(parts) > MOST_PLACES else []
    return f"Stopping waits for {'; '.join(named + more)}{limit}; {HOW_TO_HURRY}"


def _of_gateways(said: list[Said]) -> list[str]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    connections = 0
    for each in said:
        connections += _number(each.get("connections"))
        pools: object = each.get("calls")
        for pool, workers in cast("dict[str, list[Said]]", pools or {}).items():
            for worker in workers:
                who = worker.get("worker")
                replica_id = f"worker {who}" if who is not None else "the queue"
                counts = found.setdefault((pool, replica_id), dict.fromkeys(dict(KINDS), 0))
                for key in counts:
                    counts[key] += _number(worker.get(key))
    parts = [
        f"{_counted(counts)} of pool {pool} ({where})" for (pool, where), counts in found.items()
    ]
    if not parts and connections:
        return [_plural(connections, "connection")]
    return parts


def _of_workers(children: Iterable[Process], vitals: Mapping[int, Said]) -> list[str]:
    calls = [(child, _number(vitals.get(child.id, {}).get("calls"))) for child in children]
    return [f"{_plural(count, 'call')} of {child}" for child, count in calls if count]


def _counted(counts: Mapping[str, int]) -> str:
    words = [_plural(counts[key], word) for key, word in KINDS if counts[key]]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
