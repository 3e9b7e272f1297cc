"""The lines of `propylon top` as text for a terminal: in colours, if `rich` is installed."""

from collections.abc import Sequence
from typing import Final, Protocol

from .top_view import Line, Tone

WIDER_THAN_ALL: Final = 10_000
"""Columns."""


class Drawing(Protocol):
    def text(self, lines: Sequence[Line]) -> list[str]:
        """Returns each line as it is written to the terminal, without an end of line."""
        ...


class PlainDrawing:
    """Without escape codes: for a file, a pipe, a terminal without colours, or without `rich`."""

    def text(self, lines: Sequence[Line]) -> list[str]:
        return ["".join(piece.text for piece in line).rstrip() for line in lines]


STYLES: Final[dict[Tone, str]] = {
    "": "",
    "title": "bold reverse",
    "strong": "bold",
    "quiet": "dim",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
}


class RichDrawing:
    """Drawn by `rich`, which knows what colours the terminal has. Raises ImportError where that is
    not installed (it comes with propylon[top])."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.text import Text

        # The lines fit already; its own idea of the width may come from a stale $COLUMNS.
        self._console = Console(
            force_terminal=True, width=WIDER_THAN_ALL, highlight=False, markup=False, emoji=False
        )
        self._text = Text

    def text(self, lines: Sequence[Line]) -> list[str]:
        return [self._line(line) for line in lines]

    def _line(self, line: Line) -> str:
        text = self._text()
        for piece in line:
            text.append(piece.text, STYLES[piece.tone] or None)
        with self._console.capture() as capture:
            self._console.print(text, end="", no_wrap=True, overflow="ignore")
        return capture.get()
