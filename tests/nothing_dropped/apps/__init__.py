"""The app that every contestant serves, once for ASGI and once for WSGI."""
