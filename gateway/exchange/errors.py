"""Errors of exchanges, each the client's fault or the app's. Pure."""

from ...protocol.messages import Pairs
from . import end_codes


class ExchangeError(Exception):
    """An exchange that the gateway itself answers: a status and one sentence for the client."""

    def __init__(
        self,
        status: int,
        sentence: str,
        headers: Pairs = (),
        *,
        option: str = "",
        end_code: str = "",
    ) -> None:
        """`end_code` is given where the status does not tell it."""
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers
        """Headers of the answer beside those of the page."""
        self.option = option
        """The option that sets the limit that was met; "" if there was none."""
        self.end_code = end_code or end_codes.refused_with(status)


class RequestError(ExchangeError):
    """The request can't be taken: the client is at fault (4xx, 501 or 505), or there is no room for
    its body (507). The connection closes."""

    log_line = ""
    """A line for the log, once per address and minute; "" for none."""


class TlsToPlainPort(RequestError):
    log_line = "TLS came to a plain HTTP port"


class Http2Preface(RequestError):
    """The client has begun as HTTP/2 does (RFC 9113 section 3.4), where HTTP/1.1 is read."""


class ResponseError(Exception):
    """The app is at fault: its response may not reach the wire as it is."""
