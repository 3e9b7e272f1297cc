"""Exchanges that are traced, with clients and workers that only write down."""

from collections.abc import Callable
from random import Random

from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Account, Exchange, Request
from propylon.gateway.exchange.trace_context import TraceParent
from propylon.gateway.trace.recording import RecordedExchange

from ...fakes.exchange_sides import FakeClient, FakeSource

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = TraceParent(TRACE, SPAN, 1, b"rojo=00f067aa0ba902b7")
FIELDS = ((b"host", b"a"), (b"traceparent", b"what the client said"), (b"user-agent", b"curl/8"))


def an_exchange(
    method: str = "GET", path: bytes = b"/a/b", parent: TraceParent | None = PARENT
) -> Exchange:
    """An exchange that was opened at 100.0."""
    request = Request(method, path + b"?secret=1", "1.1")
    request.path, request.query = path, b"secret=1"
    request.is_meant_for("example.com", FIELDS)
    request.trace_parent = parent
    endpoint = Endpoint(("192.0.2.1", 5_000), ("192.0.2.2", 443), "https")
    return Exchange(request, FakeClient(), endpoint, 100.0)


def bits() -> Callable[[int], int]:
    return Random(1).getrandbits


def recorded(exchange: Exchange) -> RecordedExchange:
    """Has the exchange recorded, as a part of PARENT's trace."""
    recorder = RecordedExchange(bits(), TRACE, 1, SPAN, PARENT.state)
    exchange.join_trace(TRACE, recorder)
    return recorder


def a_worker(number: int = 1, attempts: int = 1) -> FakeSource:
    return FakeSource(has_done=Account("web", number, 0.0, attempts))


def asked_by(exchange: Exchange) -> bytes:
    """The one `traceparent` that the app gets."""
    (value,) = [value for name, value in exchange.request.headers if name == b"traceparent"]
    return value
