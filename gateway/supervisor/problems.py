"""The problems of this moment, as all children see them together. Pure: time is passed in.

`protocol.supervision.problems` explains what a problem is, and why children report it instead of
logging it. Two children that see the same one, by its kind and subject, make one entry. It is
logged when it comes, when its first reporter describes it differently, and when nobody sees it any
more. A child that ends takes nothing back: its successor may see the same in a moment. So what only
children saw that have ended stays for LINGERS seconds, and then goes without a word.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from ...protocol.supervision.messages import Problem
from ..control.status import ProblemStatus

LINGERS: Final = 10.0
MOST: Final = 50
"""Entries at most, because a child may be broken or hostile. Further ones are ignored."""
MOST_CHARACTERS: Final = 600
"""Characters of a text at most."""

Key = tuple[str, str]
"""Kind and subject."""


@dataclass(slots=True)
class _Entry:
    kind: str
    what: str
    remedy: str
    since: float
    logged_by_child: bool
    seen_by: list[int] = field(default_factory=list[int])
    """The children that see it, the first one first."""
    left_at: float = 0.0
    """When the last of those that have ended did so."""

    @property
    def sentence(self) -> str:
        return "; ".join(filter(None, (self.what, self.remedy)))

    def describe(self, what: str, remedy: str) -> bool:
        """Takes a description, and returns whether it is another one."""
        changed = (what, remedy) != (self.what, self.remedy)
        self.what, self.remedy = what, remedy
        return changed

    def leave(self, child: int, now: float) -> None:
        """A child that sees it has ended."""
        self.seen_by.remove(child)
        self.left_at = now


class Problems:
    def __init__(self, came: Callable[[str], None], went: Callable[[str], None]) -> None:
        """`came` and `went` log a sentence."""
        self._came = came
        self._went = went
        self._entries: dict[Key, _Entry] = {}

    def heard(self, child: int, problems: Iterable[Problem], now: float) -> None:
        """Takes all problems that a child sees now."""
        self._forget(now)
        seen = {(_plain(one.kind), _plain(one.subject)): one for one in problems}
        for key, one in seen.items():
            self._see(child, key, one, now)
        for key, entry in list(self._entries.items()):
            if child in entry.seen_by and key not in seen:
                entry.seen_by.remove(child)
                if not entry.seen_by:
                    self._end(key, entry)

    def _see(self, child: int, key: Key, one: Problem, now: float) -> None:
        what, remedy = _plain(one.what), _plain(one.remedy)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MOST:
                return
            entry = _Entry(key[0], what, remedy, now, one.logged, [child])
            self._entries[key] = entry
            self._log(entry)
            return
        if child not in entry.seen_by:
            entry.seen_by.append(child)
        if entry.seen_by[0] == child and entry.describe(what, remedy):
            self._log(entry)

    def _log(self, entry: _Entry) -> None:
        if not entry.logged_by_child:
            self._came(entry.sentence)

    def _end(self, key: Key, entry: _Entry) -> None:
        del self._entries[key]
        if not entry.logged_by_child:
            self._went(f"No longer: {entry.what}")

    def ended(self, child: int, now: float) -> None:
        """A child has ended."""
        for entry in self._entries.values():
            if child in entry.seen_by:
                entry.leave(child, now)

    def status(self, now: float) -> tuple[ProblemStatus, ...]:
        """The problems of this moment, the oldest first."""
        self._forget(now)
        return tuple(
            ProblemStatus(kind=one.kind, what=one.what, remedy=one.remedy, ago=now - one.since)
            for one in self._entries.values()
        )

    def _forget(self, now: float) -> None:
        """Drops what only children saw that have ended LINGERS ago."""
        for key, entry in list(self._entries.items()):
            if not entry.seen_by and now - entry.left_at > LINGERS:
                del self._entries[key]


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MOST_CHARACTERS])
