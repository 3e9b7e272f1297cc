"""Puts an engine of HTTP/2 before a client, and reads what both say: the room of every exam.

The client's bytes are those of `tests.http2_frames`. They reach the engine as they do in the
gateway, as whole frames (`frame_reader`), and may be cut anywhere before.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import pytest
from hpack import Decoder
from propylon.gateway.http2.builtin_engine import BuiltinEngine
from propylon.gateway.http2.engine import (
    ConnectionFailed,
    Engine,
    ErrorCode,
    Event,
    StreamFailed,
)
from propylon.gateway.http2.flood_guard import FloodGuard
from propylon.gateway.http2.frame_reader import FrameFault, FrameReader
from propylon.gateway.http2.frames import LEAST_FIELDS, HeadBounds
from propylon.gateway.http2.h2_engine import H2Engine
from propylon.gateway.settings import Http2Settings

from ...http2_frames import PREFACE, SETTINGS_ACK, End, Heard, Kind, heard_at, settings

MOST_HEAD = 65_536
Make = Callable[[Http2Settings, HeadBounds], Engine]


def _ngh2(given: Http2Settings, bounds: HeadBounds) -> Engine:
    from .ngh2_engine import Ngh2Engine

    return Ngh2Engine(given, bounds)


HAVE_NGH2 = find_spec("ngh2") is not None
NEEDS_NGH2 = pytest.mark.skipif(not HAVE_NGH2, reason="ngh2 is not installed")
ENGINES: dict[str, Make] = {"builtin": BuiltinEngine, "h2": H2Engine, "ngh2": _ngh2}
"""ngh2 is none of the gateway's."""
EACH_ENGINE = pytest.mark.parametrize(
    "name", ["builtin", "h2", pytest.param("ngh2", marks=NEEDS_NGH2)]
)
OF_THE_GATEWAY = pytest.mark.parametrize("name", ["builtin", "h2"])
OURS_AND_SLOW_H2 = ["builtin", pytest.param("h2", marks=pytest.mark.slow)]
"""The gateway's engines, for tests that take their time: the everyday ones play over the default
alone."""


class _NoGuard(FloodGuard):
    """Lets everything pass, so that it is the engine that answers."""

    def frame(self, kind: int, length: int, now: float) -> None: ...

    def begin_block(self, length: int) -> None: ...

    def continue_block(self, length: int) -> None: ...


class Examined:
    """An engine with a client, whose SETTINGS and whose ACK have come."""

    def __init__(self, name: str, *, begun: bool = True, **given: int | bool) -> None:
        told = Http2Settings(**given)  # type: ignore[arg-type]
        self.engine = ENGINES[name](told, HeadBounds(MOST_HEAD, LEAST_FIELDS))
        self._reader = FrameReader(told.max_frame_size, _NoGuard(told, MOST_HEAD, 0.0))
        self._refused = False
        """Whether the reader of frames has found a fault."""
        self._decoder = Decoder()
        self.events: list[Event] = []
        """All that have come."""
        self.send(PREFACE)
        if begun:
            self.send(settings() + SETTINGS_ACK)
            self.greeting = self.frames()
            self.events.clear()

    def send(self, data: bytes) -> list[Event]:
        """The client's bytes. Returns what they gave."""
        heard: list[Event] = []
        if self._refused:
            return heard
        self._reader.receive(data)
        try:
            while share := self._reader.share(0.0):
                heard += self.engine.receive(share)
        except FrameFault as fault:
            self._refused = True
            heard.append(ConnectionFailed(fault.code, fault.sentence))
        self.events += heard
        return heard

    def frames(self) -> list[Heard]:
        """What the client reads."""
        data, at, found = self.engine.output(), 0, list[Heard]()
        while (heard := heard_at(data, at)) is not None:
            at += heard.size
            found.append(heard)
        assert at == len(data), "an engine writes whole frames"
        return found

    def fields(self, frame: Heard) -> list[tuple[bytes, bytes]]:
        """The fields of HEADERS, which have to be read in order."""
        assert frame.kind == Kind.HEADERS
        found = self._decoder.decode(frame.payload, raw=True)
        return [(bytes(name), bytes(value)) for name, value in found]

    def room(self) -> int:
        """What the engine still takes on the connection, as it has told the client."""
        return 65_535 + sum(
            int.from_bytes(frame.payload)
            for frame in self.greeting
            if frame.kind == Kind.WINDOW_UPDATE
        )


class Verdict(NamedTuple):
    end: End
    code: ErrorCode | None


def verdict(events: list[Event]) -> Verdict:
    """The worst that an engine has said."""
    for kind, end in ((ConnectionFailed, End.CONNECTION), (StreamFailed, End.STREAM)):
        for event in events:
            if isinstance(event, kind):
                return Verdict(end, ErrorCode(event.code))
    return Verdict(End.NOTHING, None)


def of_kind(one: Examined, kind: Kind) -> list[Heard]:
    """What the client reads, as far as it is of that kind."""
    return [frame for frame in one.frames() if frame.kind == kind]
