"""The project with Channels in front, as Channels' documentation shows it."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_project.settings")

django = get_asgi_application()  # before what needs the apps to be loaded

from channels.auth import AuthMiddlewareStack  # noqa: E402

from .consumers import Echo, EchoInThread  # noqa: E402

sockets = [path("ws", Echo.as_asgi()), path("ws-thread", EchoInThread.as_asgi())]
application = ProtocolTypeRouter(
    {
        "http": django,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(sockets))),
    }
)
