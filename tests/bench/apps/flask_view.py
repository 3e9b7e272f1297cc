"""Flask as it is used: a parameter of the path and one of the query, a dict as JSON."""

from flask import Flask, request

wsgi = Flask(__name__)


@wsgi.get("/items/<int:item_id>")
def item(item_id):
    return {"id": item_id, "name": request.args.get("q", "x"), "tags": ["a", "b"]}
