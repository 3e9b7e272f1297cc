"""What ASGI and WSGI both read from the protocol's Scope: the path and its mount point."""

from typing import Final
from urllib.parse import unquote_to_bytes

from ...protocol.messages import IDENTIFIED, Scope

TYPE: Final = 0
METHOD: Final = 2
RAW_PATH: Final = 4
HEADERS: Final = 7

REQUEST_ID: Final = "propylon.request_id"
"""The key of a scope or an environ that has the request's id."""


class UnknownCallType(Exception):
    """The scope has a type that this worker does not serve. Only that call is refused."""


def call_name(scope: Scope) -> str:
    """The call as the log names it, `GET /raw%20path`. The path stays percent-encoded, so that no
    control byte gets into the log."""
    return f"{scope[METHOD]} {scope[RAW_PATH].decode('ascii', 'backslashreplace')}"


def request_id(scope: Scope, flags: int) -> str:
    """The id that the gateway has given the request; "" if it gives none. `flags` are OPEN's."""
    headers = scope[HEADERS]
    return headers[-1][1].decode("latin-1") if flags & IDENTIFIED and headers else ""


def path_bytes(raw_path: bytes) -> bytes:
    """The path, percent-decoded once."""
    return unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path


def below_root(path: str, root_path: str) -> str | None:
    """The path behind its mount point. None if the path does not lie below it, which means that a
    proxy in front has taken the mount point off already."""
    if not root_path:
        return path
    if path.startswith(root_path):
        rest = path[len(root_path) :]
        if not rest or rest[0] == "/":
            return rest
    return None
