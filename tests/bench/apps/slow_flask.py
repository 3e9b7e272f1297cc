"""Flask with views that wait, as for a database: each takes the milliseconds that its path says."""

import time

from flask import Flask

wsgi = Flask(__name__)


@wsgi.get("/")
def index():
    return "ok"


@wsgi.get("/wait/<int:milliseconds>")
def wait(milliseconds):
    time.sleep(milliseconds / 1e3)
    return "ok"
