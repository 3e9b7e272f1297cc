"""Facts about a terminal: whether it gets colours, and how wide it is."""

import os
from collections.abc import Mapping
from typing import Final

NARROWEST: Final = 40
"""Columns that are used even where a terminal claims to have fewer."""


def wants_colour(fd: int, wish: bool | None, environ: Mapping[str, str]) -> bool:
    """Whether text written to `fd` has colours.

    `wish` is --use-colors, which decides if it was given. Without it NO_COLOR (no-color.org) and
    then FORCE_COLOR (force-color.org) decide, with any value but an empty one. Without these,
    `fd` has to be a terminal that is not dumb.
    """
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
    """How many columns the terminal at `fd` has now; 80 if that is not known."""
    try:
        return max(NARROWEST, os.get_terminal_size(fd).columns or 80)
    except OSError:
        return 80
