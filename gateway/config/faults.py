"""Faults of a configuration. All of them are reported at once, each with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast


@dataclass(frozen=True, slots=True)
class Fault:
    where: str
    """A flag, an environment variable, or `file: key path`; "" if the fault has no single place."""
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class ConfigError(Exception):
    """The configuration cannot be used; `faults` has every reason."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


def shown(value: object) -> str:
    """A value as the operator wrote it: TOML's `true`, not Python's `True`. Long ones are cut."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):  # of a flag that may be repeated
        return ", ".join(shown(part) for part in cast("tuple[object, ...]", value))
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """A hint for an unknown name, `; did you mean x?`, or "" if no known name is near.
    `likeness` is difflib's ratio, from 0 to 1."""
    close = get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"; did you mean {close[0]}?" if close else ""
