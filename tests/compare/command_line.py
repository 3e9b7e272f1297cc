"""What is chosen on the command line of a comparison."""

import argparse
from collections.abc import Iterable


def chosen(text: str, known: Iterable[str], parser: argparse.ArgumentParser) -> list[str]:
    """The named ones; `all`."""
    known = list(known)
    if text == "all":
        return known
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            parser.error(f"there is no {name!r}; known are: {', '.join(known)}")
    return names
