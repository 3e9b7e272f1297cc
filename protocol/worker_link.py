"""The worker's end of a link: it hears calls and answers them."""

from collections.abc import Callable, Iterable, Iterator

from .calls import LAST, REQUEST_TABLE, RESPONSE_TABLE, Call
from .codec import MAX_ARRAY, TRUE
from .credit import ReceiveWindow
from .errors import LocalProtocolError, RemoteProtocolError
from .hello import Greeting
from .link import LinkMachine, Received, clip_text, unlawful
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
    Scope,
    name_of,
)
from .outbox import LARGE
from .response_batch import ResponseBatch


class WorkerLink(LinkMachine):
    peer_kinds = frozenset({PING, PONG, DRAIN})

    def __init__(
        self,
        greeting: Greeting,
        schedule_flush: Callable[[], None],
        new_call: Callable[[Scope], Call] = lambda _: Call(),
    ) -> None:
        """`new_call` makes the host's own kind of Call for each OPEN."""
        super().__init__(greeting, self._flush_unless_scheduled)
        self._schedule_flush = schedule_flush
        self._new_call = new_call
        # What apps have said of their responses since the last batch went out. A small complete
        # one is an encoded RESPONSE: an app that returns right after it (nearly all do) needs no
        # END of its own.
        self._held: dict[int, bytes | ResponseBatch] = {}

    # -- saying ------------------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        return bool(self._held or self._outbox)

    def take_batch(self) -> list[bytes]:
        if self._held:
            self._release()
        return self._outbox.take()

    def _flush_unless_scheduled(self) -> None:
        """The outbox was empty. A flush is scheduled already for what is held."""
        if not self._held:
            self._schedule_flush()

    def _release(self) -> None:
        """What is held goes to the outbox, which must not schedule a flush for it."""
        for call_id, held in self._held.items():
            if isinstance(held, bytes):
                self._outbox.put_after(call_id, (held,))
            else:
                held.release(self._outbox)
        self._held.clear()

    def ready(self, about: dict[str, object]) -> None:
        """The app has started. `about` is for people: app, interface, versions."""
        self._put((READY, about))

    def not_ready(self, step: str, error: str, log_tail: str) -> None:
        """The app could not start: at which step ("import", "lifespan", ...) and why."""
        self._put((NOT_READY, step, clip_text(error), clip_text(log_tail, end=True)))

    def slots(self, count: int) -> None:
        """How many calls this worker is willing to run at once on this link."""
        self._put((SLOTS, count))

    def started(self, calls: Iterable[Call]) -> None:
        """These calls are about to enter the app. Have it on the wire before they do."""
        ids: list[int] = []
        for call in calls:
            self._move(call, STARTED)
            ids.append(call.call_id)
        self._put((STARTED, tuple(ids)))

    def respond(self, call: Call, status: int, headers: Pairs, body: bytes) -> None:
        """A complete response in one message: a body of at most MAX_BODY bytes.

        A refused head (too large for the peer, of types that msgpack lacks: see `codec.encode`)
        leaves no trace, so that another response may take its place.
        """
        call_id, large = call.call_id, len(body) >= LARGE
        data = self._outbox.encode(
            (RESPONSE_START, call_id, status, _countable(headers))
            if large  # whose body is not copied into its message
            else (RESPONSE, call_id, status, _countable(headers), body, False)
        )
        self._spend(call, len(body))
        self._move(call, RESPONSE | LAST)
        if large:
            held = ResponseBatch(call_id, data)
            held.add(body, more=False)
            self._hold(call, held)
        else:
            self._hold(call, data)

    def start_response(self, call: Call, status: int, headers: Pairs) -> None:
        """The head alone, refused as in `respond`."""
        data = self._outbox.encode((RESPONSE_START, call.call_id, status, _countable(headers)))
        self._move(call, RESPONSE_START)
        self._hold(call, ResponseBatch(call.call_id, data))

    def send_body(self, call: Call, body: bytes, more: bool) -> None:
        """Response body: at most MAX_BODY and at most `call.send_credit` bytes."""
        self._spend(call, len(body))
        self._move(call, RESPONSE_BODY if more else RESPONSE_BODY | LAST)
        held = self._held.get(call.call_id)
        if isinstance(held, ResponseBatch):
            if not held.has_room(len(body)):
                held.release(self._outbox)
            held.add(body, more)
        else:
            held = ResponseBatch(call.call_id)
            held.add(body, more)
            self._hold(call, held)

    def event(self, call: Call, event: dict[str, object]) -> None:
        self._release_call(call.call_id)  # an event behind a response must not overtake it
        super().event(call, event)

    def reset(self, call: Call, code: int, reason: str) -> None:
        """Also what this turn has said of its response is given up: the gateway never hears of a
        head that was followed by its app's failure in the same turn."""
        super().reset(call, code, reason)
        self._held.pop(call.call_id, None)

    def bye(self, code: int, reason: str) -> None:
        self._release()
        super().bye(code, reason)

    def end(self, call: Call) -> None:
        """The call has left the app: its slot is free."""
        self._move(call, END)
        call_id = call.call_id
        self.calls.pop(call_id, None)
        held = self._held.get(call_id)
        if isinstance(held, bytes):
            self._outbox.put_after(call_id, (held[:-1] + TRUE,))  # `ended` is its last byte
            del self._held[call_id]
        elif held is not None and held.complete:
            held.release(self._outbox, ended=True)
            del self._held[call_id]
        else:
            self._release_call(call_id)
            self._outbox.put_after(call_id, (self._outbox.encode((END, call_id)),))

    def _release_call(self, call_id: int) -> None:
        held = self._held.get(call_id)
        if held is None:
            return
        if isinstance(held, bytes):
            self._outbox.put_after(call_id, (held,))
        else:
            held.release(self._outbox)
        del self._held[call_id]  # behind the put: the bell has rung for it

    def _hold(self, call: Call, held: bytes | ResponseBatch) -> None:
        was_empty = not self._held and not self._outbox
        self._held[call.call_id] = held
        if was_empty:
            self._schedule_flush()

    def _may(self, call: Call, move: int) -> bool:
        return call.request != "reset" and move in RESPONSE_TABLE[call.response]

    def _move(self, call: Call, move: int) -> None:
        after = RESPONSE_TABLE[call.response].get(move)
        if after is None:
            raise LocalProtocolError(unlawful(move, call.response, call))
        call.response = after

    # -- hearing -----------------------------------------------------------------------------

    def receive(self, data: bytes | memoryview) -> Iterator[Received]:
        if self.state == "closed":
            return
        for message in self._decoder.feed(data):
            if message[0] != OPEN:
                yield from self._hear(message)
            elif self.state == "open":
                yield self._opened(message), message
            elif self.state == "greeting":
                raise RemoteProtocolError("OPEN before HELLO")
            if self.state == "closed":  # pyright: ignore[reportUnnecessaryComparison]
                return

    def _opened(self, message: Open) -> Call:
        _, call_id, scope, body, more, flags = message
        if call_id <= self.last_call_id:
            raise RemoteProtocolError(f"OPEN of call {call_id} after {self.last_call_id}")
        self.last_call_id = call_id
        call = self._new_call(scope)
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
            if 0 < call_id <= self.last_call_id:
                return None
            raise RemoteProtocolError(
                f"{name_of(move & 31)} about call {call_id}, which was never opened"
            )
        after = REQUEST_TABLE[call.request].get(move)
        if after is None:
            raise RemoteProtocolError(unlawful(move, call.request, call))
        call.request = after
        return call


def _countable(headers: Pairs) -> Pairs:
    if len(headers) > MAX_ARRAY:
        raise LocalProtocolError(f"{len(headers)} header fields, {MAX_ARRAY} travel at most")
    return headers
