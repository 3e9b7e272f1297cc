"""Whose error a request was that was counted with these labels. Pure."""

from ..exchange.end_codes import CLIENT_UNSUPPORTED, END_CODES


def is_server_error(status: str, end: str) -> bool:
    """Whether a request counts as an error of the server or the app: a 5xx, or a response that the
    server has not sent whole. One that the client did not take whole is none; nor is a 501 or 505,
    which any client can have by asking for what does not exist."""
    if end == CLIENT_UNSUPPORTED:
        return False
    if status.startswith(("4", "5")):
        return status.startswith("5")
    code = END_CODES.get(end)
    return code is not None and code.is_failure and code.who != "client"
