"""WSGI apps inside the standard library's validator (`wsgiref.validate`), which checks what a
server gives and how it calls.

The validator is as strict with apps: it wants a Content-Type with every body, and a size for each
`read`. Apps need neither of a server, so between the two stands `oblige`, which adds both.
"""

import importlib
import os
import sys
from pathlib import Path
from wsgiref.validate import validator

import wsgi_apps

TESTS = Path(__file__).parents[2]


class SizedInput:
    """`wsgi.input`, for an app that reads without a size."""

    def __init__(self, checked):
        self.checked = checked
        self.readline = checked.readline
        self.readlines = checked.readlines

    def read(self, size=-1):
        return self.checked.read(size)

    def __iter__(self):
        return iter(self.checked)


def oblige(app):
    def obliged(environ, start_response):
        environ["wsgi.input"] = SizedInput(environ["wsgi.input"])

        def start(status, headers, *exc_info):
            headers = list(headers)
            has_body = status[:3] not in ("204", "304")
            if has_body and "content-type" not in [name.lower() for name, _ in headers]:
                headers.append(("Content-Type", "application/octet-stream"))
            return start_response(status, headers, *exc_info)

        return app(environ, start)

    return validator(obliged)


own = oblige(wsgi_apps.application)


def __getattr__(name):
    """`flask_app`, `wsgi_raw`, ... of the end-to-end tests, or `django`."""
    sys.path.insert(0, str(TESTS / "apps"))
    try:
        if name == "django":
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_project.settings")
            return oblige(importlib.import_module("django_project.wsgi").application)
        return oblige(importlib.import_module(name).app)
    except ModuleNotFoundError as error:
        raise AttributeError(name) from error
