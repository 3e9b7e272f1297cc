"""The worker's end of a link: it hears calls and answers them."""

from collections.abc import Callable, Iterable, Iterator

from .calls import LAST, REQUEST_TABLE, RESPONSE_TABLE, Call
from .credit import ReceiveWindow
from .errors import LocalProtocolError, RemoteProtocolError
from .hello import Greeting
from .link import LinkMachine, Received, unlawful
from .messages import (
    CREDIT,
    DRAIN,
    END,
    EVENT,
    HOLD_BODY,
    MAX_BODY,
    NOT_READY,
    OPEN,
    PING,
    PONG,
    READY,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_START,
    SLOTS,
    STARTED,
    WS_MESSAGE,
    Message,
    Open,
    Pairs,
    Response,
    ResponseBody,
    name_of,
)


class WorkerLink(LinkMachine):
    peer_kinds = frozenset({PING, PONG, DRAIN})

    def __init__(
        self,
        greeting: Greeting,
        doorbell: Callable[[], None],
        new_call: Callable[[], Call] = Call,
    ) -> None:
        """`new_call` makes the host's own kind of Call for each OPEN."""
        super().__init__(greeting, doorbell)
        self._doorbell = doorbell
        self._new_call = new_call
        # Last pieces of responses, held back until the batch goes out: an app that returns right
        # after its last send (nearly all do) then needs no END of its own.
        self._held: dict[int, Response | ResponseBody] = {}

    # -- saying ------------------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        return bool(self._held or self._outbox)

    def take_output(self) -> bytes:
        if self._held:
            held = self._held
            # The bell has rung for these already; what they put must not ring it again.
            self._held = {}
            for call_id, message in held.items():
                self._outbox.put_after(call_id, message)
        return self._outbox.take()

    def ready(self, about: dict[str, object]) -> None:
        """The app has started. `about` is for people: app, interface, versions."""
        self._outbox.put((READY, about))

    def not_ready(self, step: str, error: str, log_tail: str) -> None:
        """The app could not start: at which step ("import", "lifespan", ...) and why."""
        self._outbox.put((NOT_READY, step, error, log_tail))

    def slots(self, count: int) -> None:
        """How many calls this worker is willing to run at once on this link."""
        self._outbox.put((SLOTS, count))

    def started(self, calls: Iterable[Call]) -> None:
        """These calls are about to enter the app. Have it on the wire before they do."""
        ids: list[int] = []
        for call in calls:
            self._move(call, STARTED)
            ids.append(call.call_id)
        self._outbox.put((STARTED, tuple(ids)))

    def respond(self, call: Call, status: int, headers: Pairs, body: bytes) -> None:
        """A complete response in one message: a body of at most MAX_BODY bytes."""
        self._spend(call, len(body))
        self._move(call, RESPONSE | LAST)
        self._hold(call, (RESPONSE, call.call_id, status, headers, body, False))

    def start_response(self, call: Call, status: int, headers: Pairs) -> None:
        self._move(call, RESPONSE_START)
        self._outbox.put((RESPONSE_START, call.call_id, status, headers))

    def send_body(self, call: Call, body: bytes, more: bool) -> None:
        """Response body: at most MAX_BODY and at most `call.send_credit` bytes."""
        self._spend(call, len(body))
        if more:
            self._move(call, RESPONSE_BODY)
            self._outbox.put_body(call.call_id, (RESPONSE_BODY, call.call_id, body, True, False))
        else:
            self._move(call, RESPONSE_BODY | LAST)
            if body:
                # Bodies take turns in the outbox; only the bare end can be held.
                self._outbox.put_body(
                    call.call_id, (RESPONSE_BODY, call.call_id, body, False, False)
                )
            else:
                self._hold(call, (RESPONSE_BODY, call.call_id, b"", False, False))

    def end(self, call: Call) -> None:
        """The call has left the app: its slot is free."""
        self._move(call, END)
        self.calls.pop(call.call_id, None)
        held = self._held.pop(call.call_id, None)
        if held is None:
            self._outbox.put_after(call.call_id, (END, call.call_id))
        elif held[0] == RESPONSE:
            self._outbox.put((*held[:5], True))
        else:
            self._outbox.put_after(call.call_id, (*held[:4], True))

    def _hold(self, call: Call, message: Response | ResponseBody) -> None:
        if not self.has_output:
            self._doorbell()
        self._held[call.call_id] = message

    def _may(self, call: Call, move: int) -> bool:
        return call.request != "reset" and move in RESPONSE_TABLE[call.response]

    def _move(self, call: Call, move: int) -> None:
        after = RESPONSE_TABLE[call.response].get(move)
        if after is None:
            raise LocalProtocolError(unlawful(move, call.response, call))
        call.response = after

    # -- hearing -----------------------------------------------------------------------------

    def receive(self, data: bytes) -> Iterator[Received]:
        for message in self._decoder.feed(data):
            if message[0] == OPEN:
                if self.state == "open":
                    yield self._opened(message), message
                elif self.state == "greeting":
                    raise RemoteProtocolError("OPEN before HELLO")
            else:
                yield from self._hear(message)

    def _opened(self, message: Open) -> Call:
        _, call_id, _, body, more, flags = message
        if call_id <= self.last_call_id:
            raise RemoteProtocolError(f"OPEN of call {call_id} after {self.last_call_id}")
        self.last_call_id = call_id
        call = self._new_call()
        call.call_id = call_id
        call.send_credit = self._send_window
        if len(body) > MAX_BODY or (body and flags & HOLD_BODY):
            raise RemoteProtocolError(f"OPEN with a first body of {len(body)} bytes")
        if more:
            call.request = "body"
            window = ReceiveWindow(self.ours.window, held=bool(flags & HOLD_BODY))
            window.arrived(len(body))
            call.receive_window = window
        self.calls[call_id] = call
        return call

    def _hear(self, message: Message) -> Iterable[Received]:
        if message[0] == REQUEST_BODY:
            _, call_id, body, more = message
            call = self._moved(call_id, REQUEST_BODY if more else REQUEST_BODY | LAST)
            if call is not None:
                self._body_arrived(call, len(body), last=not more)
        elif message[0] == CREDIT:
            call = self._moved(message[1], CREDIT)
            if call is not None:
                self._credit_arrived(call, message[2])
        elif message[0] == WS_MESSAGE:
            call = self._moved(message[1], WS_MESSAGE)
            if call is not None:
                self._ws_message_arrived(call, message[2])
        elif message[0] == EVENT or message[0] == RESET:
            call = self._moved(message[1], message[0])
            if call is not None and message[0] == RESET:
                self._outbox.drop(call.call_id)
        else:
            return self._link_message(message)
        return () if call is None else ((call, message),)

    def _moved(self, call_id: int, move: int) -> Call | None:
        """The gateway's move in the table of its half; None for what crossed our END."""
        call = self.calls.get(call_id)
        if call is None:
            if self.state == "closed" or 0 < call_id <= self.last_call_id:
                return None
            raise RemoteProtocolError(
                f"{name_of(move & 31)} about call {call_id}, which was never opened"
            )
        after = REQUEST_TABLE[call.request].get(move)
        if after is None:
            raise RemoteProtocolError(unlawful(move, call.request, call))
        call.request = after
        return call
