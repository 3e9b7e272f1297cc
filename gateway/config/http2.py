"""The options of HTTP/2: what they mean together, and where they have no effect."""

from collections.abc import Iterator, Sequence
from typing import Final

from ..listen.address import Address, speaks_tls
from ..settings import LARGEST_WINDOW, Http2Settings
from .faults import Fault
from .option import GATEWAY_SIDE, Verb
from .options import Options
from .sources import Sources

_NEED_HTTP2: Final = (
    "http2_websocket", "http2_engine", "http2_max_streams", "http2_stream_window",
    "http2_max_frame_size", "http2_max_resets",
)  # fmt: skip
"""Options that have no meaning where HTTP/2 is not spoken."""


def http2_settings(options: Options) -> Http2Settings:
    """What a gateway process is told of HTTP/2. The options have no fault."""
    return Http2Settings(
        prior_knowledge=options.h2c == "prior-knowledge",
        websockets=options.http2_websocket and options.ws == "auto",
        engine=options.http2_engine,
        max_streams=options.http2_max_streams,
        stream_window=options.http2_stream_window,
        max_frame_size=options.http2_max_frame_size,
        max_resets=options.http2_max_resets,
    )


def check_http2(options: Options, found: Sources) -> list[Fault]:
    """A connection's window has room for the windows of all its streams, so that one that is not
    read holds no other; and no window is larger than LARGEST_WINDOW."""
    streams, window = options.http2_max_streams, options.http2_stream_window
    if streams * window <= LARGEST_WINDOW:
        return []
    name = "http2_stream_window" if "http2_stream_window" in found else "http2_max_streams"
    problem = (
        f"found {getattr(options, name)}; {streams} streams of {window} bytes are more than "
        f"{LARGEST_WINDOW}, the largest window that a connection has (RFC 9113 section 6.9.1)"
    )
    return [Fault(found[name].origin, problem)]


def versions_of(options: Options, address: Address) -> str:
    """What is spoken on one listener, for `propylon check`."""
    both = options.http2 if speaks_tls(address) else options.h2c != "off"
    return "HTTP/2 and HTTP/1.1" if both else "HTTP/1.1"


def notes_on_http2(
    verb: Verb, options: Options, found: Sources, addresses: Sequence[Address]
) -> Iterator[str]:
    """Notes about what is allowed, but perhaps not meant. The options have no fault."""
    if verb not in GATEWAY_SIDE:
        return
    over_tls = any(map(speaks_tls, addresses))
    plain = not all(map(speaks_tls, addresses))
    spoken = (options.http2 and over_tls) or (options.h2c != "off" and plain)
    if options.h2c != "off" and not plain:
        yield (
            f"{found['h2c'].origin} has no effect: every listener speaks TLS, where --http2 counts"
        )
    if "http2" in found and options.http2 and not over_tls and options.h2c == "off":
        yield (
            f"{found['http2'].origin} has no effect: no listener speaks TLS; HTTP/2 without it is "
            "--h2c prior-knowledge, for a load balancer in front"
        )
    elif not spoken:
        for name in _NEED_HTTP2:
            if name in found:
                yield f"{found[name].origin} has no effect: HTTP/2 is not spoken"
    if options.ws == "none" and "http2_websocket" in found and options.http2_websocket:
        yield f"{found['http2_websocket'].origin} has no effect: --ws none"
