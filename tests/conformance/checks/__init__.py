"""The checks, a file for each part of the specifications."""

from importlib import import_module

ORDER = (
    "asgi_core",
    "asgi_http_scope",
    "asgi_http_request",
    "asgi_http_response",
    "asgi_websocket_scope",
    "asgi_websocket",
    "asgi_extensions",
    "asgi_tls",
    "asgi_lifespan",
    "wsgi_environ",
    "wsgi_streams",
    "wsgi_response",
)
"""Of the texts, and of their tables. A file's checks are known when it is imported."""


def load() -> None:
    for name in ORDER:
        import_module(f"{__name__}.{name}")
