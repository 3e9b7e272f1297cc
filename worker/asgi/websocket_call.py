"""One WebSocket of an ASGI 3 app (ASGI HTTP & WebSocket specification, spec_version 2.5), on any
event loop.

The gateway handles frames, pings and compression, and the worker handles events. A large message
travels over the link in pieces; the app receives and sends whole messages.

**How a WebSocket ends.** An HTTP call ends with its response. A WebSocket has no such moment:
either side may close it at any time, the connection may break, the app may return, raise, or be
told that the worker stops. Several of these happen at once, and what each side says crosses what
the other has said. Two parties have to hear of the end, with a code that is true: the app, which
listens only in `receive` and notices only in `send`, and the gateway, which closes the connection.

*What the app hears.* `receive` gives `websocket.disconnect` behind every whole message that came
before it: the client sent those, and believes that they were received. Pieces of a message that did
not come to its end are dropped. An app that asks again gets the same event again, since loops that
ignore it are common, and then others have a turn in between. An app that only sends would never
hear of it, so behind the disconnect `send` raises an OSError, as ASGI 2.4 wants.

The code is the client's, if the gateway has one. If there was no close frame (the connection or the
link broke, the gateway abandoned the call) it is 1006, which stands for exactly that and never
travels (RFC 6455 section 7.1.5).

*What the gateway hears*, if it does not know already:

=====================================  =============================================================
the app                                then the WebSocket
=====================================  =============================================================
closes                                 is closed with its code. Its own `receive` gives that code,
                                       as frameworks wait for a disconnect there also then
closes before it accepted              never was one: the client gets 403, and the code goes nowhere
returns                                is closed with 1000, in its name
returns before it accepted             is reset (RESET): the client gets an error page
raises                                 is reset: the gateway closes with 1011, or answers 500
                                       before the accept
is cancelled in the midst of a send    is closed with 1011. The client has a part of a message,
                                       behind which no other may come, but a close may (RFC 6455
                                       section 5.4)
has no time left, as the worker stops  is closed with 1012, "service restart": clients come back
sends on and takes no notice           is slowed down, and ended at last (`host.unheard`)
=====================================  =============================================================

*What crosses.* Once the app has closed, the gateway's disconnect changes nothing: the first close
counts. Once the client has left, messages of the app are not sent, and it is told so.

*Many small messages.* A `receive` that has a message and a `send` that has credit need not wait,
and an app that echoes would take all messages that have come without any other call being heard. So
now and then (`MOST_AT_ONCE`) they let others run.

*How far the app has come* is what the gateway asks when a client broke the rules (SPEC.md 7.5). It
closes then, but the answers to the client's earlier messages are to go out first. The app has taken
all of them when it waits in `receive` and nothing is left to give: then `settle` is answered.
"""

from collections import deque
from time import monotonic
from typing import Any, Final, cast

from ...protocol.fragmenter import Fragmenter
from ...protocol.link import clip_text, utf8_size
from ...protocol.messages import APP_FAILED, MAX_BODY, Open
from ..app.client_disconnected import ClientDisconnected
from ..app.request_scope import REQUEST_ID, request_id
from ..app.response_head import checked_headers
from ..host.link_session import LinkSession
from ..host.unheard import MANY, UnheardResponse
from .call import OVER, AppContext, AsgiCall, AsgiEvent, Outgoing, Unsaid
from .scope import websocket_scope

ABNORMAL: Final = 1006
"""The code that an app gets if the connection ended without a close frame (RFC 6455 section
7.4.1)."""
NORMAL: Final = 1000
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
MOST_AT_ONCE: Final = 64
"""Messages that an app receives or sends in a row before other calls have a turn."""
MAX_REASON: Final = 123
"""Bytes of a close frame's reason at most. A control frame carries 125, and the code takes two."""
_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015)})


class WebSocketCall(AsgiCall):
    """The call of a WebSocket. Its states are `connecting` until the app has accepted, `denying`
    while it sends an HTTP response instead, `open` and `closed`."""

    __slots__ = (
        "_at_once",
        "_connect_told",
        "_disconnect",
        "_messages",
        "_owed",
        "_phase",
        "_pieces",
        "_receiving",
        "_settles",
    )

    def __init__(self, session: LinkSession, context: AppContext) -> None:
        super().__init__(session, context)
        self._phase = "connecting"
        self._at_once = 0
        """Messages that it has received and sent since others had a turn."""
        self._connect_told = False
        self._pieces: list[bytes | str] = []
        """Pieces of a message that has not ended yet."""
        self._owed = 0
        """Credit for these pieces, which do not count as taken yet."""
        self._messages: deque[tuple[bytes | str, int]] = deque()
        """Whole messages for the app, each with the credit that is still owed for it."""
        self._disconnect: AsgiEvent | None = None
        self._receiving = False
        """Whether the app waits for a message."""
        self._settles = False
        """Whether the gateway has asked to be told when the app waits (SPEC.md 7.5)."""

    # -- the link's side ---------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        return self._phase != "connecting"

    def opened(self, message: Open) -> None:
        _, _, self.message, _, self._more, flags = message
        self.scope = websocket_scope(self.message, self._context.state, self._context.extensions)
        if name := request_id(self.message, flags):
            self.scope[REQUEST_ID] = self.request_id = name

    def piece_arrived(self, data: bytes | str, more: bool) -> None:
        """Takes a piece of a message. Pieces of the message that the app receives next count as
        taken at once, since the whole may be longer than the window. For pieces of later messages
        credit is owed."""
        size = len(data) if isinstance(data, bytes) else utf8_size(data)
        cost = size + self.session.link.message_overhead
        if more:
            self._pieces.append(data)
            self._owed += cost
            if not self._messages:
                self._release()
            return
        if self._pieces:
            self._pieces.append(data)
            data = _joined(self._pieces)
            self._pieces = []
        self._messages.append((data, cost + self._owed))
        self._owed = 0
        self.wake()

    def _release(self) -> None:
        owed, self._owed = self._owed, 0
        if owed:
            self.session.link.taken(self, owed)

    def event_arrived(self, event: dict[str, object]) -> bool:
        kind = event.get("type")
        if kind == "websocket.settle":
            self._settles = True
            if self._receiving and not self._messages:
                self.session.link.settle(self)
        if kind != "websocket.disconnect":
            return False
        if self._disconnect is None:
            self._disconnect = dict(event)
            self._phase = "closed"
            self.wake()
        return True

    def disconnect(self) -> None:
        if self._disconnect is None:
            self._disconnect = _abnormal()
        super().disconnect()

    def stop(self) -> None:
        if self._phase == "open" and not self.disconnected:
            self._say_close(SERVICE_RESTART, "")
        else:
            super().stop()

    # -- the app's side ----------------------------------------------------------------------

    def _returned(self) -> None:
        """Closes what the app has left open when it returned."""
        if self.disconnected:
            return
        if self._phase == "connecting":
            self._log_and_fail(APP_FAILED, "the app returned without accepting or refusing")
        elif self._phase == "open":
            self._say_close(NORMAL, "")
        elif self._phase == "denying":
            self._log_and_fail(APP_FAILED, "the app returned without a complete response")

    async def receive(self) -> AsgiEvent:
        if not self._connect_told:
            self._connect_told = True
            return {"type": "websocket.connect"}
        while True:
            if self._messages:
                self._at_once += 1
                if self._at_once > MOST_AT_ONCE:
                    await self._let_others_run()
                    continue
                data, cost = self._messages.popleft()
                if cost:
                    self.session.link.taken(self, cost)
                if self._owed and not self._messages:
                    self._release()
                if isinstance(data, str):
                    return {"type": "websocket.receive", "text": data}
                return {"type": "websocket.receive", "bytes": data}
            if self._disconnect is None and self._phase == "denying" and self.response in OVER:
                self._disconnect = _abnormal()  # it was never accepted
            if self._disconnect is not None:
                if self._told:
                    await self._go_on()
                self._told = True
                return self._disconnect.copy()
            if self._settles:
                self.session.link.settle(self)
            self._receiving, self._at_once = True, 0
            try:
                await self._park()
            finally:
                self._receiving = False

    async def send(self, event: AsgiEvent) -> None:
        await super().send(event)
        # Behind it, or the messages of tasks that began in order would not go out in order.
        self._at_once += 1
        if self._at_once > MOST_AT_ONCE:
            await self._let_others_run()

    async def _let_others_run(self) -> None:
        self._at_once = 0
        await self._context.loop.sleep(0)

    @property
    def _client_left(self) -> bool:
        return self.disconnected or self._disconnect is not None

    async def _send_to_nobody(self, event: AsgiEvent) -> None:
        await self._go_on()
        raise ClientDisconnected("the WebSocket is closed") from None

    async def _go_on(self) -> None:
        """Lets other calls run if an app ignores the disconnect."""
        if self.unheard is None:
            self.unheard = UnheardResponse(MANY)
        now = monotonic()
        await self._let_others_go_first(self.unheard, self.unheard.piece(True, now), now)

    def _say(self, event: AsgiEvent) -> Unsaid | None:
        if self._client_left:
            raise ClientDisconnected("the WebSocket is closed")
        try:
            kind = event["type"]
        except (KeyError, TypeError):
            raise TypeError(f"an event is a dict with a type, not {event!r:.200}") from None
        phase = self._phase
        if phase == "open" and kind == "websocket.send":
            message = _message(event)
            most = len(message) if isinstance(message, bytes) else 4 * len(message)  # as UTF-8
            if most <= self._room:
                self.session.link.send_ws_message(self, message, False)
                return None
            data = Fragmenter(message)
            return None if self._say_pieces(data, False) else (data, False)
        if phase == "open" and kind == "websocket.close":
            self._say_close(checked_code(event.get("code")), event.get("reason"))
        elif phase == "connecting" and kind == "websocket.accept":
            self._accept(event)
        elif phase == "connecting" and kind == "websocket.close":
            # This becomes an HTTP response. No client sees the code, and for the app there never
            # was a WebSocket.
            self._disconnect = _abnormal()
            self._say_close(NORMAL, event.get("reason"))
        elif kind in _DENIAL and phase in _BEFORE:
            return self._deny(event)
        else:
            raise RuntimeError(
                f"{kind!r} may not be sent while the WebSocket is {phase}{_rule(kind, phase)}"
            )
        return None

    def _deny(self, event: AsgiEvent) -> Unsaid | None:
        """Sends a part of the HTTP response that refuses the WebSocket (ASGI extensions, "Websocket
        Denial Response")."""
        self._phase = "denying"
        kind: str = event["type"]
        try:
            return super()._say({**event, "type": kind.removeprefix("websocket.")})
        except RuntimeError as error:
            rule = str(error).replace("http.response", "websocket.http.response")
            raise RuntimeError(rule) from None

    @property
    def _room(self) -> int:
        """Bytes that the next piece may have; below 0 if not even an empty one has its credit."""
        return min(self.send_credit - self.session.link.message_overhead, MAX_BODY)

    def _say_pieces(self, data: Outgoing, more: bool) -> bool:
        if self._phase == "denying":
            return super()._say_pieces(data, more)
        while (piece := data.take(self._room)) is not None:
            self.session.link.send_ws_message(self, piece, not data.done)
        return data.done

    def _broken_off(self) -> None:
        if self._phase == "denying":
            super()._broken_off()
        elif self._phase == "open" and not self.disconnected:
            # A close may come within a fragmented message, another message may not (RFC 6455
            # section 5.4).
            self._log_error("a send was cancelled in its middle")
            self._say_close(INTERNAL_ERROR, "")

    def _accept(self, event: AsgiEvent) -> None:
        subprotocol = event.get("subprotocol")
        if subprotocol is not None and not isinstance(subprotocol, str):
            raise TypeError(f"subprotocol is text, not {type(subprotocol).__name__}")
        headers = checked_headers(event.get("headers") or ())
        self.session.link.event(
            self,
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers},
        )
        self._phase = "open"

    def _say_close(self, code: int, reason: object) -> None:
        text = _cut_reason("" if reason is None else str(reason))
        self.session.link.event(self, {"type": "websocket.close", "code": code, "reason": text})
        self._phase = "closed"
        if self._disconnect is None:
            # ASGI: a receive after the app's own close gives the disconnect.
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": text}
        self.wake()


_BEFORE: Final = frozenset({"connecting", "denying"})
_DENIAL: Final = frozenset({"websocket.http.response.start", "websocket.http.response.body"})
_OWN: Final = _DENIAL | {"websocket.accept", "websocket.send", "websocket.close"}
_RULES: Final = {
    ("websocket.accept", "open"): "it was accepted already",
    ("websocket.accept", "denying"): "it is refused by websocket.http.response.start",
    ("websocket.send", "connecting"): "websocket.accept comes first",
    ("websocket.send", "denying"): "it is refused by websocket.http.response.start",
    ("websocket.close", "denying"): "the response that refuses it closes it",
    ("websocket.http.response.start", "open"): "only one that was not accepted can be refused",
    ("websocket.http.response.body", "open"): "only one that was not accepted can be refused",
}
"""The rule that an event breaks in a phase."""


def _rule(kind: object, phase: str) -> str:
    """The rule that such an event breaks, as the end of a sentence."""
    if kind not in _OWN:
        return f"; the events of a WebSocket are {', '.join(sorted(_OWN))}"
    rule = _RULES.get((str(kind), phase))
    return f"; {rule}" if rule else ""


def _abnormal() -> AsgiEvent:
    return {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}


def _joined(pieces: list[bytes | str]) -> bytes | str:
    if isinstance(pieces[0], str):
        return "".join(cast("list[str]", pieces))
    return b"".join(cast("list[bytes]", pieces))


def _message(event: AsgiEvent) -> bytes | str:
    data: Any = event.get("bytes")
    if data is None:
        data = event.get("text")
        if isinstance(data, str):
            return data
        wrong = "needs bytes or text" if data is None else "needs a text of type str"
    else:
        if isinstance(data, (bytearray, memoryview)):
            data = bytes(data)  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(data, bytes):
            return data
        wrong = "needs bytes of type bytes"
    raise TypeError(f"websocket.send {wrong}, not {data!r:.200}")


def checked_code(code: object) -> int:
    """Returns a close code that may travel (RFC 6455 section 7.4 and IANA's registry), 1000 for
    None. Raises for another value; 1004 to 1006 and 1015 never travel."""
    if not code:
        return NORMAL
    if not isinstance(code, int):
        raise TypeError(f"a close code is a number, not {code!r}")
    if code in _CODES or 3000 <= code <= 4999:
        return int(code)
    raise ValueError(
        f"{code} is no close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999 are"
    )


def _cut_reason(reason: str) -> str:
    """The part of a reason that fits into a close frame (RFC 6455 section 5.5), in whole
    characters."""
    return Fragmenter(clip_text(reason)).take(MAX_REASON) or ""
