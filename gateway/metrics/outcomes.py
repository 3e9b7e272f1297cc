"""Whose error a request was that was counted with these labels. Pure."""

from ..exchange import end_codes


def is_server_error(status: str, end: str) -> bool:
    """Whether requests with these labels are errors of the server or the app, as
    `end_codes.is_server_error` says. A status that is no number (`other`) tells nothing."""
    return end_codes.is_server_error(int(status) if status.isdigit() else 0, end)
