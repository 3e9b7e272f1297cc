"""Messages between a supervisor and its children, as lines and back."""

import dataclasses
import json

import pytest
from propylon.protocol.supervision import codec
from propylon.protocol.supervision.codec import (
    LONGEST_LINE,
    WIRE,
    key_of,
    line_of,
    read_order,
    read_report,
)
from propylon.protocol.supervision.messages import (
    AppLoaded,
    CollectMetrics,
    ConfirmLogs,
    ExitNow,
    FailedRequest,
    ForkExited,
    ForkFailed,
    ForkWorker,
    GatewayAlive,
    GatewayDraining,
    GatewayFailed,
    GatewayMetrics,
    LinkedWorker,
    Listening,
    LogsReopened,
    NotUnderstood,
    Order,
    PoolWorkers,
    Problem,
    ProblemsSeen,
    RecycleWish,
    ReopenLogs,
    Report,
    SignalFork,
    StopWaits,
    Vitals,
    WaitingCalls,
    WorkerEnded,
    WorkerFailed,
    WorkerForked,
    WorkerReady,
)

LINES: list[tuple[bytes, Report | Order]] = [
    # As the version before this module wrote and read them: an upgraded supervisor listens to
    # children of that version, and speaks to them.
    (b'{"event": "listening"}', Listening()),
    (b'{"event": "alive"}', GatewayAlive()),
    (b'{"event": "workers", "pool": "web", "workers": []}', PoolWorkers("web", ())),
    (b'{"event": "draining"}', GatewayDraining()),
    (
        b'{"event": "waiting", "connections": 9, "calls": {"web": [{"worker": 3, "requests": 1, '
        b'"responses": 2, "websockets": 1}], "idle": []}}',
        StopWaits(9, {"web": (WaitingCalls(3, 1, 2, 1),), "idle": ()}),
    ),
    (b'{"event": "failed", "error": "the disk is gone"}', GatewayFailed("the disk is gone")),
    (
        b'{"event": "ready", "pid": 17, "app": "main:app", "interface": "asgi", "loop": "uvloop"}',
        WorkerReady(17, "main:app", "asgi", "uvloop"),
    ),
    (b'{"event": "forked", "child": 5, "pid": 17, "pidfd": true}', WorkerForked(5, 17, True)),
    (b'{"event": "fork_failed", "child": 5, "error": "no memory"}', ForkFailed(5, "no memory")),
    (b'{"event": "exited", "child": 5, "code": -9}', ForkExited(5, -9)),
    (
        b'{"event": "loaded", "pid": 17, "app": "main:app", "interface": "wsgi"}',
        AppLoaded(17, "main:app", "wsgi"),
    ),
    (b"reopen", ReopenLogs()),
    (b"now", ExitNow()),
    (b"ended 4398046511105", WorkerEnded(4398046511105)),
    (b'{"do": "signal", "child": 5, "number": 15}', SignalFork(5, 15)),
]
ONLY_READ: list[tuple[bytes, Report]] = [
    # Written as well by the version before, with its fields in another order or left out.
    (
        b'{"event": "workers", "pool": "web", "workers": [{"id": 5, "worker": 1, "pid": 17, '
        b'"generation": 2, "ready": true, "running": 3, "late": false, "answered": 40, '
        b'"errors": 1}, {"id": null, "worker": "a\\u00e4", "pid": null, "generation": null, '
        b'"ready": false, "running": 0, "late": true, "answered": 0, "errors": 0}]}',
        PoolWorkers(
            "web",
            (
                LinkedWorker(5, 1, 17, 2, True, 3, False, 40, 1),
                LinkedWorker(worker="aä", late=True),
            ),
        ),
    ),
    (b'{"event": "recycle", "why": "has served 5"}', RecycleWish("has served 5")),
    (
        b'{"event": "vitals", "rss": 50000000, "calls": 2, "queued": 1, "lag": 0.25, '
        b'"oldest_call": 1.5, "requests": 12, "stuck": 1}',
        Vitals(50_000_000, 2, 1, 0.25, 1.5, 12, 1),
    ),
    (
        b'{"event": "not_ready", "step": "import", "error": "no module x", "detail": "Traceback"}',
        WorkerFailed("no module x", "import", "Traceback"),
    ),
    (
        b'{"event": "waiting", "connections": 1, "calls": {"web": [{"worker": null, '
        b'"requests": 4}]}}',
        StopWaits(1, {"web": (WaitingCalls(None, 4),)}),
    ),
]
NEW: list[Report | Order] = [
    Vitals(50_000_000, 2, 1, 0.25, 1.5, 12, 1, cpu=2.5),
    PoolWorkers("web", (LinkedWorker(5, 1, 17, 2, True, leaving=True), LinkedWorker())),
    GatewayMetrics(7, {"propylon_x_total": [[["default", "/"], 3]]}),
    GatewayMetrics(7, {}, (FailedRequest("7f", 1.5, "GET", "/", 502, "worker_died"),)),
    CollectMetrics(7),
    RecycleWish("has served 5", "max_requests"),
    ConfirmLogs(7),
    LogsReopened(7, "no room"),
    ProblemsSeen((Problem("log", "/var/log", "it is full", "free space", logged=True), Problem())),
    WorkerFailed("no module x", "import", "Traceback\n  \ud800"),
    ForkWorker(5, {"app": "main:app", "threads": 2}),
]


def read(line: bytes, message: Report | Order) -> object:
    return (read_report if WIRE[type(message)].form == "event" else read_order)(line)


@pytest.mark.parametrize(("line", "message"), LINES, ids=lambda part: type(part).__name__)
def test_lines_of_the_version_before_are_written_and_read(
    line: bytes, message: Report | Order
) -> None:
    assert read(line, message) == message
    assert line_of(message) == line + b"\n"


@pytest.mark.parametrize(("line", "message"), ONLY_READ, ids=lambda part: type(part).__name__)
def test_lines_of_the_version_before_that_are_written_otherwise_now(
    line: bytes, message: Report
) -> None:
    assert read_report(line) == message


@pytest.mark.parametrize("message", NEW, ids=lambda one: type(one).__name__)
def test_what_is_written_is_read(message: Report | Order) -> None:
    line = line_of(message)
    assert line.count(b"\n") == 1
    assert read(line.removesuffix(b"\n"), message) == message


def test_every_message_is_in_the_tables() -> None:
    tried = {type(message) for _, message in LINES} | {type(message) for message in NEW}
    assert tried == WIRE.keys()
    assert len({(wire.form, wire.kind) for wire in WIRE.values()}) == len(WIRE)
    for message, wire in WIRE.items():
        assert not wire.apart or wire.apart in {each.name for each in dataclasses.fields(message)}


NO_REPORTS = [
    b"",
    b"now",
    b"[]",
    b"5",
    b"null",
    b'"event"',
    b'{"event": "ready"',
    b'{"kind": "ready"}',
    b"\xff\xfe\x00",
    b'{"event": "' + b"\xff" * 3 + b'"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"event": "vitals", "rss": ' + b"9" * 5_000 + b"}",  # more digits than int() takes
    b'{"event": "recycle", "why": "' + b"x" * LONGEST_LINE + b'"}',
]


@pytest.mark.parametrize("line", NO_REPORTS, ids=range(len(NO_REPORTS)))
def test_what_is_no_report_is_nothing(line: bytes) -> None:
    assert read_report(line) is None


NOT_UNDERSTOOD = [
    b'{"event": "sings"}',
    b'{"event": null}',
    b'{"event": ["ready"]}',
    b'{"event": {"ready": 1}}',
    b'{"event": "recycle"}',
    b'{"event": "recycle", "why": 5}',
    b'{"event": "not_ready", "error": null}',
    b'{"event": "workers", "pool": "web"}',
    b'{"event": "workers", "pool": 1, "workers": []}',
    b'{"event": "workers", "pool": "web", "workers": {}}',
    b'{"event": "forked", "child": true, "pid": 17}',
    b'{"event": "exited", "child": 5, "code": 1e3}',
    b'{"event": "exited", "child": 5, "code": 9223372036854775808}',
    b'{"event": "reopen"}',  # an order
]


@pytest.mark.parametrize("line", NOT_UNDERSTOOD, ids=lambda line: line[10:40].decode())
def test_a_report_that_lacks_what_it_needs(line: bytes) -> None:
    assert read_report(line) == NotUnderstood(json.loads(line))


TOLERATED: list[tuple[bytes, Report]] = [
    # What may be absent and is of a wrong type counts as absent; what is unknown is ignored.
    (b'{"event": "alive", "since": [5]}', GatewayAlive()),
    (b'{"event": "vitals"}', Vitals()),
    (b'{"event": "vitals", "rss": "much", "calls": 2.5, "stuck": true, "lag": 1}', Vitals(lag=1)),
    (
        b'{"event": "vitals", "lag": NaN, "oldest_call": Infinity, "requests": 1}',
        Vitals(requests=1),
    ),
    (b'{"event": "vitals", "rss": 1' + b"0" * 30 + b"}", Vitals()),
    (b'{"event": "ready", "pid": null, "app": 5, "mood": "good"}', WorkerReady()),
    (b'{"event": "not_ready", "error": "no", "detail": null}', WorkerFailed("no")),
    (b'{"event": "waiting", "connections": null, "calls": 5}', StopWaits()),
    (b'{"event": "waiting", "calls": {"web": 5}}', StopWaits()),
    (
        b'{"event": "workers", "pool": "w", "workers": [5, null, {}, {"id": "x", "ready": 1}]}',
        PoolWorkers("w", (LinkedWorker(), LinkedWorker("x"))),
    ),
]


@pytest.mark.parametrize(("line", "message"), TOLERATED)
def test_what_is_unknown_or_odd_does_no_harm(line: bytes, message: Report) -> None:
    assert read_report(line) == message


NO_ORDERS = [
    b"",
    b"no",
    b"nowhere",
    b"now ",
    b"now 5",
    b" now",
    b"ended",
    b"ended ",
    b"ended x",
    b"ended -5",
    b"ended 5 6",
    b"ended " + "²".encode(),
    b"ended " + b"9" * 5_000,
    b"listening",
    b"\xffnow",
    b"{",
    b'{"do": "sing"}',
    b'{"do": ["fork"]}',
    b'{"do": "fork", "child": 5}',
    b'{"do": "now"}',
    b'{"event": "listening"}',
]


@pytest.mark.parametrize("line", NO_ORDERS, ids=range(len(NO_ORDERS)))
def test_what_is_no_order_is_nothing(line: bytes) -> None:
    assert read_order(line) is None


def test_which_messages_replace_each_other_while_they_wait() -> None:
    assert key_of(PoolWorkers("a", ())) == key_of(PoolWorkers("a", (LinkedWorker(),)))
    assert key_of(PoolWorkers("a", ())) != key_of(PoolWorkers("b", ()))
    assert key_of(WorkerEnded(1)) != key_of(WorkerEnded(2))
    assert key_of(ForkExited(1, 0)) != key_of(ForkFailed(1, "no"))
    assert {kind for kind, wire in WIRE.items() if wire.kept == "dropped"} == {GatewayAlive, Vitals}


def test_every_field_can_be_read() -> None:
    """A new field of a type that has no reader is found here, and not by a worker's report."""
    for message in WIRE:
        codec._fields(message)
