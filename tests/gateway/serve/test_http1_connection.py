"""What HTTP/1.1 alone does: one exchange at a time on a connection that goes on, or ends gently.

What any version does with an exchange stands in `exchange_rows`.
"""

import gc
from collections.abc import Iterator
from contextlib import closing

import pytest
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.serve.begin import HttpVersions
from propylon.gateway.serve.http1_connection import MOST_DISCARDED
from propylon.gateway.serve.lingering_close import FIRST_BYTE_OF_NEXT, IDLE_LINGER
from propylon.gateway.transport.client_socket import LINGER, MOST_BUFFERED, ClientSocket
from propylon.protocol.messages import MAX_BODY

from .exchange_rows import BIG
from .http1_framing import Http1Framing
from .stage import (
    BODY,
    HEADER,
    IDLE,
    SEND,
    Stage,
    Step,
    accepts,
    answers,
    asked,
    asks,
    begins,
    breaks,
    breaks_when_credited,
    closes,
    connects,
    drains,
    fails,
    fills,
    finishes,
    given_up,
    goes_on,
    half_closed,
    hears,
    hears_a_cut,
    hears_nothing_else,
    hears_so_far,
    is_cut,
    is_not_read,
    is_over,
    is_read,
    leaves,
    logged,
    next_source,
    not_logged,
    passes,
    phrases,
    play,
    pours,
    reads,
    resets,
    resets_unseen,
    said,
    says,
    sends,
    sends_unseen,
    shuts,
    source_heard,
    source_sent,
    step,
    takes,
    trust_was_asked,
    uploads,
    wants,
    websockets_from,
)


@step
def hears_interim(stage: Stage, *statuses: int) -> None:
    """All 1xx responses since the beginning."""
    assert stage.received.count(b"HTTP/1.1 100 Continue\r\n\r\n") == len(statuses)


@step
def hears_raw(stage: Stage, data: bytes) -> None:
    """Ends with these bytes, which are no HTTP."""
    assert stage.until(lambda: stage.received.endswith(data)), stage.received[-100:]


@step
def pieces_at_most(stage: Stage, count: int) -> None:
    """Of the request's body."""
    assert max([len(stage.exchange.body), *map(len, stage.source.got)]) == count


CLOSE = ((b"Connection", b"close"),)
CONTINUE = ((b"Expect", b"100-continue"),)
UPGRADE = (
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
    (b"Origin", b"https://a.example"),
)
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LONG_GET = b"GET / HTTP/1.1\r\nHost: h\r\nX: %b\r\n\r\n" % bytes(b"x" * (MOST_BUFFERED // 16))
NONSENSE = "The request line is malformed: 'nonsense'"
SAYS_CLOSE: dict[bytes, bytes | None] = {b"connection": b"close"}
SAYS_NOTHING: dict[bytes, bytes | None] = {b"connection": None}

KEEP_ALIVE: dict[str, list[Step]] = {
    "it waits for the next request, and then ends": [
        asks(),
        passes(1.5),
        answers(200, b"x"),
        hears(200, fields=SAYS_NOTHING),
        passes(IDLE - 0.01),
        goes_on(),
        asks(),
        answers(200, b"x"),
        passes(IDLE - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
        passes(IDLE_LINGER - 0.01),
        half_closed(),
        passes(0.01),
        is_over(),
        logged(200, count=2),
    ],
    "a length that is told ends the response before its source does": [
        asks(),
        begins(200, ((b"content-length", b"5"),)),
        says(b"hello"),
        hears(200, b"hello"),
        not_logged(),
        finishes(),
        logged(200, sent=5),
    ],
    "a request that crosses the end of the wait is answered": [
        asks(),
        answers(200, b"1"),
        hears(200),
        sends_unseen(GET),  # the sweeper comes before the poller
        passes(IDLE),
        asked(2),
        goes_on(),
        answers(200, b"2"),
        hears(200, b"2", nth=1),
        passes(IDLE - 0.01),
        goes_on(),
    ],
    "one that crosses it and is answered at once is the last": [
        asks(),
        answers(200, b"1"),
        next_source(answers(200, b"2")),
        sends_unseen(GET),
        passes(IDLE),
        hears(200, b"2", nth=1),
        half_closed(),
    ],
    "it waits for the first request as for a head": [
        passes(HEADER - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
        passes(IDLE_LINGER),
        is_over(),
        not_logged(),
        said(),
    ],
    "an answer that was to close": [
        asks(fields=CLOSE),
        answers(200, b"x"),
        hears(200, b"x", SAYS_CLOSE),
        is_over(),
    ],
    "the app closes": [
        asks(),
        answers(200, b"x", ((b"connection", b"close"),)),
        hears(200, b"x", SAYS_CLOSE),
        is_over(),
    ],
    "a reason phrase that is no valid HTTP": [
        asks(),
        phrases(500, b"a\0b"),
        answers(500, b"x", returns=500),
        hears(500, holds=b"not valid HTTP.", reason=b"Internal Server Error"),
        said("error: the app's response to GET /: was refused: 500 "),
        goes_on(),
    ],
    "an HTTP/1.0 response ends with the connection": [
        sends(b"GET / HTTP/1.0\r\n\r\n"),
        begins(),
        says(b"x"),
        finishes(),
        hears(200, b"x", SAYS_CLOSE | {b"transfer-encoding": None}),
        is_over(),
    ],
    "an HTTP/1.0 response that is cut can be seen to be": [
        sends(b"GET / HTTP/1.0\r\n\r\n"),
        begins(),
        says(b"x"),
        hears_so_far(200, b"x"),
        fails(502, "It died."),
        hears_a_cut(200, end="reset"),
        is_over("reset"),
    ],
    "an HTTP/1.0 response whose service cuts can be seen to be": [
        sends(b"GET / HTTP/1.0\r\n\r\n"),
        begins(),
        says(b"x"),
        hears_so_far(200, b"x"),
        is_cut(),
        hears_a_cut(200, end="reset"),
        logged(200, sent=1, end="gateway_cut"),
    ],
    "a response that is cut behind its head closes gently": [
        asks(),
        begins(),
        says(b"x"),
        fails(502, "It died."),
        hears_a_cut(200, b"x", end="closed"),
        is_over(),
    ],
    "a body short of its length closes the connection": [
        asks(),
        begins(200, ((b"content-length", b"2"),)),
        says(b"x"),
        finishes(),
        hears_a_cut(200, b"x", end="closed"),
        is_over(),
    ],
    "an answer that cuts its own body": [
        asks(),
        answers(200, b"hello", ((b"content-length", b"2"),)),
        said("error: the app's response to GET /: a body of 5 bytes was cut"),
        hears(200, b"he"),
    ],
    "a client that has said its end is gone": [
        asks(),
        shuts(),
        given_up("the client went away"),
        logged(499, reason="The client went away.", end="client_left_app"),
        is_over(),
    ],
    "drained while idle": [
        asks(),
        answers(200, b"x"),
        hears(200),
        drains(),
        passes(FIRST_BYTE_OF_NEXT - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
        passes(IDLE_LINGER),
        is_over(),
    ],
    "drained while idle, and a request comes": [
        asks(),
        answers(200, b"x"),
        drains(),
        asks(),
        answers(200, b"y"),
        hears(200, b"y", SAYS_CLOSE, nth=1),
        is_over(),
    ],
    "drained when it is idle for long already": [
        asks(),
        answers(200, b"x"),
        hears(200),
        passes(IDLE - 0.5),
        drains(),
        passes(0.5),
        half_closed(),
    ],
    "drained in an exchange": [
        asks(),
        begins(),
        says(b"x"),
        drains(),
        passes(FIRST_BYTE_OF_NEXT * 3),
        finishes(),
        hears(200, b"x"),
        passes(FIRST_BYTE_OF_NEXT),
        half_closed(),
    ],
    "drained in a head": [
        sends(GET[:9]),
        drains(),
        passes(FIRST_BYTE_OF_NEXT * 2),
        sends(GET[9:]),
        answers(200, b"x"),
        hears(200, b"x", SAYS_CLOSE),
        is_over(),
    ],
    "cut while it lingers": [
        asks(),
        answers(200, b"x"),
        passes(IDLE),
        half_closed(),
        is_cut(),
        is_over(),
    ],
}

PIPELINED: dict[str, list[Step]] = {
    "the second waits for the first": [
        sends(GET + GET),
        asked(1),
        answers(200, b"1"),
        asked(2),
        hears(200, b"1"),
        answers(200, b"2"),
        hears(200, b"2", nth=1),
        goes_on(),
        logged(200, count=2),
    ],
    "many that are answered at once": [
        *[next_source(answers(200, b"%d" % number)) for number in range(400)],
        sends(GET * 400),
        asked(400),
        hears(200, b"399", nth=399),
        goes_on(),
    ],
    "many that are answered in pieces at once": [
        *[next_source(begins(), says(b"%d" % number), finishes()) for number in range(400)],
        sends(GET * 400),
        hears(200, b"399", nth=399),
        goes_on(),
    ],
    "none behind an answer that closes": [
        sends(GET + GET),
        answers(200, b"1", ((b"connection", b"close"),)),
        hears(200, b"1"),
        asked(1),
        half_closed(),
        passes(LINGER),
        is_over(),
    ],
    "none behind a malformed one": [
        sends(b"GET / HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n" + GET),
        asked(0),
        hears(400, fields=SAYS_CLOSE),
        half_closed(),
        logged(400, reason="A header field is malformed: 'bad name'", end="client_malformed"),
    ],
    "a malformed one behind a good one": [
        sends(GET + b"GET / HTTP/9\r\n\r\n"),
        asked(1),
        hears_nothing_else(0),
        answers(200, b"1"),
        hears(200, b"1", nth=0),
        hears(400, nth=1, fields=SAYS_CLOSE),
        half_closed(),
    ],
    "the next is taken up while the client has yet to take some": [
        reads(False),
        sends(GET),
        begins(),
        fills(b"x" * 4_096),
        sends(GET),
        finishes(),
        asked(2),
        reads(True),
        hears(200, nth=0),
        source_sent(0, of=1),  # what it takes now was the first one's
        answers(200, b"2"),
        hears(200, b"2", nth=1),
        goes_on(),
    ],
    "they wait while the client does not read": [
        reads(False),
        next_source(answers(200, BIG)),
        next_source(answers(200, b"2")),
        sends(GET),
        sends(GET),
        asked(1),
        reads(True),
        hears(200, b"2", nth=1),
        asked(2),
    ],
    "more than is kept of them is not read": [
        asks(),
        sends(LONG_GET * 80),
        is_not_read(),
        *[next_source(answers(200, b"")) for _ in range(80)],
        answers(200, b"1"),
        asked(81),
        goes_on(),
    ],
}

LATE: dict[str, list[Step]] = {
    "half a head": [
        passes(1.0),
        sends(GET[:9]),
        passes(HEADER - 0.01),
        goes_on(),
        hears_nothing_else(0),
        passes(0.01),
        hears(408, holds=b"The request's head did not arrive in time."),
        logged(
            408,
            reason="The request's head did not arrive in time. --header-timeout",
            seconds=0.0,
        ),
        half_closed(),
        asked(0),
        said(),
    ],
    "half of the second head": [
        asks(),
        answers(200, b"x"),
        passes(IDLE - 0.01),
        sends(GET[:9]),
        passes(HEADER - 0.01),
        goes_on(),
        sends(GET[9:]),
        answers(200, b"y"),
        hears(200, b"y", nth=1),
        sends(GET[:9]),
        passes(HEADER),
        hears(408, nth=2, fields=SAYS_CLOSE),
    ],
    "a head that goes on has no more time": [
        sends(GET[:4]),
        passes(HEADER - 1.0),
        sends(GET[4:9]),
        passes(1.0),
        hears(408),
    ],
    "a head that goes on behind an empty line has no more time": [
        passes(HEADER - 1.0),
        sends(b"\r\n"),
        passes(0.5),
        goes_on(),
        sends(GET[:4]),
        passes(HEADER - 1.0),
        sends(GET[4:9]),
        passes(1.0),
        hears(408),
    ],
    "a head that began before the answer to the request before it": [
        asks(),
        sends(GET[:4]),
        passes(1_000.0),
        answers(200, b"x"),
        passes(HEADER - 0.01),
        sends(GET[4:9]),
        goes_on(),
        passes(0.01),
        hears(408, nth=1, fields=SAYS_CLOSE),
    ],
    "empty lines do not keep a connection": [
        asks(),
        answers(200, b"x"),
        passes(IDLE - 1.0),
        sends(b"\r\n"),
        passes(1.0),
        half_closed(),
    ],
    "an empty line is no head": [
        asks(),
        answers(200, b"x"),
        passes(1.0),
        sends(b"\r\n"),
        passes(HEADER),
        goes_on(),
        passes(IDLE - HEADER - 1.0),
        half_closed(),
    ],
    "an exchange has all the time": [
        asks(),
        passes(1_000.0),
        goes_on(),
        answers(200, b"x"),
        hears(200, b"x"),
    ],
    "idle begins when all is taken": [
        asks(),
        reads(False),
        answers(200, BIG),
        passes(SEND - 0.01),
        logged(200, sent=len(BIG)),
        reads(True),
        hears(200, BIG),
        passes(IDLE - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
    ],
    "a client that takes nothing of an answer": [
        asks(),
        reads(False),
        answers(200, BIG),
        passes(SEND - 0.01),
        goes_on(),
        passes(0.01),
        reads(True),
        hears_a_cut(200),
        is_over("closed"),
        logged(200, sent=len(BIG), count=1),
    ],
    "a client that takes nothing of an answer that closes": [
        asks(fields=CLOSE),
        reads(False),
        answers(200, BIG),
        passes(SEND - 0.01),
        goes_on(),
        passes(0.01),
        reads(True),
        hears_a_cut(200),
        is_over("closed"),
    ],
    "what comes while the last answer is taken is not looked at": [
        asks(fields=CLOSE),
        reads(False),
        answers(200, BIG),
        sends(GET),
        reads(True),
        hears(200, BIG, SAYS_CLOSE),
        is_over(),
        asked(1),
    ],
    "an answer that closes has its own time": [
        asks("POST", size=MOST_DISCARDED + 1, last=False),
        reads(False),
        answers(200, BIG),
        passes(BODY + 0.01),
        reads(True),
        hears(200, BIG, SAYS_CLOSE),
        half_closed(),
    ],
    "an answer that closes is taken to its end": [
        asks(fields=CLOSE),
        reads(False),
        answers(200, BIG),
        passes(SEND - 0.01),
        reads(True),
        hears(200, BIG),
        is_over(),
    ],
    "a body is not late while its answer is taken": [
        asks("POST", size=9, last=False),
        reads(False),
        begins(),
        says(BIG),
        passes(BODY),
        goes_on(),
        reads(True),
        source_sent(len(BIG)),
        passes(0.01),
        hears_a_cut(200, BIG),
    ],
}

BODIES: dict[str, list[Step]] = {
    "the rest of a body is read while its answer is taken, and not looked at": [
        takes(0),
        asks("POST", size=9_000_000, last=False),
        pours(1_000_000),
        is_not_read(),
        reads(False),
        answers(200, BIG),
        is_read(),
        pours(1_000_000),
        is_read(),
        source_heard(b""),
        reads(True),
        hears(200, BIG, SAYS_CLOSE),
        half_closed(),
        pours(1_000_000),
        is_read(),
    ],
    "100 Continue is sent when the app wants the body": [
        takes(0),
        asks("POST", fields=CONTINUE, size=5, last=False),
        hears_interim(),
        passes(BODY * 2),
        wants(9),
        hears_interim(100),
        wants(1),
        hears_interim(100),
        uploads(b"hello", last=True),
        source_heard(b"hello", complete=True),
        answers(200, b"x"),
        hears(200, b"x", SAYS_NOTHING),
        goes_on(),
    ],
    "a body that was asked for has its time": [
        takes(0),
        asks("POST", fields=CONTINUE, size=5, last=False),
        wants(9),
        passes(BODY - 0.01),
        goes_on(),
        passes(0.01),
        hears(408),
    ],
    "no 100 Continue behind the response": [
        asks("POST", fields=CONTINUE, size=5, last=False),
        begins(),
        wants(9),
        finishes(),
        hears(200, b"", SAYS_CLOSE),
        hears_interim(),
    ],
    "no 100 Continue for a body that has come": [
        takes(0),
        asks("POST", fields=CONTINUE, size=5, last=False),
        uploads(b"he"),
        wants(9),
        hears_interim(),
        uploads(b"llo", last=True),
        source_heard(b"hello", complete=True),
        answers(200, b"x"),
        hears(200, b"x", SAYS_NOTHING),
    ],
    "an answer that wants no body": [
        asks("POST", fields=CONTINUE, size=5, last=False),
        answers(413, b"no"),
        hears(413, b"no", SAYS_CLOSE),
        hears_interim(),
        half_closed(),
        passes(LINGER - 0.01),
        half_closed(),
        passes(0.01),
        is_over(),
    ],
    "an answer before the body's end closes, and the rest is not read": [
        asks("POST", body=b"a", size=500_000, last=False),
        answers(403, b"no"),
        hears(403, b"no", SAYS_CLOSE),
        half_closed(),
        uploads(bytes(400_000)),
        half_closed(),
        asked(1),
        source_heard(b"a"),
        leaves(),
        is_over(),
        logged(403, count=1),
    ],
    "an answer before the body's end: a short rest is dropped, and the next request answered": [
        takes(0),
        asks("POST", size=9, last=False),
        uploads(b"1234"),
        fails(503, "No room."),
        hears(503, fields=SAYS_NOTHING),
        logged(503, reason="No room.", count=1, end="worker_died"),
        uploads(b"567"),
        goes_on(),
        asked(1),
        sends(b"89" + GET),
        asked(2),
        answers(200, b"next"),
        hears(200, b"next", SAYS_NOTHING, nth=1),
        source_heard(b"", of=0),
        goes_on(),
    ],
    "the rest of a body is read, however much the answer still has to be taken": [
        asks("POST", size=9, last=False),
        reads(False),
        answers(200, BIG),
        uploads(b"123456789", last=True),
        is_read(),
        reads(True),
        hears(200, BIG, SAYS_NOTHING),
        passes(IDLE - 0.01),
        goes_on(),
        asks(),
        asked(2),
    ],
    "the longest rest that is dropped": [
        asks("POST", size=MOST_DISCARDED, last=False),
        answers(403),
        hears(403, fields=SAYS_NOTHING),
        pours(MOST_DISCARDED),
        is_read(),
        sends(GET),
        asked(2),
    ],
    "drained while a rest is dropped": [
        asks("POST", size=MOST_DISCARDED, last=False),
        answers(403),
        hears(403, fields=SAYS_NOTHING),
        drains(),
        passes(FIRST_BYTE_OF_NEXT - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
    ],
    "a rest that is longer closes": [
        asks("POST", size=MOST_DISCARDED + 1, last=False),
        answers(403),
        hears(403, fields=SAYS_CLOSE),
        half_closed(),
    ],
    "a rest in chunks closes, since nobody knows how long it is": [
        asks("POST", size=None, body=b"he", last=False),
        answers(403),
        hears(403, fields=SAYS_CLOSE),
        half_closed(),
    ],
    "a rest has as long as a body": [
        asks("POST", size=9, last=False),
        answers(403),
        uploads(b"1234"),
        passes(BODY - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
        passes(LINGER),
        is_over(),
        logged(403, count=1),
    ],
    "a client that leaves in its rest": [
        asks("POST", size=9, last=False),
        answers(403),
        hears(403),
        leaves(),
        is_over(),
        logged(403, count=1),
    ],
    "a stop waits for a rest, and for the next request a moment": [
        asks("POST", size=9, last=False),
        answers(403),
        drains(),
        uploads(b"123456789", last=True),
        passes(FIRST_BYTE_OF_NEXT - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
    ],
    "an answer in pieces before the body's end closes": [
        asks("POST", size=9, last=False),
        begins(),
        uploads(b"123456789", last=True),
        says(b"x"),
        finishes(),
        hears(200, b"x", SAYS_CLOSE),
        is_over(),
    ],
    "a chunk that is none": [
        asks("POST", size=None, body=b"he", last=False),
        sends(b"nonsense\r\n"),
        hears(400, fields=SAYS_CLOSE),
        given_up("A chunk's size line is malformed."),
        half_closed(),
        logged(400, reason="A chunk's size line is malformed.", count=1, end="client_malformed"),
    ],
    "a chunk that is none behind the head of the response": [
        asks("POST", size=None, body=b"he", last=False),
        begins(),
        says(b"x"),
        hears_so_far(200, b"x"),
        sends(b"nonsense\r\n"),
        hears_a_cut(200, b"x"),
        logged(200, sent=1, reason="A chunk's size line is malformed.", end="client_malformed"),
    ],
    "the next request behind a body": [
        sends(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" + GET),
        source_heard(b"ab", complete=True),
        asked(1),
        answers(200, b"1"),
        asked(2),
        answers(200, b"2"),
        hears(200, b"2", nth=1),
    ],
    "a body that is not wanted is not read": [
        takes(0),
        asks("POST", size=5_000_000, last=False),
        pours(5_000_000),
        is_not_read(),
        goes_on(),
        wants(100_000),
        source_heard(bytes(100_000), complete=False),
        wants(4_900_000),
        pours(0),
        source_heard(bytes(5_000_000), complete=True),
        answers(200, b"x"),
        hears(200, b"x", SAYS_NOTHING),
        goes_on(),
    ],
    "nor is the first, of a body that has waited for its turn": [
        sends(GET),
        sends(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n"),
        pours(200_000),
        answers(200, b"1"),
        asked(2),
        pieces_at_most(MAX_BODY),
        source_heard(bytes(200_000), complete=True),
    ],
    "no piece is larger than a message": [
        asks("POST", body=bytes(300_000), size=300_000),
        pieces_at_most(MAX_BODY),
        source_heard(bytes(300_000), complete=True),
    ],
}

REFUSED: dict[str, list[Step]] = {
    "what is no HTTP": [
        sends(b"nonsense\r\n\r\n"),
        hears(400, fields=SAYS_CLOSE),
        half_closed(),
        logged(400, reason=NONSENSE, sent=None, seconds=0.0, end="client_malformed"),
        said(),
        asked(0),
        sends(b"and more of it"),
        half_closed(),
        passes(LINGER - 0.01),
        half_closed(),
        passes(0.01),
        is_over(),
    ],
    "what is no HTTP, from a client that leaves then": [
        sends(b"nonsense\r\n\r\n"),
        hears(400),
        shuts(),
        is_over(),
        logged(400, reason=NONSENSE, count=1, end="client_malformed"),
    ],
    "TLS": [
        sends(bytes.fromhex("160301020001000100")),
        hears(400),
        said("info: TLS came to a plain HTTP port, from 192.0.2.7"),
    ],
}

UPGRADES: dict[str, list[Step]] = {
    "the app accepts": [
        asks(fields=UPGRADE),
        accepts(),
        hears(101, fields={b"upgrade": b"websocket", b"connection": b"upgrade"}),
        goes_on(),
        not_logged(),
        sends(b"\x88\x80\0\0\0\0"),  # a close frame, masked
        hears_raw(b"\x88\x00"),
        is_over(),
        logged(101, end="client_closed_websocket"),
    ],
    "the app accepts what can't be accepted": [
        asks(fields=UPGRADE),
        accepts("a b"),
        hears(500),
        given_up("the response was refused"),
        said("error: the app's response to GET /: was refused: the subprotocol 'a b'"),
    ],
    "the app refuses": [
        asks(fields=UPGRADE),
        closes(),
        hears(403, holds=b"The app refused this WebSocket.", fields=SAYS_CLOSE),
        logged(403, reason="The app refused this WebSocket.", end="app_refused_websocket"),
        is_over(),
    ],
    "the app answers": [
        asks(fields=UPGRADE),
        answers(404, b"x"),
        hears(404, b"x", SAYS_CLOSE),
        is_over(),
    ],
    "nothing that comes before the answer is read": [
        asks(fields=UPGRADE),
        sends(b"\x88\x80\0\0\0\0"),
        wants(5),
        is_not_read(),
        answers(404, b"x"),
        hears(404, b"x", SAYS_CLOSE),
        asked(1),
    ],
    "a client that leaves before the answer": [
        asks(fields=UPGRADE),
        leaves(),
        given_up("the client went away"),
        logged(499, reason="The client went away.", end="client_left_app"),
    ],
    "accepted while the service drains": [
        asks(fields=UPGRADE),
        drains(),
        accepts(),
        hears(101),
        passes(0.0),
        hears_raw(b"\x88\x11\x03\xf4service restart"),
    ],
}


GONE: dict[str, list[Step]] = {
    "when the answer is written": [
        asks(),
        resets_unseen(),
        answers(200, b"x"),
        given_up("the client went away"),
        logged(200, sent=1, count=1, end="client_left_response"),
        is_over(),
    ],
    "when the head is written": [
        asks(),
        resets_unseen(),
        begins(),
        given_up("the client went away"),
        logged(200, sent=0, count=1, end="client_left_response"),
        is_over(),
    ],
    "when the end is written": [
        next_source(begins(200, ((b"content-length", b"2"),)), says(b"ab")),
        asks(),
        hears(200, b"ab"),
        resets_unseen(),
        finishes(),
        logged(200, sent=2, count=1),
        leaves(),
        is_over(),
    ],
    "when the last chunk is written": [
        asks(),
        begins(),
        says(b"ab"),
        resets_unseen(),
        finishes(),
        given_up("the client went away"),
        logged(200, sent=2, count=1, end="client_left_response"),
        is_over(),
    ],
    "when 100 Continue is written": [
        takes(0),
        asks("POST", fields=CONTINUE, size=5, last=False),
        resets_unseen(),
        wants(5),
        given_up("the client went away"),
        logged(499, reason="The client went away.", count=1, end="client_left_upload"),
        is_over(),
    ],
    "when its WebSocket is accepted": [
        asks(fields=UPGRADE),
        resets_unseen(),
        accepts(),
        given_up("the client went away"),
        logged(101, count=1, end="client_left_response"),
        is_over(),
    ],
    "when kept bytes are written": [
        asks(),
        reads(False),
        begins(),
        says(BIG),
        resets(),
        given_up("the client went away"),
        logged(200, sent=len(BIG), count=1, end="client_left_response"),
        is_over(),
    ],
    "while it lingers": [
        sends(b"nonsense\r\n\r\n"),
        hears(400),
        resets(),
        is_over(),
        logged(400, reason=NONSENSE, count=1),
    ],
    "a fault of ours ends one connection": [
        next_source(breaks()),
        asks(),
        said("error: a connection failed"),
        given_up("the client went away"),
        logged(499, reason="The client went away.", count=1, end="gateway_failed"),
        is_over(),
    ],
    "a fault of ours when credit is given ends one connection": [
        next_source(begins(), breaks_when_credited(), says(b"x")),
        asks(),
        said("error: a connection failed"),
        logged(200, sent=1, count=1, end="gateway_failed"),
        hears_a_cut(200),
        is_over(),
    ],
    "it is there when the service drains already": [
        drains(),
        connects(),
        passes(FIRST_BYTE_OF_NEXT - 0.01),
        goes_on(),
        passes(0.01),
        half_closed(),
    ],
}

TRUST: dict[str, list[Step]] = {
    "forwarded fields of a client": [
        asks(fields=((b"X-Forwarded-For", b"203.0.113.9"),)),
        trust_was_asked(1),
        asked(1),
    ],
    "no forwarded fields": [asks(), trust_was_asked(0)],
    "forwarded fields of a client that nobody knows": [
        connects(is_known=False),
        asks(fields=((b"X-Forwarded-For", b"203.0.113.9"),)),
        trust_was_asked(0),
    ],
    "no fields of a client that nobody knows": [
        connects(is_known=False),
        asks(),
        trust_was_asked(0),
    ],
    "an origin that may open WebSockets": [
        websockets_from(b"https://a.example"),
        asks(fields=UPGRADE),
        accepts(),
        hears(101),
    ],
    "an origin that may not": [
        websockets_from(b"https://b.example"),
        asks(fields=UPGRADE),
        hears(403, holds=b"WebSockets from this origin are not allowed.", fields=SAYS_CLOSE),
        asked(0),
        logged(
            403, reason="WebSockets from this origin are not allowed.", end="client_foreign_origin"
        ),
        half_closed(),
    ],
    "an origin that asks for a page": [
        websockets_from(b"https://b.example"),
        asks(fields=((b"Origin", b"https://a.example"),)),
        asked(1),
    ],
    "a handshake without its key": [
        asks(fields=UPGRADE[:3]),
        hears(400, fields=SAYS_CLOSE),
        asked(0),
        half_closed(),
    ],
    "a body that is announced too large": [
        asks("POST", size=2_000_000_000, last=False),
        hears(413, fields=SAYS_CLOSE),
        asked(0),
        half_closed(),
    ],
}

ROWS = KEEP_ALIVE | PIPELINED | LATE | BODIES | REFUSED | UPGRADES | GONE | TRUST


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage(Http1Framing())
    yield one
    one.close()


@pytest.mark.parametrize("row", ROWS)
def test_row(stage: Stage, row: str) -> None:
    play(stage, ROWS[row])


def test_a_stop_waits_for_idle_connections_for_a_second_at_most() -> None:
    assert 0.6 < FIRST_BYTE_OF_NEXT <= 1.0 - IDLE_LINGER
    assert IDLE_LINGER < LINGER


def test_no_keep_alive() -> None:
    """`--timeout-keep-alive 0`: every response is its connection's last."""
    with closing(Stage(Http1Framing(), timeout_keep_alive=0.0)) as stage:
        play(stage, [asks(), answers(200, b"x"), hears(200, b"x", SAYS_CLOSE), is_over()])


@pytest.mark.parametrize("cut", [False, True])
def test_so_many_requests_for_a_connection(cut: bool) -> None:
    """The last response says that it is the last, whole or in pieces, pipelined or not."""
    ask = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    stays: dict[bytes, bytes | None] = {b"connection": None}
    with closing(Stage(Http1Framing(), cut=cut, limit_requests_per_connection=2)) as stage:
        row = [sends(2 * ask), answers(200, b"1"), hears(200, b"1", stays)]
        row += [answers(200, b"2"), hears(200, b"2", SAYS_CLOSE)]
        play(stage, [*row, is_over(), asked(2)])
    with closing(Stage(Http1Framing(), cut=cut, limit_requests_per_connection=1)) as stage:
        row = [sends(ask), begins(), says(b"1"), finishes(), hears(200, b"1", SAYS_CLOSE)]
        play(stage, [*row, is_over()])


def test_what_is_refused_before_it_is_http() -> None:
    """A layer below HTTP has read what this port does not take: it is answered all the same."""
    with closing(Stage(Http1Framing())) as stage:
        error = RequestError(400, "This port speaks TLS.")
        transport = ClientSocket(stage.ours, stage.state.transports)
        HttpVersions(stage.state).refuse(transport, stage.endpoint(), b"GET /x HTTP/1.1\r\n", error)
        row = [
            hears(400, holds=b"This port speaks TLS.", fields=SAYS_CLOSE),
            logged(400, reason="This port speaks TLS."),
            half_closed(),
            passes(LINGER),
            is_over(),
        ]
        play(stage, row, opened=True)
        (exchange,) = stage.ended
        assert (exchange.request.method, exchange.request.target) == ("GET", b"/x")


def test_nothing_of_a_connection_waits_for_the_collector() -> None:
    """A gateway freezes what it has and collects seldom, so a cycle in each connection, or in each
    request, would be memory that is held for long."""
    rows = {**KEEP_ALIVE, **LATE, **UPGRADES, **GONE}
    stages: list[Stage] = []  # what they share lives on
    gc.collect()
    gc.freeze()  # what was there before is not looked at each time
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for row in (
            "an answer that was to close",
            "cut while it lingers",
            "half a head",
            "a client that takes nothing of an answer",
            "the app accepts",
            "the app refuses",
            "when the end is written",
        ):
            with closing(Stage(Http1Framing())) as stage:
                stages.append(stage)
                play(stage, rows[row])
            stage.exchanges.clear()
            stage.ended.clear()
            gc.collect()
            left = {type(one) for one in gc.garbage if type(one).__module__.startswith("propylon.")}
            assert not left, row
    finally:
        gc.set_debug(0)
        gc.unfreeze()
        gc.garbage.clear()
