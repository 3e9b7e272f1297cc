"""One call of an ASGI 3 app, on any event loop.

Only a call that has to wait makes an event (asyncio's or trio's; both have `set` and `wait`). The
common call has its whole request and answers at once with one body, and makes none: its head is
kept until the body comes, and both travel as one RESPONSE.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, cast

from ...protocol.fragmenter import Fragmenter
from ...protocol.messages import (
    APP_FAILED,
    BAD_RESPONSE,
    EARLY_HINT,
    IDENTIFIED,
    MAX_BODY,
    TAKES_HINTS,
    TAKES_TRAILERS,
    TRAILERS,
    Open,
    Pairs,
)
from ..app.client_disconnected import ClientDisconnected, is_disconnect
from ..app.files import FilePart, FileReader
from ..app.request_scope import METHOD, REQUEST_ID, UnknownCallType, call_name, request_id
from ..app.response_head import checked_headers, checked_status, stated_length
from ..app.tracebacks import strip_frames, summary
from ..host.adaptive_limit import AdaptiveLimit
from ..host.link_session import NOT_BEGUN, HostedCall, LinkSession
from ..host.unheard import UnheardResponse
from .file_events import FILE_EVENTS, PATH_SEND, ZERO_COPY_SEND, file_extensions, file_of
from .hints_and_trailers import HintsAndTrailers, checked_links, without_length
from .loop_kind import LoopEvent, LoopKind
from .scope import http_scope
from .unheard_line import UnheardLine

logger = logging.getLogger("propylon.worker")

AsgiEvent = dict[str, Any]
AsgiApp = Callable[
    [dict[str, object], Callable[[], Awaitable[AsgiEvent]], Callable[[AsgiEvent], Awaitable[None]]],
    Awaitable[None],
]

OVER: Final = frozenset({"complete", "failed"})
_NOT_WHOLE: Final = "a complete response"
_TAKES: Final = TAKES_HINTS | TAKES_TRAILERS
DEBUG: Final = "http.response.debug"
_OF_EXTENSIONS: Final = FILE_EVENTS | {DEBUG, "http.response.push"}
"""Events of ASGI's extensions that a scope does not offer always, or never."""
_WHEN: Final = {
    "opened": "before http.response.start",
    "started": "before http.response.start",
    "complete": "after the response was complete",
    "failed": "after the response was given up",
}


class Cancellable(Protocol):
    def cancel(self) -> object: ...


Outgoing = Fragmenter[Any] | FileReader
"""A body on its way out, piece by piece."""
Unsaid = tuple[Outgoing, bool]
"""What is left of an event, and whether the event has `more_body`."""


class AppContext(NamedTuple):
    """Facts that all calls of one worker share."""

    loop: LoopKind
    state: dict[str, object]
    """The state that the app's lifespan has made. Every scope gets a shallow copy."""
    extensions: dict[str, object]
    """The worker's own extensions. Every scope gets a shallow copy of these too."""
    for_http: dict[str, object]
    """The same with those that a WebSocket has not."""
    with_files: dict[str, object]
    """The latter with those that a gateway has to have which sends files."""
    limit: AdaptiveLimit | None
    """The limit that is sought, to which latencies are told."""
    unheard_line: UnheardLine

    @classmethod
    def of(
        cls, loop: LoopKind, limit: AdaptiveLimit | None = None, *, development: bool = False
    ) -> "AppContext":
        """The context before the app's lifespan has begun."""
        own: dict[str, object] = {"propylon.shutdown": {}}
        http = own.copy()
        if development:
            http[DEBUG] = {}
        return cls(loop, {}, own, http, http | file_extensions(), limit, UnheardLine(loop))


class AsgiCall(HostedCall):
    __slots__ = (
        "_around",
        "_body",
        "_chunks",
        "_context",
        "_event",
        "_head",
        "_line",
        "_more",
        "_streams",
        "_task",
        "_told",
        "scope",
    )  # fmt: skip

    def __init__(self, session: LinkSession, context: AppContext) -> None:
        super().__init__(session)
        self._context = context
        self._event: LoopEvent | None = None
        self._line: deque[LoopEvent] | None = None
        """Senders that wait until the message of another task is out; None while no message is
        under way."""
        self._head: tuple[int, Pairs] | None = None
        """The head, until the first piece of the body decides how it travels."""
        self._streams: Pairs | None = None
        """The fields of a response that travels in pieces."""
        self._body: bytes | None = None
        """The next piece of the request's body for the app."""
        self._chunks: deque[bytes] | None = None
        """Further pieces behind it."""
        self._more = False
        """Whether the last piece of the request's body has still to come."""
        self._told = False
        """Whether the app has got the disconnect."""
        self._around: HintsAndTrailers | None = None
        """What stands around the response; None if its client takes nothing there, and the app has
        said nothing of it."""
        self.scope: dict[str, object]
        self._task: Cancellable | None = None
        """The task that runs the call; None before it runs."""

    # -- the link's side ---------------------------------------------------------------------

    def opened(self, message: Open) -> None:
        _, _, self.message, body, self._more, flags = message
        if self.message[0] != "http":
            raise UnknownCallType(f"this worker serves no {self.message[0]!r} calls")
        context = self._context
        extensions = context.with_files if self.session.passes_files else context.for_http
        if flags < IDENTIFIED:  # no flag of which the scope says anything
            self.scope = http_scope(self.message, context.state, extensions)
        else:
            if flags & _TAKES:
                self._around = HintsAndTrailers(flags & _TAKES)
                extensions = extensions | self._around.extensions
            self.scope = http_scope(self.message, context.state, extensions)
            if name := request_id(self.message, flags):
                self.scope[REQUEST_ID] = self.request_id = name
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

    def runs_as(self, task: "Cancellable", now: float) -> None:
        """The host runs the app for it, by this task, from now on (monotonic seconds)."""
        self._task = task
        self.began = now

    def cancel(self) -> None:
        """Raises the loop's cancellation in the app."""
        if self._task is not None:
            self._task.cancel()

    # -- the app's side ----------------------------------------------------------------------

    async def run(self, app: AsgiApp) -> None:
        """Calls the app. It raises only a cancellation or Ctrl-C."""
        try:
            await app(self.scope, self.receive, self.send)
            if self.response != "complete":
                self._returned()
        except BaseException as error:
            passing, raised = split(error, self._context.loop.passing)
            if raised is not None:
                self._raised(raised)
            elif self.awaited and not self._client_left:
                self._log_and_fail(APP_FAILED, "the call was cancelled")
            if passing is error:
                raise
            if passing is not None:
                raise passing from None
        finally:
            self.disconnected = True
            self.session.leave(self)
            self.wake()

    def _returned(self) -> None:
        """Ends the call of an app that has returned before its response was complete."""
        if self.awaited:
            lacks = "the trailers that it has announced" if self._trailers_due else _NOT_WHOLE
            self._log_and_fail(BAD_RESPONSE, f"the app returned without {lacks}")

    @property
    def _trailers_due(self) -> bool:
        return self._around is not None and self._around.state == "due"

    async def receive(self) -> AsgiEvent:
        while True:
            if self.disconnected:
                return await self._disconnect_event()
            body = self._body
            if body is not None:
                chunks = self._chunks
                self._body = chunks.popleft() if chunks else None
                more = self._more or self._body is not None
                if body and self.receive_window is not None:
                    self.session.link.taken(self, len(body))
                return {"type": "http.request", "body": body, "more_body": more}
            if self.response in OVER:
                # ASGI: a receive behind the response gives the disconnect. The part of the request
                # that has not come by now need not come any more (SPEC.md 6.1).
                return await self._disconnect_event()
            if self._more:
                self.session.link.wanted(self)
            await self._park()

    async def _disconnect_event(self) -> AsgiEvent:
        if self._told:
            await self._context.loop.sleep(0)  # an app that asks in a loop lets others run
        self._told = True
        return {"type": "http.disconnect"}

    async def send(self, event: AsgiEvent) -> None:
        """Sends an event. It waits for credit if the event is long, and for its turn if the message
        of another task is under way, so messages of two tasks are never mixed.

        A cancellation while it waits for its turn withdraws the event. A cancellation in the middle
        of a message leaves that message incomplete: an HTTP response is reset, a WebSocket is
        closed with 1011, and a later send raises an exception.
        """
        if self.disconnected:
            await self._send_to_nobody(event)
            return
        if self._line is not None:
            await self._send_in_turn(event)
            return
        try:
            unsaid = self._say(event)
        except ClientDisconnected:
            await self._send_to_nobody(event)
            return
        except RuntimeError as error:
            if not self._is_behind_the_end:
                raise
            await self._ignore(event, error)
            return
        if unsaid is not None:
            self._line = deque()
            await self._say_rest(*unsaid)
            if self._client_left:
                await self._send_to_nobody(event)

    async def _send_in_turn(self, event: AsgiEvent) -> None:
        line, turn = self._line, self._context.loop.new_event()
        assert line is not None
        line.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn in line:
                line.remove(turn)
            else:
                self._next_in_line()  # it was this sender's turn already
            raise
        unsaid, left = None, self._client_left
        try:
            if not left:
                unsaid = self._say(event)
        except RuntimeError as error:
            if not self._is_behind_the_end:
                raise
            await self._ignore(event, error)
            return
        finally:
            if unsaid is None:
                self._next_in_line()
        if unsaid is not None:
            await self._say_rest(*unsaid)
            left = self._client_left
        if left:
            await self._send_to_nobody(event)

    @property
    def _is_behind_the_end(self) -> bool:
        """Whether an event of a wrong order is one that stands behind a complete response."""
        whole = self.response == "complete" and not self._trailers_due
        return whole and self.message[0] == "http"

    async def _ignore(self, event: AsgiEvent, error: RuntimeError) -> None:
        """Ignores an event behind the response's end (ASGI HTTP, "Response Body": "any further
        messages on the channel will be ignored"). The log names the rule that the first of them
        breaks."""
        if self.unheard is None:
            self._log_error(f"{error}; this event and others behind the end are ignored")
        await self._send_to_nobody(event)

    async def _send_to_nobody(self, event: AsgiEvent) -> None:
        """Does nothing (ASGI HTTP 2.3), but lets other calls run (`host.unheard`)."""
        unheard, now = self.unheard, monotonic()
        if unheard is None:
            unheard = self.unheard = UnheardResponse()
            unheard.head(self._streams or (self._head[1] if self._head else ()))
        kind, pause = event.get("type"), 0.0
        if kind == "http.response.start":
            unheard.head(event.get("headers") or ())
        elif kind == "http.response.body":
            pause = unheard.piece(bool(event.get("more_body", False)), now)
        await self._let_others_go_first(unheard, pause, now)

    async def _let_others_go_first(
        self, unheard: UnheardResponse, pause: float, now: float
    ) -> None:
        """Has a `send` last for `pause` seconds; 0.0: as long as others take that go first."""
        context = self._context
        if pause or not unheard.goes_on:
            await context.loop.sleep(pause)
        elif not unheard.has_turn(now) and await context.unheard_line.wait():
            unheard.begin_turn(monotonic())

    async def _say_rest(self, data: Outgoing, more: bool) -> None:
        """Sends the rest of a message, while other senders wait behind it. If the client leaves,
        the rest is dropped."""
        try:
            done = False
            while not done:
                await self._park()
                done = self._client_left or self._say_pieces(data, more)
        except BaseException:
            if data.begun:
                self._broken_off()
            raise
        finally:
            if isinstance(data, FileReader):
                data.close()
            self._next_in_line()

    def _next_in_line(self) -> None:
        if self._line:
            self._line.popleft().set()
        else:
            self._line = None

    def _say(self, event: AsgiEvent) -> Unsaid | None:
        """Sends as much of an event as credit allows. Returns the rest and whether the event has
        `more_body`; None if nothing is left."""
        try:
            kind = event["type"]
        except (KeyError, TypeError):
            raise TypeError(f"an event is a dict with a type, not {event!r:.200}") from None
        if kind == "http.response.start":
            if self._head is not None or self.response not in NOT_BEGUN:
                raise RuntimeError("http.response.start was sent already")
            status = checked_status(event.get("status"))
            self._head = (status, checked_headers(event.get("headers", ())))
            if "trailers" in event:  # cheaper than `get`, on the path of every response
                self._announce_trailers(event["trailers"], *self._head)
        elif kind == "http.response.body":
            body = event.get("body", b"")
            if type(body) is not bytes:
                body = _as_bytes(body)
            head = self._head
            if head is None and self.response != "body":
                raise RuntimeError(f"http.response.body was sent {_WHEN[self.response]}")
            more = "more_body" in event and bool(event["more_body"])
            if head is None or more or len(body) > MAX_BODY:
                return self._say_body(body, more)
            self._head = None
            self.session.link.respond(self, *head, body)
            if self._event is not None:
                self.wake()
        elif kind in FILE_EVENTS and self.session.passes_files and self.message[0] == "http":
            return self._say_file(event)
        elif kind == EARLY_HINT:
            self._say_hint(event)
        elif kind == TRAILERS:
            self._say_trailers(event)
        elif kind == DEBUG and DEBUG in self._context.for_http:
            self._take_debug(event)
        elif kind in _OF_EXTENSIONS:
            raise RuntimeError(f"{kind!r} belongs to an extension that this scope does not offer")
        else:
            raise RuntimeError(f"{kind!r} is no event that an app may send in an http call")
        return None

    def _announce_trailers(self, announced: object, status: int, fields: Pairs) -> None:
        """Notes that trailers will come, if they are announced. If they travel, the head goes out
        at once, since the response cannot be one message."""
        if not announced:
            return
        around = self._around
        if around is None:
            around = self._around = HintsAndTrailers(0)
        around.announce(fields)
        if around.trailers_travel:
            if self.message[1] == "1.1" and self.message[METHOD] != "HEAD":
                fields = without_length(fields)
            self.session.link.start_response(self, status, fields)
            self._streams, self._head = fields, None

    def _say_hint(self, event: AsgiEvent) -> None:
        if self.response in OVER:
            raise RuntimeError(f"{EARLY_HINT} was sent {_WHEN[self.response]}")
        links, around = checked_links(event), self._around
        if links and around is not None and self.response in NOT_BEGUN and around.take_hint():
            self.session.link.event(self, {"type": EARLY_HINT, "links": links})

    def _say_trailers(self, event: AsgiEvent) -> None:
        around = self._around
        if around is None:
            around = HintsAndTrailers(0)  # of which none was announced
        fields = around.add(event, body_is_over=self.response in OVER)
        if fields is not None and self.response == "body":
            if fields:
                self.session.link.event(self, {"type": TRAILERS, "headers": fields})
            self.session.link.send_body(self, b"", False)
            self.wake()

    def _take_debug(self, event: AsgiEvent) -> None:
        """Logs what a framework tells of itself (ASGI extensions, "Debug"), in development."""
        if self._head is not None or self.response not in NOT_BEGUN:
            raise RuntimeError(f"{DEBUG} was sent behind http.response.start")
        if not isinstance(event.get("info"), dict):
            raise TypeError(f"info of {DEBUG} is a dict, not {event.get('info')!r:.200}")
        if self._around is None:
            self._around = HintsAndTrailers(0)
        if not self._around.take_debug():
            raise RuntimeError(f"{DEBUG} was sent already")
        logger.info(
            "%s: debug information: %.2000r%s",
            call_name(self.message),
            event["info"],
            self.log_end(),
            extra=self.log_facts(),
        )

    def _say_body(self, body: bytes, more: bool) -> Unsaid | None:
        """Sends a piece of a longer response. Returns what `_say` does."""
        if self._around is not None:
            more = self._around.holds_end(more)
        if self._head is not None:
            self.session.link.start_response(self, *self._head)
            self._streams, self._head = self._head[1], None
        if more and not body:
            return None
        if len(body) <= MAX_BODY and len(body) <= self.send_credit:
            self.session.link.send_body(self, body, more)
            if not more:
                self.wake()
            return None
        data = Fragmenter(body)
        return None if self._say_pieces(data, more) else (data, more)

    def _say_file(self, event: AsgiEvent) -> Unsaid | None:
        """Has the gateway send a file that ends the response. One that has more of the response
        behind it, and one that cannot be passed at this moment, is read here. Returns what `_say`
        does."""
        kind, head = event["type"], self._head
        if head is None and self.response != "body":
            raise RuntimeError(f"{kind} was sent {_WHEN[self.response]}")
        fields = None if head is None else head[1]
        if self._around is not None and fields is None:
            fields = self._around.sent_ahead
        if fields is None and kind == PATH_SEND:
            raise RuntimeError(f"{kind} cannot be mixed with http.response.body")
        file = file_of(event, None if fields is None else stated_length(fields))
        more = kind == ZERO_COPY_SEND and bool(event.get("more_body", False))
        try:
            if self._around is not None:
                more = self._around.holds_end(more)
            if more or not self._pass_on(file.part):
                if self._read_file(file, more):
                    file.close()
                    return None
                return file, more
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def _pass_on(self, part: FilePart) -> bool:
        """Has the gateway send the rest of the response. Returns whether it does."""
        number = self.session.files.pass_on(part.fd) if part.passable else None
        if number is None:
            return False
        head, self._head = self._head, None
        of = (number, part.offset, part.length)
        if head is None:
            self.session.link.send_file(self, of)
        else:
            self.session.link.respond_file(self, *head, of)
        self.wake()
        return True

    def _read_file(self, file: FileReader, more: bool) -> bool:
        """Reads a file here, as far as credit allows. Returns whether all was sent."""
        if self._head is not None:
            self.session.link.start_response(self, *self._head)
            self._streams, self._head = self._head[1], None
        return self._say_pieces(file, more)

    def _say_pieces(self, data: Outgoing, more: bool) -> bool:
        """Sends pieces as far as credit allows. Returns whether all was sent."""
        while (piece := data.take(min(self.send_credit, MAX_BODY))) is not None:
            self.session.link.send_body(self, piece, more or not data.done)
        if data.done and not more:
            self.wake()  # a receive may wait for the end of the response
        return data.done

    async def _park(self) -> None:
        event = self._event
        if event is None:
            event = self._event = self._context.loop.new_event()
        await event.wait()

    # -- ends --------------------------------------------------------------------------------

    @property
    def _client_left(self) -> bool:
        return self.disconnected

    def _raised(self, error: BaseException) -> None:
        strip_frames(error)
        if self._client_left and is_disconnect(error):
            logger.debug("%s: the app left on the disconnect", call_name(self.message))
            return
        logger.error(
            "%s: the app raised %s%s",
            call_name(self.message),
            type(error).__name__,
            self.log_end(),
            extra=self.log_facts(),
            exc_info=(type(error), error, error.__traceback__),
        )
        self.fail(APP_FAILED, summary(error)[:500])

    def _broken_off(self) -> None:
        """Ends the response or WebSocket: a message has begun and will not end."""
        if self.awaited:
            self._log_and_fail(APP_FAILED, "a send was cancelled in the middle of a body")
            self.wake()

    def _log_error(self, sentence: str) -> None:
        """Logs what was wrong with this call."""
        logger.error(
            "%s: %s%s",
            call_name(self.message),
            sentence,
            self.log_end(),
            extra=self.log_facts(),
        )

    def _log_and_fail(self, code: int, reason: str) -> None:
        self._log_error(reason)
        self.fail(code, reason)


class MeasuredCall(AsgiCall):
    """A call that tells the limit that is sought when its response begins. Calls of workers with a
    fixed limit do not pay for that."""

    __slots__ = ()

    def _say(self, event: AsgiEvent) -> Unsaid | None:
        unsaid = super()._say(event)
        limit = self._context.limit
        if limit is not None and event["type"] == "http.response.start":
            limit.responded(self.began)
        return unsaid


def split(
    error: BaseException, passing: tuple[type[BaseException], ...]
) -> tuple[BaseException | None, BaseException | None]:
    """Splits an error into the part that has to be passed on and the part that the app has raised.
    A nursery of the app may raise both in one group."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(passing)
    return (error, None) if isinstance(error, passing) else (None, error)


def _as_bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)  # pyright: ignore[reportUnknownArgumentType]
    raise TypeError(f"the body of http.response.body is bytes, not {type(body).__name__}")
