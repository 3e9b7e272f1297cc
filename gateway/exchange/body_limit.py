"""How large a request's body may be. Pure."""

from dataclasses import dataclass

from .errors import RequestError


def body_too_large(limit: int, *, of_route: bool = False) -> RequestError:
    """The answer to a request with a body of more than `limit` bytes (RFC 9110 section 15.5.14).
    `of_route`: its route has a limit of its own."""
    if of_route:
        sentence = f"The request body is over this route's limit of {limit} bytes"
        return RequestError(413, f"{sentence} (max_request_body_size of [[routes]]).")
    sentence = f"The request body is over the limit of {limit} bytes."
    return RequestError(413, sentence, option="max-request-body-size")


@dataclass(frozen=True, slots=True)
class BodyLimit:
    most: int
    """Bytes, one at least."""
    of_route: bool = False
    """Whether a route has it, and not all of them."""

    def check(self, size: int) -> None:
        """Raises RequestError for a body of so many bytes, if that is too much."""
        if size > self.most:
            raise body_too_large(self.most, of_route=self.of_route)
