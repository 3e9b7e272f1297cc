"""Exams of the interfaces in `gateway/exchange`: what any sink, source and filter promises.

An exam is a function of a scene, and a scene sets one implementation up: a sink with a client whose
responses can be read, a source with an app that can be asked what came. The fakes sit the same
exams, so that what is tested with them holds for what they stand for.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Final, Literal, Protocol

from propylon.gateway.exchange.end_codes import APP_TIMEOUT, WORKER_DIED_RESPONSE
from propylon.gateway.exchange.exchange import Exchange, Source, WebSocketSource
from propylon.gateway.exchange.filters import Filter
from propylon.protocol.messages import CLIENT_GONE, TAKES_HINTS, TAKES_TRAILERS

from .exchange_sides import FakeSource, PushingSource

Seen = tuple[int, bytes, Literal["open", "whole", "cut"]]
"""What a client has of a response: the status (0: nothing yet), the body, and how it ends."""


class SinkScene(Protocol):
    """A sink, its client, and the exchanges that they have had."""

    ended: list[Exchange]
    """What an observer was told of the end of."""
    accepts_with: int
    """The status that accepts a WebSocket."""

    def ask(self, method: str = "GET") -> Exchange:
        """The client asks; the exchange has no source yet."""
        ...

    def ask_for_websocket(self) -> Exchange: ...

    def turn(self) -> None:
        """The client takes all that it was sent, and whoever is to be told is told."""
        ...

    def seen(self) -> Seen: ...

    def leave(self) -> None:
        """The client is gone."""
        ...


def asked(scene: SinkScene, method: str = "GET") -> tuple[Exchange, FakeSource]:
    exchange, source = scene.ask(method), FakeSource()
    exchange.connect(source, exchange.opened)
    return exchange, source


def a_complete_response(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    assert exchange.sink.respond(exchange, 201, ((b"x-a", b"b"),), b"hello") == 201
    scene.turn()
    assert scene.seen() == (201, b"hello", "whole")
    assert (exchange.status, exchange.reason) == (201, "")
    assert (b"x-a", b"b") in exchange.response_headers
    assert scene.ended == [exchange]
    assert exchange.opened <= exchange.first_byte <= exchange.ended
    assert source.given_up == 0


def a_response_in_pieces(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    sink = exchange.sink
    assert sink.head(exchange, 200, ()) == 200
    assert exchange.status == 200
    for piece in (b"one ", b"two ", b"three"):
        before = source.taken
        sink.body(exchange, piece)
        assert source.taken == before, "no credit from inside of what the source says"
    scene.turn()
    assert source.taken == len(b"one two three"), "credit for all that the client has taken"
    assert scene.seen()[2] == "open"
    assert scene.ended == []
    sink.end(exchange)
    scene.turn()
    assert scene.seen() == (200, b"one two three", "whole")
    assert scene.ended == [exchange]


def hints_and_trailers_are_no_part_of_the_body(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    exchange.request.takes = TAKES_HINTS | TAKES_TRAILERS
    sink = exchange.sink
    sink.interim(exchange, 103, ((b"link", b"</a>; rel=preload"),))
    scene.turn()
    assert (exchange.status, scene.seen(), scene.ended) == (0, (0, b"", "open"), [])
    assert sink.head(exchange, 200, ()) == 200
    sink.interim(exchange, 103, ((b"link", b"</late>"),))
    sink.body(exchange, b"hello")
    sink.trailers(exchange, ((b"x-digest", b"abc"),))
    scene.turn()
    assert (source.taken, scene.seen()[2]) == (5, "open")
    sink.end(exchange)
    scene.turn()
    assert scene.seen() == (200, b"hello", "whole")
    assert scene.ended == [exchange]


@dataclass
class KeptFile:
    """An `OpenFile` that a scene can be given."""

    fd: int
    name: str = "it"

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self.fd, count, offset)

    def is_in_memory(self, offset: int, count: int) -> bool:
        return True

    def bring(self, offset: int, count: int, then: Callable[[], None]) -> None:
        raise AssertionError("it is in memory")


CONTENT: Final = bytes(range(256)) * 2_000


def pieces_of_a_file(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    sink, size = exchange.sink, len(CONTENT) - 6
    with TemporaryFile() as opened:
        opened.write(CONTENT)
        opened.flush()
        file = KeptFile(os.dup(opened.fileno()))
        sink.head(exchange, 200, ((b"content-length", b"%d" % (size + 8)),))
        sink.body(exchange, b"<<")
        stays = sink.file(exchange, file, 5, 100_000)
        assert sink.file(exchange, file, 100_005, size - 100_000) is stays
        assert source.taken == 0, "no credit from inside of what the source says"
        sink.body(exchange, b">><<")
        assert sink.file(exchange, file, 0, 1) is stays
        sink.body(exchange, b">")
        scene.turn()
        sink.end(exchange)
        scene.turn()
        assert source.taken in (0, size + 8), "an exchange that is over needs none"
        os.close(file.fd)
    body = b"<<" + CONTENT[5 : 5 + size] + b">><<" + CONTENT[:1] + b">"
    assert scene.seen() == (200, body, "whole")


def a_file_to_nobody(scene: SinkScene) -> None:
    exchange, source = asked(scene, "HEAD")
    with TemporaryFile() as opened:
        opened.write(b"never sent")
        opened.flush()
        exchange.sink.head(exchange, 200, ((b"content-length", b"10"),))
        exchange.sink.file(exchange, KeptFile(opened.fileno()), 0, 10)
        scene.turn()
    assert source.taken == 10
    exchange.sink.end(exchange)
    scene.turn()
    assert scene.seen() == (200, b"", "whole")


def a_body_to_nobody(scene: SinkScene) -> None:
    """Of an answer to HEAD: the source need not know."""
    exchange, source = asked(scene, "HEAD")
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"never sent")
    scene.turn()
    assert source.taken == 10
    exchange.sink.end(exchange)
    scene.turn()
    assert scene.seen() == (200, b"", "whole")
    assert exchange.body_sent == 0


def a_source_that_pushes_as_credit_comes(scene: SinkScene) -> None:
    exchange = scene.ask()
    source = PushingSource(exchange, 40_000, 100, 1_000)
    source.begin()
    for _ in range(1_000):
        if not source.left:
            break
        scene.turn()
    scene.turn()
    assert scene.seen() == (200, b"a" * 40_000, "whole")
    assert (source.deepest, source.ahead_at_most) == (1, 1_000)


def a_failure_before_the_head(scene: SinkScene) -> None:
    exchange, _ = asked(scene)
    exchange.give_end(APP_TIMEOUT)
    assert exchange.sink.fail(exchange, 504, "It took too long.") == 504
    scene.turn()
    status, _, end = scene.seen()
    assert (status, end) == (504, "whole")
    assert (exchange.status, exchange.reason) == (504, "It took too long.")
    assert scene.ended == [exchange]


def a_failure_behind_the_head(scene: SinkScene) -> None:
    exchange, _ = asked(scene)
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"half")
    exchange.give_end(WORKER_DIED_RESPONSE)
    assert exchange.sink.fail(exchange, 502, "It broke off.") == 0, "no head went out"
    scene.turn()
    assert scene.seen()[::2] == (200, "cut"), "it must not look whole"
    assert (exchange.status, exchange.reason) == (200, "It broke off.")
    assert scene.ended == [exchange]


def nothing_behind_the_end(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    exchange.sink.respond(exchange, 200, (), b"it")
    scene.turn()
    seen, sink = scene.seen(), exchange.sink
    assert sink.respond(exchange, 200, (), b"again") == 0
    assert sink.head(exchange, 200, ()) == 0
    sink.body(exchange, b"more")
    sink.end(exchange)
    assert sink.fail(exchange, 500, "It failed.") == 0
    scene.turn()
    assert scene.seen() == seen
    assert (exchange.reason, source.given_up, scene.ended) == ("", 0, [exchange])


def a_client_that_leaves(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    scene.leave()
    assert source.given_up == 1
    assert (exchange.status, scene.ended) == (499, [exchange])
    assert exchange.sink.respond(exchange, 200, (), b"late") == 0
    assert exchange.status == 499


def a_client_that_leaves_amid_a_response(scene: SinkScene) -> None:
    exchange, source = asked(scene)
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"some")
    scene.turn()
    scene.leave()
    exchange.sink.body(exchange, b"more")
    exchange.sink.end(exchange)
    assert (source.given_up, exchange.status, scene.ended) == (1, 200, [exchange])


def another_source_before_the_head(scene: SinkScene) -> None:
    exchange, first = asked(scene)
    second = FakeSource()
    exchange.connect(second, exchange.opened)
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"whose")
    scene.turn()
    assert (first.taken, second.taken) == (0, 5)
    scene.leave()
    assert (first.given_up, second.given_up) == (0, 1)


SINK_EXAM: list[Callable[[SinkScene], None]] = [
    a_complete_response,
    a_response_in_pieces,
    hints_and_trailers_are_no_part_of_the_body,
    pieces_of_a_file,
    a_file_to_nobody,
    a_body_to_nobody,
    a_source_that_pushes_as_credit_comes,
    a_failure_before_the_head,
    a_failure_behind_the_head,
    nothing_behind_the_end,
    a_client_that_leaves,
    a_client_that_leaves_amid_a_response,
    another_source_before_the_head,
]


# -- a WebSocket's handshake and life ----------------------------------------------------------


def a_websocket_is_accepted_once(scene: SinkScene) -> None:
    exchange, source = scene.ask_for_websocket(), FakeSource(send_credit=100)
    exchange.connect(source, exchange.opened)
    assert exchange.websocket is not None
    assert exchange.websocket.accept(exchange, source, None, ()) == scene.accepts_with
    assert exchange.websocket.accept(exchange, source, None, ()) == 0
    assert (exchange.status, scene.ended) == (scene.accepts_with, [])
    assert exchange.websocket.close(exchange, 1000, "") == 0, "no head went out"
    scene.turn()
    assert exchange.status == scene.accepts_with


def a_websocket_is_refused(scene: SinkScene) -> None:
    exchange, source = scene.ask_for_websocket(), FakeSource()
    exchange.connect(source, exchange.opened)
    websocket = exchange.websocket
    assert websocket is not None
    websocket.message(exchange, b"no business to say this", more=False)
    assert websocket.close(exchange, 1000, "") == 403
    assert websocket.accept(exchange, source, None, ()) == 0
    assert (exchange.status, scene.ended) == (403, [exchange])


WEBSOCKET_EXAM = [a_websocket_is_accepted_once, a_websocket_is_refused]


# -- sources -----------------------------------------------------------------------------------


class SourceScene(Protocol):
    """A source with an exchange whose request has `more_body`, and the app behind it."""

    source: Source

    def turn(self) -> None:
        """What was said has come to the app, and what it says to the source."""
        ...

    def got(self) -> tuple[bytes, bool]:
        """The body that the app has, and whether it is complete."""
        ...

    def is_given_up(self) -> bool:
        """Whether the app was told that nobody waits."""
        ...


def a_body_within_its_credit(scene: SourceScene) -> None:
    source = scene.source
    scene.turn()
    credit = source.send_credit
    assert credit > 10
    source.send_body(b"hello ", True)
    assert source.send_credit == credit - 6
    source.send_body(b"world", False)
    scene.turn()
    assert scene.got() == (b"hello world", True)
    assert not scene.is_given_up()


def an_empty_end(scene: SourceScene) -> None:
    scene.turn()
    scene.source.send_body(b"it", True)
    scene.source.send_body(b"", False)
    scene.turn()
    assert scene.got() == (b"it", True)


def giving_up(scene: SourceScene) -> None:
    scene.turn()
    scene.source.abandon(CLIENT_GONE, "nobody waits")
    scene.turn()
    assert scene.is_given_up()
    scene.source.consumed(0)
    scene.source.abandon(CLIENT_GONE, "and nobody comes back")
    scene.turn()


def an_account(scene: SourceScene) -> None:
    account = scene.source.account()
    assert account is None or (account.attempts >= 0 and account.queued >= 0.0)


SOURCE_EXAM = [a_body_within_its_credit, an_empty_end, giving_up, an_account]


class WebSocketSourceScene(Protocol):
    """The source of a WebSocket that was accepted, and the app behind it."""

    source: WebSocketSource

    def turn(self) -> None: ...

    def heard(self) -> list[bytes | str]:
        """The messages that the app has, in their pieces."""
        ...

    def ends(self) -> list[dict[str, object]]:
        """The events by which it was told that the WebSocket is closed."""
        ...


def messages_within_their_credit(scene: WebSocketSourceScene) -> None:
    scene.turn()
    source = scene.source
    credit = source.send_credit
    source.send_message("gr\u00fc\u00df dich", False)
    cost = len("gr\u00fc\u00df dich".encode()) + source.message_overhead
    assert source.send_credit == credit - cost
    source.send_message(b"one ", True)
    source.send_message(b"piece", False)
    scene.turn()
    assert scene.heard() == ["gr\u00fc\u00df dich", b"one ", b"piece"]


def hanging_up(scene: WebSocketSourceScene) -> None:
    scene.turn()
    scene.source.settle()
    event: dict[str, object] = {"type": "websocket.disconnect", "code": 1000, "reason": ""}
    scene.source.hang_up(event)
    scene.turn()
    assert scene.ends() == [event]
    scene.source.consumed(0)
    scene.turn()
    assert scene.heard() == []


WEBSOCKET_SOURCE_EXAM = [messages_within_their_credit, hanging_up]


# -- filters -----------------------------------------------------------------------------------


def pieces_come_out_as_they_went_in(
    make: Callable[[], Filter], undo: Callable[[bytes], bytes], pieces: Iterable[bytes]
) -> None:
    """`undo`: what a client makes of the filter's output, the body that went in."""
    one, body = make(), list(pieces)
    assert one.head(200, ((b"content-type", b"text/plain"),))[0] == 200
    out = b"".join(b"".join(one.body(piece)) for piece in body if piece)
    out += b"".join(one.end())
    assert undo(out) == b"".join(body)


def an_end_at_any_time(make: Callable[[], Filter]) -> None:
    for steps in range(3):
        one = make()
        if steps > 0:
            one.head(200, ())
        if steps > 1:
            list(one.body(b"some"))
        one.abort()


def credit_is_translated_whole(make: Callable[[], Filter]) -> None:
    """Of a filter that limits nothing: what is taken has its credit, 0 included."""
    one = make()
    assert [one.taken(count) for count in (0, 1, 70_000)] == [0, 1, 70_000]
