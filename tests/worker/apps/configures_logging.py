"""An app whose logging configuration silences every logger that it does not name."""

import logging.config

from asgi_apps import app

__all__ = ["app"]

logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
