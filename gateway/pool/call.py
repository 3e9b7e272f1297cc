"""One attempt to have a worker answer an exchange; the exchange's source while it lasts."""

from typing import TYPE_CHECKING

from ...protocol.calls import Call
from ..exchange import Exchange

if TYPE_CHECKING:
    from typing import Protocol

    from ...protocol.gateway_link import GatewayLink

    class Carrier(Protocol):
        """What a call needs of its member."""

        machine: GatewayLink

    class Clock(Protocol):
        """What a call needs of its pool."""

        now: float


class PoolCall(Call):
    """Placed on one worker at a time; placed again if that one died and a retry is allowed."""

    __slots__ = ("_clock", "attempts", "exchange", "member", "since", "streamed")

    def __init__(self, clock: "Clock", exchange: Exchange) -> None:
        super().__init__()
        self._clock = clock
        self.exchange: Exchange | None = exchange
        """None once nobody waits for the response any more."""
        self.member: Carrier | None = None
        """None while it waits in the queue."""
        self.attempts = 0
        self.streamed = False
        """Whether body beyond the first bytes went to a worker: it can't be sent again."""
        self.since = clock.now
        """Queued, handed over or given body, whichever was last; monotonic seconds."""

    def send_body(self, data: bytes, more: bool) -> None:
        if self.member is None:
            # Without credit only the bare end comes here, and OPEN will say it: the exchange has
            # no more body by then.
            return
        self.streamed = True
        self.since = self._clock.now
        self.member.machine.send_body(self, data, more)

    def consumed(self, count: int) -> None:
        if self.member is not None and self.response != "ended":
            self.member.machine.taken(self, count)

    def send_message(self, data: bytes | str, more: bool) -> None:
        if self.member is not None:  # without one there is no credit, and nothing to send
            self.member.machine.send_ws_message(self, data, more)

    def settle(self) -> None:
        if self.member is not None and self.request == "complete" and self.response != "ended":
            self.member.machine.event(self, {"type": "websocket.settle"})

    def hang_up(self, event: dict[str, object]) -> None:
        self.exchange = None
        if self.member is not None and self.request == "complete" and self.response != "ended":
            self.member.machine.event(self, event)

    def give_up(self, code: int, reason: str) -> None:
        self.exchange = None
        if self.member is not None and self.request != "reset" and self.response != "ended":
            self.member.machine.reset(self, code, reason)
