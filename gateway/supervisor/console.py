"""What the operator sees on stderr: `time level message`."""

import logging
import sys
from typing import Final

logger: Final = logging.getLogger("propylon")

COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
RESET: Final = "\x1b[0m"


class ConsoleFormatter(logging.Formatter):
    def __init__(self, colour: bool) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        padded = f"{level:<7}"
        if self._colour and level in COLOURS:
            padded = f"{COLOURS[level]}{padded}{RESET}"
        line = f"{self.formatTime(record, self.datefmt)} {padded} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter(sys.stderr.isatty()))
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
