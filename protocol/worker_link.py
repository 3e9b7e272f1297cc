"""The worker's end of a link: it hears calls and answers them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from .calls import LAST, RESPONSE_TABLE, Call
from .codec import MAX_ARRAY, with_end
from .credit import ReceiveWindow
from .errors import LocalProtocolError, RemoteProtocolError
from .hello import Greeting
from .link import LinkMachine, Received, clip_text, unlawful
from .messages import (
    CREDIT,
    DRAIN,
    END,
    EVENT,
    FILE,
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
    RESPONSE_FILE,
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

_WHOLE: Final = RESPONSE | LAST
_WHOLE_FILE: Final = RESPONSE_FILE | LAST
_LAST_FILE: Final = FILE | LAST


FilePart = tuple[int, int, int]
"""A part of a file: the number of its descriptor (SPEC.md 6.7), the offset, the count of bytes."""


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
        self._batches: dict[int, bytes | ResponseBatch] = {}
        """Call id -> what its app has said of the response since the last batch went out. A small
        complete response is kept as an encoded RESPONSE that does not end the call yet, as are FILE
        and RESPONSE_FILE. If the app returns right after it, as nearly all do, the same message
        ends the call too."""

    # -- saying ------------------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        return bool(self._batches or self._outbox)

    def take_batch(self) -> list[bytes]:
        if self._batches:
            self._release()
        return self._outbox.take()

    def _flush_unless_scheduled(self) -> None:
        """Schedules a flush for an outbox that was empty, unless a response batch has done so."""
        if not self._batches:
            self._schedule_flush()

    def _release(self) -> None:
        """Puts all batches into the outbox. They are forgotten only afterwards, so that the outbox
        schedules no flush for them."""
        for call_id, batch in self._batches.items():
            if isinstance(batch, bytes):
                self._outbox.put_after(call_id, (batch,))
            else:
                batch.release(self._outbox)
        self._batches.clear()

    def ready(self, about: dict[str, object]) -> None:
        """Says READY: the app has started. `about` is for people: app, interface, versions."""
        self._put((READY, about))

    def not_ready(self, step: str, error: str, log_tail: str) -> None:
        """Says NOT_READY: the app could not start, at which step ("import", "lifespan", ...) and
        why."""
        self._put((NOT_READY, step, clip_text(error), clip_text(log_tail, end=True)))

    def slots(self, count: int) -> None:
        """Says SLOTS: how many calls this worker is willing to run at once on this link."""
        self._put((SLOTS, count))

    def started(self, calls: Iterable[Call]) -> None:
        """Says STARTED: these calls are about to enter the app. It has to be sent before they
        do."""
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
        if len(headers) > MAX_ARRAY:
            raise LocalProtocolError(_too_many(headers))
        call_id, large = call.call_id, len(body) >= LARGE
        data = self._outbox.encode(
            (RESPONSE_START, call_id, status, headers)
            if large  # whose body is not copied into its message
            else (RESPONSE, call_id, status, headers, body, False)
        )
        call.spend(len(body))
        if not call.move_response(_WHOLE):
            raise LocalProtocolError(unlawful(_WHOLE, call.response, call))
        if large:
            batch = ResponseBatch(call_id, data)
            batch.add(body, more=False)
            self._gather(call, batch)
        else:
            self._gather(call, data)

    def start_response(self, call: Call, status: int, headers: Pairs) -> None:
        """Sends the head alone. A refused head leaves no trace, as in `respond`."""
        if len(headers) > MAX_ARRAY:
            raise LocalProtocolError(_too_many(headers))
        data = self._outbox.encode((RESPONSE_START, call.call_id, status, headers))
        self._move(call, RESPONSE_START)
        self._gather(call, ResponseBatch(call.call_id, data))

    def send_body(self, call: Call, body: bytes, more: bool) -> None:
        """Sends response body, of MAX_BODY and `call.send_credit` bytes at most."""
        call.spend(len(body))
        self._move(call, RESPONSE_BODY if more else RESPONSE_BODY | LAST)
        batch = self._batches.get(call.call_id)
        if isinstance(batch, ResponseBatch):
            if not batch.has_room(len(body)):
                batch.release(self._outbox)
            batch.add(body, more)
        else:
            batch = ResponseBatch(call.call_id)
            batch.add(body, more)
            self._gather(call, batch)

    def respond_file(self, call: Call, status: int, headers: Pairs, of: FilePart) -> None:
        """Sends a complete response whose body is this part of a file. A refused head leaves no
        trace, as in `respond`."""
        if len(headers) > MAX_ARRAY:
            raise LocalProtocolError(_too_many(headers))
        data = self._outbox.encode((RESPONSE_FILE, call.call_id, status, headers, *of, False))
        self._move(call, _WHOLE_FILE)
        self._gather(call, data)

    def send_file(self, call: Call, of: FilePart) -> None:
        """Ends a response, whose head was sent, with this part of a file."""
        data = self._outbox.encode((FILE, call.call_id, *of, False))
        self._move(call, _LAST_FILE)
        self._release_call(call.call_id)
        self._gather(call, data)

    def event(self, call: Call, event: dict[str, object]) -> None:
        self._release_call(call.call_id)  # an event behind a response must not overtake it
        super().event(call, event)

    def reset(self, call: Call, code: int, reason: str) -> None:
        """Sends RESET for a call. What this turn has said of its response is dropped: the gateway
        never gets a head if the app fails in the same turn."""
        super().reset(call, code, reason)
        self._batches.pop(call.call_id, None)

    def bye(self, code: int, reason: str) -> None:
        self._release()
        super().bye(code, reason)

    def end(self, call: Call) -> None:
        """Says END: the call has left the app, and its slot is free."""
        if not call.move_response(END):
            raise LocalProtocolError(unlawful(END, call.response, call))
        call_id = call.call_id
        self.calls.pop(call_id, None)
        batch = self._batches.get(call_id)
        if isinstance(batch, bytes):
            self._outbox.put_small_after(call_id, with_end(batch))
            del self._batches[call_id]
        elif batch is not None and batch.state == "complete":
            batch.release(self._outbox, ended=True)
            del self._batches[call_id]
        else:
            self._release_call(call_id)
            self._outbox.put_after(call_id, (self._outbox.encode((END, call_id)),))

    def _release_call(self, call_id: int) -> None:
        batch = self._batches.get(call_id)
        if batch is None:
            return
        if isinstance(batch, bytes):
            self._outbox.put_after(call_id, (batch,))
        else:
            batch.release(self._outbox)
        del self._batches[call_id]  # behind the put: a flush is scheduled for it already

    def _gather(self, call: Call, batch: bytes | ResponseBatch) -> None:
        was_empty = not self._batches and not self._outbox
        self._batches[call.call_id] = batch
        if was_empty:
            self._schedule_flush()

    def _may(self, call: Call, move: int) -> bool:
        return call.request != "reset" and move in RESPONSE_TABLE[call.response]

    def _move(self, call: Call, move: int) -> None:
        if not call.move_response(move):
            raise LocalProtocolError(unlawful(move, call.response, call))

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
        call.open(call_id, "body" if more else "complete", self._send_window)
        if len(body) > MAX_BODY or (body and flags & HOLD_BODY):
            raise RemoteProtocolError(f"OPEN with a first body of {len(body)} bytes")
        if more:
            window = ReceiveWindow(self._window, allowed=0 if flags & HOLD_BODY else None)
            window.arrived(len(body))
            call.receive_into(window)
        self.calls[call_id] = call
        return call

    def _hear(self, message: Message) -> Iterable[Received]:
        if message[0] == REQUEST_BODY:
            _, call_id, body, more = message
            call = self._moved(call_id, REQUEST_BODY if more else REQUEST_BODY | LAST)
            if call is not None:
                call.count_received(len(body), self._window, self.ours.window, last=not more)
        elif message[0] == CREDIT:
            call = self._moved(message[1], CREDIT)
            if call is not None:
                call.allow(message[2])
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
        """Makes the gateway's move and returns its call; None for a message that crossed our
        END."""
        call = self.calls.get(call_id)
        if call is None:
            if 0 < call_id <= self.last_call_id:
                return None
            raise RemoteProtocolError(
                f"{name_of(move & 31)} about call {call_id}, which was never opened"
            )
        if not call.move_request(move):
            raise RemoteProtocolError(unlawful(move, call.request, call))
        return call


def _too_many(headers: Pairs) -> str:
    return f"{len(headers)} header fields, {MAX_ARRAY} travel at most"
