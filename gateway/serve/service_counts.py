"""What a gateway process counts of its connections, besides their exchanges. Pure."""

from typing import Literal

from ..http2.flood_guard import FLOOD_REASONS

HandshakeResult = Literal["ok", "failed", "timeout", "client_left", "plain_http", "cut"]
"""`failed`: one side has refused the other's certificate, version or bytes. `client_left`: the
client broke off. `plain_http`: it has sent an HTTP request instead. `cut`: the gateway ended
first. A client that connects, sends nothing and leaves, as load balancers do, has begun none."""


class ServiceCounts:
    __slots__ = (
        "accepted",
        "evicted",
        "floods",
        "handshakes",
        "most",
        "pauses",
        "received",
        "refused",
        "sent",
    )

    def __init__(self) -> None:
        self.accepted = 0
        """Client connections that were accepted."""
        self.most = 0
        """Client connections that there may be at once; 0: only the kernel knows."""
        self.pauses: dict[str, int] = {}
        """What was short -> how often accepting has paused for it."""
        self.evicted: dict[str, int] = {}
        """What was short -> how many idle connections were closed to make room."""
        self.floods: dict[str, int] = dict.fromkeys(FLOOD_REASONS, 0)
        """Reason -> how many HTTP/2 connections were ended because of what they sent. All are there
        from the start, so that the first one is an increase."""
        self.handshakes: dict[tuple[str, str], int] = {}
        """Result and TLS version ("" where none was agreed on) -> how many handshakes."""
        self.refused: dict[str, int] = {}
        """Reason -> how many connections were closed before they were served."""
        self.received = 0
        """Whole messages of WebSockets that came from clients."""
        self.sent = 0
        """Whole messages of WebSockets that were sent to clients."""

    def accept(self) -> None:
        self.accepted += 1

    def allow(self, most: int) -> None:
        self.most = most

    def pause(self, reason: str) -> None:
        self.pauses[reason] = self.pauses.get(reason, 0) + 1

    def evict(self, reason: str) -> None:
        self.evicted[reason] = self.evicted.get(reason, 0) + 1

    def flood(self, reason: str) -> None:
        self.floods[reason] += 1

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def end_handshake(self, result: HandshakeResult, version: str = "") -> None:
        key = (result, version)
        self.handshakes[key] = self.handshakes.get(key, 0) + 1

    def receive_message(self) -> None:
        self.received += 1

    def send_message(self) -> None:
        self.sent += 1
