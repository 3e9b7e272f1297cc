"""Frameworks that ask for CONTENT_LENGTH, each with a view that says what it has got."""

import bottle
import django
import flask
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for tests")
django.setup()


@csrf_exempt
def django_view(request: HttpRequest) -> JsonResponse:
    files = {name: file.read().decode() for name, file in request.FILES.items()}
    if files:
        return JsonResponse({"files": files})
    if request.POST:
        return JsonResponse({"form": request.POST.dict()})
    return JsonResponse({"size": len(request.body)})


urlpatterns = [path("", django_view)]
django_app = get_wsgi_application()

bottle_app = bottle.Bottle()


@bottle_app.post("/")
def bottle_view() -> dict[str, object]:
    if bottle.request.content_type == "text/plain":
        return {"size": len(bottle.request.body.read())}
    if bottle.request.files:
        files = bottle.request.files
        return {"files": {name: files[name].file.read().decode() for name in files}}
    return {"form": dict(bottle.request.forms)}


flask_app = flask.Flask(__name__)


@flask_app.post("/")
def flask_view() -> dict[str, object]:
    if flask.request.files:
        return {"files": {n: f.read().decode() for n, f in flask.request.files.items()}}
    if flask.request.form:
        return {"form": flask.request.form.to_dict()}
    return {"size": len(flask.request.get_data())}
