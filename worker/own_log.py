"""The worker's own log, in a process whose logging is the app's to configure."""

import logging
from typing import Final

NAME: Final = "propylon.worker"


class _OwnLogger(logging.Logger):
    """Is not silenced by a dictConfig or fileConfig of the app's, which by default disables every
    logger that it does not name: the app's tracebacks would vanish with it. Who wants this one
    otherwise names it, and sets its level and handlers."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, value: bool
    ) -> None:
        """Nobody means it."""


def keep_enabled() -> logging.Logger:
    """The worker's logger, which stays as it is set up."""
    logger = logging.getLogger(NAME)
    logger.__class__ = _OwnLogger
    return logger
