"""How large a request's head may be, in every HTTP version. Pure.

The limits are those of HTTP/1.1's lines. A head that is written down in another way is measured as
if it were written in lines, so that a request passes in all versions or in none.
"""

from typing import Final

from ..exchange.errors import RequestError
from ..settings import HttpSettings

LONGEST_SHOWN: Final = 1_024
"""Bytes of a target that are kept for the log, which needs no more of a refused request."""

MOST_REMEMBERED: Final = 2_048
"""Bytes of fields that a connection keeps for the next request."""


def line_too_long(settings: HttpSettings) -> RequestError:
    """Method, target and version are too long."""
    return RequestError(
        414,
        f"The request line is over {settings.limit_request_line} bytes.",
        option="limit-request-line",
    )


def too_many_fields(settings: HttpSettings) -> RequestError:
    return RequestError(
        431,
        f"More than {settings.limit_request_fields} header fields.",
        option="limit-request-fields",
    )


def field_too_long(settings: HttpSettings) -> RequestError:
    """A field's name and value, with the colon and what blanks there are, are too long."""
    return RequestError(
        431,
        f"A header field is over {settings.limit_request_field_size} bytes.",
        option="limit-request-field-size",
    )


def head_too_long(settings: HttpSettings) -> RequestError:
    return RequestError(
        431,
        f"The request's head is over the limit of {settings.limit_request_head} bytes.",
        option="limit-request-field-size",
    )
