"""The log of a supervisor or gateway process: `propylon` and all below it."""

import logging
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from ..settings import LogSettings
from .configured import OURS, ConfiguredLog, configured
from .console_log import ConsoleFormatter, ConsoleLog, shows_colour
from .json_lines import JsonFormatter

logger: Final = logging.getLogger("propylon")


class _ToOurs(logging.Handler):
    """Hands the records of another logger to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.handle(record)


def begin_log(settings: LogSettings, about: Mapping[str, int | str]) -> None:
    """Sets up the log as the settings say. `about`: which process this is, for lines of JSON: first
    its kind as `process`, then its number. Raises OSError if the file cannot be opened."""
    is_json, path = settings.format == "json", settings.error_log
    plain = ConsoleFormatter(shows_colour(path, settings.use_colors), settings.sender)
    own = ConsoleLog(path, JsonFormatter(about) if is_json else plain)
    logger.handlers = [own]
    if settings.config:
        handlers = configured(settings.config, OURS, or_root=True)
        if handlers:
            logger.removeHandler(own)
            logger.addHandler(ConfiguredLog(handlers))
    logger.setLevel(settings.level.upper())
    logger.propagate = False
    if is_json:
        _log_what_python_prints()


def _log_what_python_prints() -> None:
    """Has Python log the warnings, and the exceptions that nobody catches, which it would print on
    several lines."""
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(_ToOurs())
    hooks = (
        (sys, "excepthook", _uncaught),
        (threading, "excepthook", _uncaught_in_thread),
        (sys, "unraisablehook", _ignored),
    )
    for module, name, hook in hooks:
        setattr(module, name, hook)


def _uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    logger.critical("an exception was not caught", exc_info=(kind, error or kind(), trace))


def _uncaught_in_thread(it: threading.ExceptHookArgs) -> None:
    _uncaught(it.exc_type, it.exc_value, it.exc_traceback)


def _ignored(it: "sys.UnraisableHookArgs") -> None:
    error = it.exc_value or it.exc_type()
    trace = (it.exc_type, error, it.exc_traceback)
    logger.error("%s: %r", it.err_msg or "an exception was ignored in", it.object, exc_info=trace)
