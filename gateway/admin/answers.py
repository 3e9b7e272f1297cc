"""What the admin listener answers: its paths, who may read them, and the fields of every response.

It is for reading only. There is no path that changes anything, so nothing has to be protected from
a forged request. Neither the query nor any other text of a request comes back in an answer.
"""

import gzip
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from logging import getLogger
from typing import Final

import trio

from ...protocol.messages import Pairs
from ..exchange.exchange import Exchange
from ..http.negotiation import takes_gzip, values_of
from ..metrics.exposition import render_aside
from .events import Viewers
from .health import Question, checks, health_text
from .host_check import answers_to
from .instance import AdminInstance
from .page import Page
from .shared_making import SharedMaking
from .status_events import StatusEvents, status_json
from .token_guard import TokenGuard

log = getLogger("propylon.admin")

ADMIN_FIELDS: Final = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
)
"""Fields of every response, errors included: what is true now is not kept, and no page of another
origin shows it or loads it."""
NO_CONTENT: Final = b"default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of whatever is not the page."""
READING: Final = frozenset({"GET", "HEAD"})
LEAST_COMPRESSED: Final = 1_024
"""Bytes. Less fits into one packet anyway."""
COMPRESSED_ASIDE: Final = 65_536
"""Bytes from which on a thread compresses, because it takes more than a millisecond."""
CHALLENGES: Final = (
    (b"www-authenticate", b'Basic realm="propylon", charset="UTF-8"'),
    (b"www-authenticate", b'Bearer realm="propylon"'),
)
"""A browser asks its user for the password of Basic, which is the token. Each challenge has a field
of its own: Chromium reads the first one of a field only."""
TEXT: Final = b"text/plain; charset=utf-8"

Answerer = Callable[[Exchange], None]


@dataclass(frozen=True, slots=True)
class Document:
    """The body of an answer, before it is compressed."""

    body: bytes
    content_type: bytes = TEXT
    status: int = 200
    policy: bytes = NO_CONTENT
    """Its Content-Security-Policy."""
    more: Pairs = ()


Make = Callable[[], Awaitable[Document]]


@dataclass(frozen=True, slots=True)
class Path:
    answer: Answerer
    guarded: bool = True
    """Whether it asks for the token, or, if there is none, for a name that is ours. Health does
    neither: probes come with any name and no secret, and learn little."""


class AdminAnswers:
    def __init__(
        self,
        instance: AdminInstance,
        nursery: trio.Nursery,
        names: Collection[str],
        guard: TokenGuard,
    ) -> None:
        """`nursery` runs answers that take a while. `names` are hosts that we answer to besides
        those that `host_check` knows."""
        self._instance = instance
        self._nursery = nursery
        self._names = names
        self._guard = guard
        self._page = Page()
        self.viewers = Viewers(StatusEvents(instance.status))
        self._families = SharedMaking(instance.families, nursery)
        self._reports = SharedMaking(instance.status, nursery)
        self._paths: dict[bytes, Path] = {
            b"/": Path(self._show_page),
            b"/livez": Path(partial(self._tell_health, "livez"), guarded=False),
            b"/readyz": Path(partial(self._tell_health, "readyz"), guarded=False),
            b"/startupz": Path(partial(self._tell_health, "startupz"), guarded=False),
            b"/metrics": Path(self._show_metrics),
            b"/status": Path(self._show_status),
            b"/events": Path(self._show_events),
        }

    def answer(self, exchange: Exchange) -> None:
        """Answers an exchange, or sees to it that it is answered."""
        request = exchange.request
        settings = self._instance.admin_settings
        path = self._paths.get(request.path)
        if request.method not in READING:
            respond(exchange, READ_ONLY)
        elif path is None:
            respond(exchange, NOT_FOUND)
        elif not path.guarded:
            path.answer(exchange)
        elif settings.token_file:
            admitted = self._guard.admits(settings.token_file, request.headers)
            (path.answer if admitted else _refuse)(exchange)
        elif answers_to(request.host, exchange.server, self._names):
            path.answer(exchange)
        else:
            respond(exchange, MISDIRECTED)

    # -- health --------------------------------------------------------------------------------

    def _tell_health(self, question: Question, exchange: Exchange) -> None:
        facts = self._instance.health()
        found = checks(question, facts, self._instance.admin_settings.max_queue_time)
        words = exchange.request.query.split(b"&")
        verbose = any(word.partition(b"=")[0] == b"verbose" for word in words)
        status, text = health_text(question, found, verbose=verbose, problems=facts.problems)
        respond(exchange, Document(text.encode(), status=status))

    # -- metrics -------------------------------------------------------------------------------

    def _show_metrics(self, exchange: Exchange) -> None:
        self._begin(exchange, partial(self._metrics, exchange))

    async def _metrics(self, exchange: Exchange) -> Document:
        accept = values_of(exchange.request.headers, b"accept")
        content_type, page = await render_aside(await self._families.get(), accept)
        return Document(page, content_type.encode())

    # -- status and page -----------------------------------------------------------------------

    def _show_page(self, exchange: Exchange) -> None:
        self._begin(exchange, self._make_page)

    async def _make_page(self) -> Document:
        page = self._page
        return Document(page.html, page.content_type, policy=page.policy)

    def _show_status(self, exchange: Exchange) -> None:
        self._begin(exchange, self._status)

    async def _status(self) -> Document:
        report = status_json(await self._reports.get())
        return Document(report + b"\n", b"application/json")

    def _begin(self, exchange: Exchange, make: Make) -> None:
        self._nursery.start_soon(self._respond_with, exchange, make)

    async def _respond_with(self, exchange: Exchange, make: Make) -> None:
        try:
            document = await make()
            if len(document.body) >= LEAST_COMPRESSED:
                document = await _compressed(document, exchange.request.headers)
            respond(exchange, document)
        except Exception:
            # The barrier of one answer: the listener goes on.
            log.exception("%s could not be answered", exchange.request.path.decode("ascii"))
            exchange.sink.fail(exchange, 500, "This could not be made; the log says why.")

    # -- events --------------------------------------------------------------------------------

    def _show_events(self, exchange: Exchange) -> None:
        if exchange.request.method == "HEAD":
            respond(exchange, Document(b"", EVENT_STREAM))
        elif self.viewers.full:
            respond(exchange, TOO_MANY_VIEWERS)
        else:
            policy = (b"content-security-policy", NO_CONTENT)
            self.viewers.add(exchange, ((b"content-type", EVENT_STREAM), policy))


def _refuse(exchange: Exchange) -> None:
    respond(exchange, UNAUTHORIZED)


async def _compressed(document: Document, headers: Pairs) -> Document:
    vary = (b"vary", b"accept, accept-encoding")
    body, more = document.body, (*document.more, vary)
    if takes_gzip(headers):
        more = (*more, (b"content-encoding", b"gzip"))
        if len(body) >= COMPRESSED_ASIDE:
            body = await trio.to_thread.run_sync(_gzip, body)
        else:
            body = _gzip(body)
    return Document(body, document.content_type, document.status, document.policy, more)


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, 5, mtime=0)


def respond(exchange: Exchange, document: Document) -> None:
    """Responds with a document as it is."""
    body = document.body
    fields = (
        (b"content-type", document.content_type),
        (b"content-length", b"%d" % len(body)),
        (b"content-security-policy", document.policy),
        *document.more,
    )
    exchange.sink.respond(exchange, document.status, fields, body)


EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"
NOT_FOUND: Final = Document(
    b"404 Not Found\n\nHere are /livez, /readyz, /startupz, /metrics, /status, /events and a page "
    b"at /.\n",
    status=404,
)
READ_ONLY: Final = Document(
    b"405 Method Not Allowed\n\nThis listener is for reading: GET and HEAD. What changes an "
    b"instance is a command: propylon --help\n",
    status=405,
    more=((b"allow", b"GET, HEAD"),),
)
UNAUTHORIZED: Final = Document(
    b"401 Unauthorized\n\nShow the token of --admin-token-file: Authorization: Bearer TOKEN, or as "
    b"the password of Basic with any user.\n",
    status=401,
    more=CHALLENGES,
)
MISDIRECTED: Final = Document(
    b"421 Misdirected Request\n\nOn loopback this listener answers to an IP address, to localhost "
    b"and to this machine's name, so that no web page can read it by a name of its own (DNS "
    b"rebinding). With --admin-token-file it answers to any name.\n",
    status=421,
)
TOO_MANY_VIEWERS: Final = Document(
    b"503 Service Unavailable\n\nAs many viewers as there may be have the events already.\n",
    status=503,
    more=((b"retry-after", b"10"),),
)
