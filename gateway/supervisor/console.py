"""The log of a supervisor or gateway process: `propylon` and all below it."""

import logging
from typing import Final

from ..observe.console_log import ConsoleLog
from ..settings import LogSettings

logger: Final = logging.getLogger("propylon")


def begin_log(settings: LogSettings) -> None:
    """Logs as the settings say. Raises OSError if the file cannot be opened."""
    logger.handlers = [ConsoleLog(settings.error_log, settings.use_colors)]
    logger.setLevel(settings.level.upper())
    logger.propagate = False
