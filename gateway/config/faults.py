"""What is wrong with a configuration: all of it, each fault with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast


@dataclass(frozen=True, slots=True)
class Fault:
    where: str
    """A flag, an environment variable, or `file: key path`; "" where there is no one place."""
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class ConfigError(Exception):
    """Carries every fault that was found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


def shown(value: object) -> str:
    """A found value as its writer knows it: TOML's true, not Python's True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):  # of a flag that may be repeated
        return ", ".join(shown(part) for part in cast("tuple[object, ...]", value))
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """A hint to follow an unknown name, or ""."""
    close = get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"; did you mean {close[0]}?" if close else ""
