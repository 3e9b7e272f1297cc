"""What a terminal is shown: colours, and no more on a line than fits."""

import os
from collections.abc import Mapping
from typing import Final

NARROWEST: Final = 40
"""Columns that are used even where a terminal claims to have fewer."""


def wants_colour(fd: int, wish: bool | None, environ: Mapping[str, str]) -> bool:
    """Whether what is written to `fd` has colours. `wish`: what --use-colors says, if it was given.
    Else NO_COLOR (no-color.org) and FORCE_COLOR (force-color.org) count, in this order and with any
    value but an empty one; else whether it is a terminal that is not dumb."""
    if wish is not None:
        return wish
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_terminal(fd) and environ.get("TERM") != "dumb"


def is_terminal(fd: int) -> bool:
    """Whether `fd` is an open terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def columns(fd: int) -> int:
    """How many columns the terminal at `fd` has now; 80 where it does not know."""
    try:
        return max(NARROWEST, os.get_terminal_size(fd).columns or 80)
    except OSError:
        return 80
