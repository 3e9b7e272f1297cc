"""One call of an ASGI 3 app, on whichever event loop.

Only a call that has to wait makes an Event (the host's: asyncio's or trio's, both have `set` and
`wait`). The common call, one that has its whole request and answers it at once with one body,
makes none: its head is kept until the body comes, and both travel as one RESPONSE.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from ..protocol.messages import APP_FAILED, BAD_RESPONSE, MAX_BODY, Open, Pairs, Scope
from .asgi_scope import http_scope
from .request_scope import UnknownCallType, call_name
from .response_head import checked_headers, checked_status
from .session import HostedCall, LinkSession
from .tracebacks import strip_frames, summary

logger = logging.getLogger("propylon.worker")

AsgiEvent = dict[str, Any]
AsgiApp = Callable[
    [dict[str, object], Callable[[], Awaitable[AsgiEvent]], Callable[[AsgiEvent], Awaitable[None]]],
    Awaitable[None],
]

_NOT_BEGUN: Final = frozenset({"opened", "started"})


class ClientDisconnected(OSError):
    """The client is gone: nobody gets what is sent (ASGI HTTP 2.4, "Disconnected Client")."""


class LoopEvent(Protocol):
    def set(self) -> None: ...
    async def wait(self) -> object: ...


class AsgiCall(HostedCall):
    __slots__ = ("_body", "_chunks", "_event", "_head", "_more", "_new_event", "_state", "message",
                 "scope", "task")  # fmt: skip

    def __init__(
        self,
        session: LinkSession,
        new_event: Callable[[], LoopEvent],
        state: dict[str, object],
    ) -> None:
        super().__init__(session)
        self._new_event = new_event
        self._state = state
        self._event: LoopEvent | None = None
        self._head: tuple[int, Pairs] | None = None
        """http.response.start, until the first body says how it travels."""
        self._body: bytes | None = None
        """The next piece of the request for the app."""
        self._chunks: deque[bytes] | None = None
        """Pieces behind it."""
        self._more = False
        """The request's last piece has not come yet."""
        self.scope: dict[str, object]
        self.message: Scope
        self.task: Any = None
        """What the host cancels."""

    # -- the link's side ---------------------------------------------------------------------

    def opened(self, message: Open) -> None:
        _, _, self.message, body, self._more, _ = message
        if self.message[0] != "http":
            raise UnknownCallType(f"this worker serves no {self.message[0]!r} calls")
        self.scope = http_scope(self.message, self._state)
        if body or not self._more:
            self._body = body

    def body_arrived(self, body: bytes, more: bool) -> None:
        self._more = more
        if self._body is None:
            self._body = body
        elif self._chunks is None:
            self._chunks = deque((body,))
        else:
            self._chunks.append(body)
        self.wake()

    def wake(self) -> None:
        event = self._event
        if event is not None:
            self._event = None
            event.set()

    # -- the app's side ----------------------------------------------------------------------

    async def run(self, app: AsgiApp) -> None:
        """Calls the app. Raises nothing but a cancellation."""
        try:
            await app(self.scope, self.receive, self.send)
            if self.response != "complete" and not self.disconnected:
                self._give_up(BAD_RESPONSE, "the app returned without a complete response")
        except (Exception, SystemExit) as error:
            self._raised(error)
        except BaseException:
            if self.response != "complete" and not self.disconnected:
                self._give_up(APP_FAILED, "the call was cancelled")
            raise
        finally:
            self.session.leave(self)
            self.wake()

    async def receive(self) -> AsgiEvent:
        while True:
            if self.disconnected:
                return {"type": "http.disconnect"}
            body = self._body
            if body is not None:
                chunks = self._chunks
                self._body = chunks.popleft() if chunks else None
                more = self._more or self._body is not None
                if body and self.receive_window is not None:
                    self.session.link.taken(self, len(body))
                return {"type": "http.request", "body": body, "more_body": more}
            if self._more:
                self.session.link.wanted(self)
            elif self.response == "complete":
                return {"type": "http.disconnect"}
            await self._park()

    async def send(self, event: AsgiEvent) -> None:
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        kind = event["type"]
        if kind == "http.response.start":
            if self._head is not None or self.response not in _NOT_BEGUN:
                raise RuntimeError("http.response.start was sent already")
            status = checked_status(event["status"])
            self._head = (status, checked_headers(event.get("headers", ())))
        elif kind == "http.response.body":
            body = event.get("body", b"")
            if type(body) is not bytes:
                body = _as_bytes(body)
            head = self._head
            if head is None and self.response != "body":
                raise RuntimeError(
                    "http.response.body was sent "
                    + ("before http.response.start" if self.response in _NOT_BEGUN
                       else "after the response was complete")
                )  # fmt: skip
            if head is None or len(body) > MAX_BODY or event.get("more_body", False):
                await self._send_pieces(body, bool(event.get("more_body", False)))
            else:
                self._head = None
                self.session.link.respond(self, *head, body)
                if self._event is not None:
                    self.wake()
        else:
            raise RuntimeError(f"{kind!r} is no event that an app may send in an http call")

    async def _send_pieces(self, body: bytes, more: bool) -> None:
        """A part of a longer response, in pieces as the receiver's credit allows."""
        link = self.session.link
        if self._head is not None:
            link.start_response(self, *self._head)
            self._head = None
        done, size = 0, len(body)
        while done < size:
            if self.send_credit <= 0:
                await self._park()
                if self.disconnected:
                    raise ClientDisconnected("the client is gone")
                continue
            piece = body[done : done + min(self.send_credit, MAX_BODY)]
            done += len(piece)
            link.send_body(self, piece, more or done < size)
        if not more:
            if not size:
                link.send_body(self, b"", False)
            self.wake()  # a receive that waits for the end of the response

    async def _park(self) -> None:
        event = self._event
        if event is None:
            event = self._event = self._new_event()
        await event.wait()

    # -- ends --------------------------------------------------------------------------------

    def _raised(self, error: BaseException) -> None:
        strip_frames(error)
        if self.disconnected and _is_disconnect(error):
            logger.debug("%s: the app left on the disconnect", call_name(self.message))
            return
        logger.error(
            "%s: the app raised %s",
            call_name(self.message),
            type(error).__name__,
            exc_info=(type(error), error, error.__traceback__),
        )
        if self.response != "complete" and not self.disconnected:
            self.session.link.reset(self, APP_FAILED, summary(error)[:500])

    def _give_up(self, code: int, reason: str) -> None:
        logger.error("%s: %s", call_name(self.message), reason)
        self.session.link.reset(self, code, reason)


def _as_bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)  # pyright: ignore[reportUnknownArgumentType]
    raise TypeError(f"the body of http.response.body is bytes, not {type(body).__name__}")


def _is_disconnect(error: BaseException | None) -> bool:
    """Whether our ClientDisconnected is behind it: frameworks raise errors of their own from it."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, ClientDisconnected):
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(map(_is_disconnect, error.exceptions))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
