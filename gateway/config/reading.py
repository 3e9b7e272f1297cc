"""One load of the configuration: values get their types, and faults are collected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from .faults import Fault, shown
from .option import Option
from .sources import Found
from .values import NOT_HERE, TRUTH, choices, expected, is_switch


@dataclass(slots=True)
class Reading:
    """The state of one load: the faults and notes that were found so far."""

    faults: list[Fault] = field(default_factory=list[Fault])
    notes: list[str] = field(default_factory=list[str])

    def value(self, row: Option, found: Found) -> Any:
        """Returns an option's value as its type. A value that does not fit gives the default, and
        a fault."""
        raw = found.value
        if found.is_text and isinstance(raw, str) and is_switch(row.type):
            raw = TRUTH.get(raw.lower(), raw)
        if row.words and isinstance(raw, (str, int)):
            raw = row.words.get(str(raw).lower(), raw)
        if isinstance(raw, str) and raw.lower() in choices(row.type):
            raw = raw.lower()
        if _has_nul(raw):
            problem = "it holds a NUL character, which no name and no argument can"
            self.faults.append(Fault(found.origin, problem))
            return row.default
        seen = "a value" if row.secret else shown(found.value)
        try:
            value = msgspec.convert(raw, row.type, strict=not found.is_text)
        except msgspec.ValidationError:
            instead = NOT_HERE.get((row.name, str(raw).lower()), "")
            problem = f"found {seen}; {instead or f'expected {expected(row.type)}'}"
            self.faults.append(Fault(found.origin, problem))
            return row.default
        if isinstance(value, float) and not math.isfinite(value):
            self.faults.append(Fault(found.origin, f"found {value}; expected a finite number"))
            return row.default
        if row.read is None or value is None:
            return value
        try:
            return row.read(value)
        except ValueError as exc:
            self.faults.append(Fault(found.origin, f"found {seen}; {exc}"))
            return row.default


def _has_nul(raw: object) -> bool:
    """Whether a text, or a text in a list, holds a NUL character."""
    if isinstance(raw, str):
        return "\0" in raw
    return isinstance(raw, (list, tuple)) and any(map(_has_nul, cast("Sequence[object]", raw)))
