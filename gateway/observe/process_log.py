"""The log of a supervisor or gateway process: `propylon` and all below it."""

import logging
from typing import Final

from ..settings import LogSettings
from .configured import OURS, ConfiguredLog, configured
from .console_log import ConsoleLog

logger: Final = logging.getLogger("propylon")


def begin_log(settings: LogSettings) -> None:
    """Sets up the log as the settings say. Raises OSError if the file cannot be opened."""
    logger.handlers = [ConsoleLog(settings.error_log, settings.use_colors)]
    if settings.config:
        handlers = configured(settings.config, OURS, or_root=True)
        if handlers:
            logger.handlers = [ConfiguredLog(handlers)]
    logger.setLevel(settings.level.upper())
    logger.propagate = False
