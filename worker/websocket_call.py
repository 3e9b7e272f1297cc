"""One WebSocket of an ASGI 3 app (ASGI HTTP & WebSocket 2.4), on whichever event loop.

The gateway does frames, pings and compression; here are events. Messages come in pieces, as large
ones do not fit into one message of the link; the app gets and gives whole ones.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from ..protocol.link import utf8_size
from ..protocol.messages import APP_FAILED, MAX_BODY, Open
from .asgi_call import AsgiApp, AsgiCall, AsgiEvent, ClientDisconnected, LoopEvent
from .asgi_scope import websocket_scope
from .response_head import checked_headers
from .session import LinkSession

logger = logging.getLogger("propylon.worker")

ABNORMAL: Final = 1006
"""RFC 6455 section 7.4.1: what an app is told when nobody said goodbye."""
NORMAL: Final = 1000


class WebSocketCall(AsgiCall):
    """States: `connecting` until the app has accepted, `denying` while it sends an HTTP response
    instead, `open`, `closed`."""

    __slots__ = ("_connect_told", "_disconnect", "_messages", "_phase", "_pieces")

    def __init__(
        self,
        session: LinkSession,
        new_event: Callable[[], LoopEvent],
        state: dict[str, object],
    ) -> None:
        super().__init__(session, new_event, state)
        self._phase = "connecting"
        self._connect_told = False
        self._pieces: list[bytes | str] = []
        """Of a message that has not ended yet."""
        self._messages: deque[tuple[bytes | str, int]] = deque()
        """Whole messages for the app, and the bytes of each that its credit is still owed for."""
        self._disconnect: AsgiEvent | None = None

    # -- the link's side ---------------------------------------------------------------------

    def opened(self, message: Open) -> None:
        _, _, self.message, _, self._more, _ = message
        self.scope = websocket_scope(self.message, self._state)

    def piece_arrived(self, data: bytes | str, more: bool) -> None:
        """Pieces of an unfinished message count as taken: the gateway bounds the whole."""
        size = len(data) if isinstance(data, bytes) else utf8_size(data)
        if more:
            self._pieces.append(data)
            self.session.link.taken(self, size)
            return
        if self._pieces:
            self._pieces.append(data)
            data = _joined(self._pieces)
            self._pieces = []
        self._messages.append((data, size))
        self.wake()

    def event_arrived(self, event: dict[str, object]) -> bool:
        if event.get("type") != "websocket.disconnect":
            return False
        if self._disconnect is None:
            self._disconnect = dict(event)
            self._phase = "closed"
            self.wake()
        return True

    def disconnect(self) -> None:
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
        super().disconnect()

    # -- the app's side ----------------------------------------------------------------------

    async def run(self, app: AsgiApp) -> None:
        try:
            await app(self.scope, self.receive, self.send)
            if not self.disconnected:
                self._returned()
        except (Exception, SystemExit) as error:
            self._raised(error)
        except BaseException:
            if not self.disconnected:
                self._give_up(APP_FAILED, "the call was cancelled")
            raise
        finally:
            self.session.leave(self)
            self.wake()

    def _returned(self) -> None:
        """The app is done. What it has left open is closed in its name."""
        if self._phase == "connecting":
            self._give_up(APP_FAILED, "the app returned without accepting or refusing")
        elif self._phase == "open":
            self._say_close(NORMAL, "")
        elif self._phase == "denying" and self.response != "complete":
            self._give_up(APP_FAILED, "the app returned without a complete response")

    async def receive(self) -> AsgiEvent:
        if not self._connect_told:
            self._connect_told = True
            return {"type": "websocket.connect"}
        while True:
            if self._messages:
                data, size = self._messages.popleft()
                if size:
                    self.session.link.taken(self, size)
                if isinstance(data, str):
                    return {"type": "websocket.receive", "text": data}
                return {"type": "websocket.receive", "bytes": data}
            if self._disconnect is not None:
                return self._disconnect.copy()
            self.session.link.wanted(self)
            await self._park()

    async def send(self, event: AsgiEvent) -> None:
        kind = event["type"]
        if self.disconnected or self._disconnect is not None:
            raise ClientDisconnected("the WebSocket is closed")
        if self._phase == "open" and kind == "websocket.send":
            await self._send_message(event)
        elif self._phase == "open" and kind == "websocket.close":
            self._say_close(int(event.get("code", NORMAL) or NORMAL), event.get("reason") or "")
        elif self._phase == "connecting" and kind == "websocket.accept":
            self._accept(event)
        elif self._phase == "connecting" and kind == "websocket.close":
            self._say_close(int(event.get("code", NORMAL) or NORMAL), event.get("reason") or "")
        elif kind.startswith("websocket.http.response.") and self._phase in _BEFORE:
            self._phase = "denying"
            await super().send({**event, "type": kind.removeprefix("websocket.")})
        else:
            raise RuntimeError(f"{kind!r} may not be sent while the WebSocket is {self._phase}")

    def _accept(self, event: AsgiEvent) -> None:
        subprotocol = event.get("subprotocol")
        if subprotocol is not None and not isinstance(subprotocol, str):
            raise TypeError(f"subprotocol is text, not {type(subprotocol).__name__}")
        headers = checked_headers(event.get("headers") or ())
        self._phase = "open"
        self.session.link.event(
            self,
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers},
        )

    def _say_close(self, code: int, reason: str) -> None:
        self._phase = "closed"
        self.session.link.event(
            self, {"type": "websocket.close", "code": code, "reason": str(reason)}
        )
        if self._disconnect is None:
            # ASGI: after its own close, an app that receives hears of the disconnect.
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self.wake()

    async def _send_message(self, event: AsgiEvent) -> None:
        data: Any = event.get("bytes")
        if data is None:
            data = event.get("text")
        if isinstance(data, (bytearray, memoryview)):
            data = bytes(data)  # pyright: ignore[reportUnknownArgumentType]
        if not isinstance(data, (bytes, str)):
            raise TypeError("websocket.send needs bytes or text")
        link = self.session.link
        while True:
            piece, rest = _cut(data, min(self.send_credit, MAX_BODY))
            if piece is not None:
                link.send_ws_message(self, piece, bool(rest))
                if not rest:
                    return
                data = rest
            else:
                await self._park()
                if self.disconnected or self._disconnect is not None:
                    raise ClientDisconnected("the WebSocket is closed")


_BEFORE: Final = frozenset({"connecting", "denying"})


def _joined(pieces: list[bytes | str]) -> bytes | str:
    if isinstance(pieces[0], str):
        return "".join(cast("list[str]", pieces))
    return b"".join(cast("list[bytes]", pieces))


def _cut(data: bytes | str, credit: int) -> tuple[bytes | str | None, bytes | str]:
    """(what fits into `credit` bytes, the rest); None where nothing does. Whole characters."""
    size = len(data) if isinstance(data, bytes) else utf8_size(data)
    if size <= credit:
        return data, data[:0]
    count = credit if isinstance(data, bytes) else credit // 4  # UTF-8's longest character
    return (data[:count], data[count:]) if count > 0 else (None, data)
