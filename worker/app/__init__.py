"""The app: it is imported, its interface is recognised, what it says is checked, and what it raises
is shown.

Reading order: `load`, with `find_apps` (hints for a wrong name), `interface` (ASGI or WSGI) and
`tracebacks` -> `request_scope` (the path of a request) -> `response_head` (checks), `files` (files
as a response) -> `client_disconnected`, `shutdown_notice` (what an app may want to know).
"""
