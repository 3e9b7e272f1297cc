"""Whose fault a failed exchange is: the client's, or the app's. Pure."""

from ...protocol.messages import Pairs


class ExchangeError(Exception):
    """An exchange that the gateway itself answers: a status and one sentence for the client."""

    def __init__(
        self, status: int, sentence: str, headers: Pairs = (), *, option: str = ""
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers
        """What the answer carries besides the page's own."""
        self.option = option
        """Which option sets the limit that was met; "" where none was."""


class RequestError(ExchangeError):
    """The client's fault: 4xx, 501 or 505. The connection closes."""

    log_line = ""
    """What the log should say of it, once per address and minute; "" for nothing."""


class TlsToPlainPort(RequestError):
    log_line = "TLS came to a plain HTTP port"


class ResponseError(Exception):
    """The app's fault: a response that may not reach the wire as it is."""
