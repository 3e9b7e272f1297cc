"""Django without its ORM: a settings module in one call, the usual middleware, a view as JSON."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a benchmark",
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)


def item(request, item_id):
    return JsonResponse({"id": item_id, "name": request.GET.get("q", "x"), "tags": ["a", "b"]})


urlpatterns = [path("items/<int:item_id>", item)]
wsgi = get_wsgi_application()
