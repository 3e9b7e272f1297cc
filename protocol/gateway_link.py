"""The gateway's end of a link: it opens calls and hears their responses."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from .calls import ENDS, LAST, REQUEST_TABLE, Call
from .codec import encode_request_body
from .errors import LocalProtocolError, RemoteProtocolError
from .link import LinkMachine, Received, unlawful
from .messages import (
    CREDIT,
    DRAIN,
    END,
    EVENT,
    FILE,
    FILES,
    HOLD_BODY,
    MAX_BODY,
    MAX_CALL_ID,
    MAX_OFFSET,
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
    Scope,
    name_of,
)

_WHOLE: Final = RESPONSE | LAST
_WHOLE_AND_ENDED: Final = RESPONSE | LAST | ENDS
_NO_PAIRS: Final = "the headers of a response are pairs of bytes"


class GatewayLink(LinkMachine):
    peer_kinds = frozenset({READY, NOT_READY, SLOTS, PING, PONG, DRAIN})

    # -- saying ------------------------------------------------------------------------------

    def open(self, call: Call, scope: Scope, body: bytes, more: bool, flags: int) -> None:
        """Opens `call` with the first bytes of its body: at most MAX_BODY, none with HOLD_BODY.

        A refused OPEN (too large for the peer, not encodable) leaves no trace on the link.
        """
        if self.state != "open":
            raise LocalProtocolError(f"OPEN on a link that is {self.state!r}")
        if len(body) > MAX_BODY or (body and flags & HOLD_BODY):
            raise LocalProtocolError(f"OPEN with a first body of {len(body)} bytes")
        call_id = self.last_call_id + 1
        if call_id > MAX_CALL_ID:
            raise LocalProtocolError("call ids are used up")
        outbox = self._outbox
        outbox.put(outbox.encode((OPEN, call_id, scope, body, more, flags)))
        self.last_call_id = call_id
        self.calls[call_id] = call
        credit = 0 if flags & HOLD_BODY else self._send_window - len(body)
        call.open(call_id, "body" if more else "complete", credit)

    def send_body(self, call: Call, body: bytes, more: bool) -> None:
        """Request body: at most MAX_BODY and at most `call.send_credit` bytes."""
        call.spend(len(body))
        self._move(call, REQUEST_BODY if more else REQUEST_BODY | LAST)
        self._outbox.put_body(call.call_id, encode_request_body(call.call_id, body, more))

    def _may(self, call: Call, move: int) -> bool:
        return call.response != "ended" and move in REQUEST_TABLE[call.request]

    def _move(self, call: Call, move: int) -> None:
        if call.response == "ended" or not call.move_request(move):
            raise LocalProtocolError(unlawful(move, call.request, call))

    # -- hearing -----------------------------------------------------------------------------

    def receive(self, data: bytes | memoryview) -> Iterator[Received]:
        calls, outbox = self.calls, self._outbox
        if self.state == "closed":
            return
        for message in self._decoder.feed(data):
            if message[0] != RESPONSE:
                yield from self._hear(message)
                if self.state == "closed":  # pyright: ignore[reportUnnecessaryComparison]
                    return
                continue
            # The commonest message, kept in one place: a complete response.
            _, call_id, _, headers, body, ended = message
            call = calls.get(call_id)
            if call is None:
                raise self._forgotten(RESPONSE, call_id)
            move = _WHOLE_AND_ENDED if ended else _WHOLE
            if not call.move_response(move):
                raise RemoteProtocolError(unlawful(move, call.response, call))
            try:  # as `_check_headers` does
                for pair in headers:
                    name, value = pair
                    if (
                        type(name) is not bytes
                        or type(value) is not bytes
                        or type(pair) is not tuple
                    ):
                        raise RemoteProtocolError(_NO_PAIRS)
            except (TypeError, ValueError):
                raise RemoteProtocolError(_NO_PAIRS) from None
            if len(body) > MAX_BODY:
                raise RemoteProtocolError(f"a body message of {len(body)} bytes")
            if ended:
                del calls[call_id]
                if outbox.bodies:
                    outbox.drop(call_id)
            if call.request != "reset":
                yield call, message
            elif ended:
                yield call, (END, call_id)

    def _hear(self, message: Message) -> Iterable[Received]:
        if message[0] == RESPONSE_BODY:
            _, call_id, body, more, ended = message
            move = RESPONSE_BODY if more else RESPONSE_BODY | LAST
            if ended:
                move |= ENDS
            call = self._moved(call_id, move)
            call.count_received(len(body), self._window, self.ours.window, last=not more)
        elif message[0] == STARTED:
            return self._hear_started(message[1])
        elif message[0] == CREDIT:
            call = self._moved(message[1], CREDIT)
            call.allow(message[2])
        elif message[0] == WS_MESSAGE:
            call = self._moved(message[1], WS_MESSAGE)
            self._ws_message_arrived(call, message[2])
        elif message[0] == RESPONSE_START:
            call = self._moved(message[1], RESPONSE_START)
            _check_headers(message[3])
        elif message[0] == RESPONSE_FILE:
            call = self._moved_by_file(message[1], RESPONSE_FILE, message[4:7], message[7])
            _check_headers(message[3])
        elif message[0] == FILE:
            call = self._moved_by_file(message[1], FILE, message[2:5], message[5])
        elif message[0] == END or message[0] == RESET or message[0] == EVENT:
            call = self._moved(message[1], message[0])
        else:
            return self._link_message(message)
        if call.response == "ended":
            del self.calls[call.call_id]
            self._outbox.drop(call.call_id)
            if call.request == "reset" and not _names_a_file(message):
                return ((call, (END, call.call_id)),)
        elif call.request == "reset" and not _names_a_file(message):
            return ()
        return ((call, message),)

    def _hear_started(self, call_ids: Iterable[object]) -> Iterable[Received]:
        for call_id in call_ids:
            if type(call_id) is not int:
                raise RemoteProtocolError("STARTED carries call ids")
            call = self._moved(call_id, STARTED)
            if call.request != "reset":
                yield call, (STARTED, (call_id,))

    def _moved(self, call_id: int, move: int) -> Call:
        """Makes the worker's move and returns its call. Raises RemoteProtocolError if the table has
        no such move."""
        call = self.calls.get(call_id)
        if call is None:
            raise self._forgotten(move & 31, call_id)
        if not call.move_response(move):
            raise RemoteProtocolError(unlawful(move, call.response, call))
        return call

    def _moved_by_file(
        self, call_id: int, kind: int, of: tuple[int, int, int], ended: bool
    ) -> Call:
        """`of` has the descriptor's number, the offset and the count of bytes."""
        if FILES not in self.features:
            raise RemoteProtocolError(f"{name_of(kind)} without the feature {FILES!r}")
        number, offset, count = of
        if number < 1 or offset < 0 or count < 0 or max(number, offset + count) > MAX_OFFSET:
            raise RemoteProtocolError(f"{name_of(kind)} of {count} bytes at {offset}, no {number}")
        return self._moved(call_id, kind | (LAST | ENDS if ended else LAST))

    def _forgotten(self, kind: int, call_id: int) -> RemoteProtocolError:
        """The error for a message about a call that is not open. Ids are never used twice, so no
        message can reach a wrong call; but a worker that speaks of a call after END is broken."""
        known = 0 < call_id <= self.last_call_id
        return RemoteProtocolError(
            f"{name_of(kind)} about call {call_id}, which "
            + ("has ended" if known else "was never opened")
        )


def _names_a_file(message: Message) -> bool:
    """Whether a message is heard although its call was reset: its descriptor has to be closed."""
    return message[0] == FILE or message[0] == RESPONSE_FILE


def _check_headers(headers: Iterable[Any]) -> None:
    """Raises RemoteProtocolError unless the headers are pairs of bytes. They are checked once, here
    where they come in, so no sink, filter or log has to check them again."""
    try:
        for pair in headers:
            name, value = pair
            if type(name) is not bytes or type(value) is not bytes or type(pair) is not tuple:
                raise RemoteProtocolError(_NO_PAIRS)
    except (TypeError, ValueError):  # nothing that unpacks into two
        raise RemoteProtocolError(_NO_PAIRS) from None
