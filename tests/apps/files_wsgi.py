"""WSGI apps that answer with the file that their path names, each by its framework's own means."""

import os
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse
from django.urls import path
from flask import Flask, Response, send_file

FOLDER = Path(os.environ.get("FILES_FOLDER", "."))

flask = Flask(__name__)


@flask.get("/<name>")
def of_flask(name: str) -> Response:
    return send_file(FOLDER / name)


def of_django(request: HttpRequest, name: str) -> FileResponse:
    return FileResponse((FOLDER / name).open("rb"))


def accel(request: HttpRequest, name: str) -> HttpResponse:
    response = HttpResponse(b"not sent")
    response["X-Accel-Redirect"] = f"/protected/{name}"
    response["Set-Cookie"] = "seen=yes"
    return response


urlpatterns = [path("accel/<name>", accel), path("<name>", of_django)]

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")
    django.setup()
application = get_wsgi_application()
