"""What a worker and a supervisor say about the app's own metrics: the fourth protocol of the house.

The app counts in the registry of its `prometheus_client`, one in each worker. A supervisor that is
scraped needs them all, from workers whose event loop may hang, and perhaps from another container.
So a thread of the worker's own dials a Unix socket in its pool's directory and answers what it is
asked there. Pure: this file has the frames; who connects, waits and merges is told elsewhere
(`worker.host.app_metrics`, `gateway.supervisor.app_metrics`).

A frame is four bytes of length (big-endian, of what follows), one letter, and JSON:

    H  worker      HELLO     {"version", "pool", "worker", "id", "pid", "generation", "process"}:
                             who it is. `process` is a random text that no other process has.
    Q  supervisor  ASK       a number.
    F  worker      FAMILIES  [[name, kind, help, mode, [[suffix, label, value, label, value ...],
                             ...]], ...]: which series it has. It is sent before an answer whose
                             series are others than those of the answer before.
    A  worker      ANSWER    [number, values, left_out]: the number that it was asked with, or 0 if
                             it was not asked because it is about to end; the values of all series
                             in the order of FAMILIES; and reason -> how many families of the app it
                             has left out.

Most answers have the same series as the one before, and then only numbers travel. The JSON has NaN
and Infinity, as Python's own writes them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

VERSION: Final = 1
SOCKET_SUFFIX: Final = ".metrics"
HELLO_FRAME: Final = b"H"
ASK_FRAME: Final = b"Q"
FAMILIES_FRAME: Final = b"F"
ANSWER_FRAME: Final = b"A"

MOST_SAMPLES: Final = 10_000
"""Samples of one worker at most. A family that does not fit is left out, and the rest is served."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a FAMILIES frame at most."""
LONGEST_FRAME: Final = MOST_BYTES + 65_536
"""Bytes of any frame at most, its letter included."""

SUFFIXES: Final[Mapping[str, frozenset[str]]] = {
    "counter": frozenset({"_total"}),
    "gauge": frozenset({""}),
    "histogram": frozenset({"_bucket", "_sum", "_count"}),
    "summary": frozenset({"_sum", "_count"}),
    "info": frozenset({"_info"}),
    "stateset": frozenset({""}),
    "unknown": frozenset({""}),
}
"""Kind of a family -> the suffixes of its samples. Others are not sent: the time at which a series
was made (`_created`) and a summary's quantiles have no sum over several processes."""


class FrameError(Exception):
    """The peer has sent what is no frame of this protocol. The message is a sentence."""


@dataclass(slots=True)
class Introduction:
    """Who a worker is, as it says itself."""

    pool: str = ""
    worker: int = 0
    """Its number in the pool."""
    id: int = 0
    """The supervisor's number for the process; 0 without a supervisor."""
    pid: int = 0
    generation: int = 0
    process: str = ""
    """A random text that tells this process from every other."""


def frame(kind: bytes, payload: bytes) -> bytes:
    return (len(payload) + 1).to_bytes(4, "big") + kind + payload


def hello(who: Introduction) -> bytes:
    return frame(HELLO_FRAME, json.dumps({"version": VERSION, **asdict(who)}).encode())


def ask(number: int) -> bytes:
    return frame(ASK_FRAME, str(number).encode())


def answer(number: int, values: Sequence[float], left_out: Mapping[str, int]) -> bytes:
    return frame(ANSWER_FRAME, json.dumps([number, values, left_out]).encode())


class Frames:
    """Cuts received bytes into frames."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields the letter and the JSON of each frame that is complete. Raises FrameError."""
        self._begun += data
        while len(self._begun) >= 4:
            size = int.from_bytes(self._begun[:4], "big")
            if not 1 <= size <= LONGEST_FRAME:
                raise FrameError(f"a frame of {size} bytes")
            if len(self._begun) < 4 + size:
                return
            kind, payload = bytes(self._begun[4:5]), bytes(self._begun[5 : 4 + size])
            del self._begun[: 4 + size]
            yield kind, payload


def read_json(payload: bytes) -> object:
    """Reads a frame's JSON. Raises FrameError."""
    try:
        return cast("object", json.loads(payload))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame that is no JSON: {type(error).__name__}") from None


def read_ask(payload: bytes) -> int:
    """The number of an ASK. Raises FrameError."""
    if not payload.isdigit() or len(payload) > 18:
        raise FrameError("an ASK without a number")
    return int(payload)


def read_hello(payload: bytes) -> Introduction:
    """Reads a HELLO. A field that is missing or of a wrong type has its default; without a text
    `process` the worker is unknown. Raises FrameError."""
    said = read_json(payload)
    told = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    process, pool = told.get("process"), told.get("pool")
    if not isinstance(process, str) or not 8 <= len(process) <= 64 or not isinstance(pool, str):
        raise FrameError("a HELLO that says not who it is")
    numbers = {name: _number(told.get(name)) for name in ("worker", "id", "pid", "generation")}
    return Introduction(pool=pool, process=process, **numbers)


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 63 else 0
