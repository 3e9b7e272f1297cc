"""Turns the lines of a channel into messages and back.

One table has each message's name on the wire, and how it is kept while it waits. Fields are read by
their types in the dataclasses. The rules for wrong or unknown data are in the package's docstring;
reading never raises, whatever a line holds.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

from .messages import (
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
    Name,
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

LONGEST_LINE: Final = 4 * 1024 * 1024
"""Bytes of a line at most. A report carries at most a traceback, an order a worker's settings."""
LARGEST_NUMBER: Final = 1 << 63
"""The limit of numbers, beyond all that are meant. JSON has no limit, but the readers of status
do."""


class Wire(NamedTuple):
    """The form of a message on the wire."""

    kind: str
    form: Literal["event", "do", "words"]
    """`event` and `do`: JSON with the kind under this key. `words`: the kind as a word, with the
    fields behind it."""
    kept: Literal["latest", "dropped"] = "latest"
    """What happens to a message that cannot go out at once: it waits until a later one of its kind
    takes its place, or it is dropped, as a sign of life is."""
    apart: str = ""
    """The field that tells messages of one kind apart, so that each waits; "" if only one waits."""


WIRE: Final[Mapping[type, Wire]] = {
    Listening: Wire("listening", "event"),
    GatewayAlive: Wire("alive", "event", "dropped"),
    PoolWorkers: Wire("workers", "event", apart="pool"),
    GatewayDraining: Wire("draining", "event"),
    StopWaits: Wire("waiting", "event"),
    GatewayMetrics: Wire("metrics", "event"),
    GatewayFailed: Wire("failed", "event"),
    LogsReopened: Wire("reopened", "event"),
    ProblemsSeen: Wire("problems", "event"),
    WorkerReady: Wire("ready", "event"),
    WorkerFailed: Wire("not_ready", "event"),
    Vitals: Wire("vitals", "event", "dropped"),
    RecycleWish: Wire("recycle", "event"),
    AppLoaded: Wire("loaded", "event"),
    WorkerForked: Wire("forked", "event", apart="child"),
    ForkFailed: Wire("fork_failed", "event", apart="child"),
    ForkExited: Wire("exited", "event", apart="child"),
    ReopenLogs: Wire("reopen", "words"),
    ConfirmLogs: Wire("confirm", "words"),
    ExitNow: Wire("now", "words"),
    WorkerEnded: Wire("ended", "words", apart="child"),
    CollectMetrics: Wire("metrics", "words"),
    ForkWorker: Wire("fork", "do", apart="child"),
    SignalFork: Wire("signal", "do", apart="child"),
}
_KINDS: Final[Mapping[tuple[str, str], type]] = {
    (wire.form, wire.kind): message for message, wire in WIRE.items()
}

T = TypeVar("T")


def line_of(message: Report | Order) -> bytes:
    """Returns a message as a line, with the line feed."""
    wire = WIRE[type(message)]
    values = _values(message)
    if wire.form == "words":
        return " ".join([wire.kind, *map(str, values.values())]).encode() + b"\n"
    return _ENCODE({wire.form: wire.kind, **values}).encode() + b"\n"


@cache
def _names(message: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(message))


def _values(message: object) -> dict[str, Any]:
    """Returns the fields of a message, or of an object within one, as they are. A snapshot has
    thousands of numbers, and to copy them, as `asdict` does, would take ten times as long as all
    the rest."""
    return {name: getattr(message, name) for name in _names(type(message))}


_ENCODE: Final = json.JSONEncoder(default=_values, check_circular=False).encode


def key_of(message: Report | Order) -> tuple[str, object]:
    """Returns a key that is equal for messages of which only the latest counts."""
    wire = WIRE[type(message)]
    return wire.kind, getattr(message, wire.apart) if wire.apart else None


def read_report(line: bytes) -> Report | NotUnderstood | None:
    """Reads a line without its line feed. Returns None if it is no report at all."""
    said = _object(line)
    if said is None or "event" not in said:
        return None
    return cast("Report | None", _message("event", said)) or NotUnderstood(said)


def read_order(line: bytes) -> Order | None:
    """Reads a line without its line feed. Returns None if this version knows no such order."""
    if line.startswith(b"{"):
        said = _object(line)
        return cast("Order | None", _message("do", said)) if said is not None else None
    word, *numbers = line.decode("ascii", "replace").split(" ")
    message = _KINDS.get(("words", word))
    if message is None or len(numbers) != len(fields(message)):
        return None
    if not all(number.isdigit() and len(number) < 20 for number in numbers):
        return None
    return cast("Order", message(*map(int, numbers)))


def _object(line: bytes) -> dict[str, Any] | None:
    if len(line) > LONGEST_LINE:
        return None
    try:
        said: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _message(form: str, said: Mapping[str, Any]) -> object | None:
    kind: object = said.get(form)
    message = _KINDS.get((form, kind)) if isinstance(kind, str) else None
    return None if message is None else cast("object", _read(message, said))


# -- fields ----------------------------------------------------------------------------------


class _Unfit(Exception):
    """A value has not the type of its field."""


def _read(message: type[T], said: Mapping[str, Any]) -> T | None:
    """Makes a message of a line's fields. Returns None if one that it needs is missing."""
    found: dict[str, Any] = {}
    for name, read, needed in _fields(message):
        try:
            found[name] = read(said[name])
        except (KeyError, _Unfit):
            if needed:
                return None
    return message(**found)


@cache
def _fields(message: type) -> list[tuple[str, Callable[[Any], object], bool]]:
    """Returns each field's name, the reader of its value, and whether the message needs it."""
    return [
        (
            each.name,
            _READERS[each.type],
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(message)
    ]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _Unfit


def _whole(value: object) -> int:
    if type(value) is int and abs(value) < LARGEST_NUMBER:
        return value
    raise _Unfit


def _number(value: object) -> float:
    """Reads a number. NaN does not count as one, because no comparison with it holds."""
    if type(value) in (int, float) and abs(cast("float", value)) < LARGEST_NUMBER:
        return cast("float", value)
    raise _Unfit


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _Unfit


def _name(value: object) -> Name:
    return value if value is None or isinstance(value, str) else _whole(value)


def _map(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise _Unfit


def _list_of(kind: type[T]) -> Callable[[object], tuple[T, ...]]:
    """Reads a list of objects; other elements are left out."""

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _Unfit
        items = cast("list[object]", value)
        objects = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
        found = [_read(kind, item) for item in objects]
        return tuple(item for item in found if item is not None)

    return read


def _map_of(read: Callable[[object], T]) -> Callable[[object], dict[str, T]]:
    return lambda value: {name: read(item) for name, item in _map(value).items()}


_READERS: Final[Mapping[object, Callable[[Any], object]]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    Name: _name,
    Mapping[str, Any]: _map,
    tuple[LinkedWorker, ...]: _list_of(LinkedWorker),
    tuple[FailedRequest, ...]: _list_of(FailedRequest),
    tuple[Problem, ...]: _list_of(Problem),
    Mapping[str, tuple[WaitingCalls, ...]]: _map_of(_list_of(WaitingCalls)),
}
"""A field's type -> the reader of its values."""
