"""Feeds bytes to a real HttpMachine and writes down what it makes of them."""

from collections.abc import Iterable

from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.http1.machine import HttpContext, HttpMachine
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.settings import HttpSettings
from propylon.gateway.websocket.handshake import check_handshake

Outcome = tuple[object, ...]
"""(method, path, query, headers, body, whole) of a request, or ("refused", status)."""


def context(parser: str, **limits: int | str) -> HttpContext:
    settings = HttpSettings(parser=parser, **limits)
    return HttpContext(settings, choose_parser(parser), ResponseHeads(b"propylon", 0.0))


def drive(pieces: Iterable[bytes], parser: str, **limits: int | str) -> list[Outcome]:
    """Every request is answered with 204 when it is complete, as a connection would."""
    machine = HttpMachine(context(parser, **limits))
    outcomes: list[Outcome] = []
    request = None
    body = b""
    try:
        for piece in pieces:
            machine.receive(piece)
            while True:
                if request is None:
                    if not machine.keep_alive:
                        return outcomes
                    request = machine.next_request()
                    if request is None:
                        break
                    if request.upgrade:
                        check_handshake(request)
                    body = b""
                data, more = machine.next_body()
                body += data
                if more and machine.buffered:
                    continue
                if more:
                    break
                outcomes.append(
                    (request.method, request.path, request.query, request.headers, body, True)
                )
                machine.respond(204, (), b"")
                request = None
    except RequestError as error:
        outcomes.append(("refused", error.status))
        return outcomes
    if request is not None:
        outcomes.append((request.method, request.path, request.query, request.headers, body, False))
    return outcomes


def every_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]
