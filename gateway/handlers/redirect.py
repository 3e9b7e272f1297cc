"""Redirects plain HTTP to https: 308 with the same host, path and query (RFC 9110 section
15.4.9).
"""

from ..exchange import end_codes
from ..exchange.exchange import Exchange
from ..exchange.pages import error_page
from .route import Answer


class HttpsRedirect:
    def __init__(self, answer: Answer, port: int) -> None:
        """`answer` takes exchanges that came over https; `port` is the port of the https
        listener."""
        self._answer = answer
        self._port = "" if port == 443 else f":{port}"

    def answer(self, exchange: Exchange) -> None:
        if exchange.scheme != "http" or _of_unix_socket(exchange):
            self._answer(exchange)
            return
        request = exchange.request
        if not request.host:
            exchange.give_end(end_codes.CLIENT_MALFORMED)
            exchange.sink.fail(exchange, 400, "This port answers with an https address; name Host.")
            return
        path = b"" if request.path == b"*" else request.path
        target = path + (b"?" + request.query if request.query else b"")
        location = f"https://{request.host}{self._port}".encode() + target
        headers, body = error_page(308, f"Use {location.decode()}", request_id=exchange.request_id)
        exchange.give_end(end_codes.GATEWAY_REDIRECT)
        exchange.sink.respond(exchange, 308, ((b"location", location), *headers), body)


def _of_unix_socket(exchange: Exchange) -> bool:
    """Whether the exchange came over a Unix socket. Its other end is a proxy, which decides itself
    what its clients have to speak."""
    return exchange.server is not None and exchange.server[1] is None
