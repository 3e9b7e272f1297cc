from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("json", views.json),
    path("query", views.query),
    path("form", views.form),
    path("upload", views.upload),
    path("stream", views.stream),
    path("events", views.events),
    path("background", views.background),
    path("cookies", views.cookies),
    path("redirect", views.to_json),
    path("boom", views.boom),
    path("client", views.client),
]
