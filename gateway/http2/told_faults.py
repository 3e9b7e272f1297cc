"""The faults of a client that an engine's library has answered by itself (RFC 9113 section 5.4),
read from what it wants to send. Pure.

Libraries reset streams without an event that says so: h2 for a frame behind RST_STREAM, libnghttp2
for whatever it finds wrong. Each such reset is a way to have us work for nothing (MadeYouReset,
CVE-2025-8671), so that all of them have to be seen and counted. Their frames say it all, and there
are none for a client that does nothing wrong.
"""

from typing import Final

from .engine import ConnectionFailed, ErrorCode, Event, StreamFailed
from .frames import FRAME_HEADER, FrameKind

_RST_STREAM: Final = FrameKind.RST_STREAM.value
_GOAWAY: Final = FrameKind.GOAWAY.value
_CODES: Final = frozenset(ErrorCode)


def told_faults(written: bytes) -> list[Event]:
    """The RST_STREAMs and GOAWAYs among these frames, as events."""
    faults: list[Event] = []
    at = 0
    while at < len(written):
        payload = at + FRAME_HEADER
        end = payload + int.from_bytes(written[at : at + 3])
        kind = written[at + 3]
        if kind == _RST_STREAM:
            stream, code = int.from_bytes(written[at + 5 : payload]), written[payload:end]
            faults.append(StreamFailed(stream, int.from_bytes(code), f"reset with {_name(code)}"))
        elif kind == _GOAWAY:
            code, text = written[payload + 4 : payload + 8], written[payload + 8 : end]
            sentence = text.decode("ascii", "replace") or f"ended with {_name(code)}"
            faults.append(ConnectionFailed(int.from_bytes(code), sentence))
        at = end
    return faults


def _name(code: bytes) -> str:
    number = int.from_bytes(code)
    return ErrorCode(number).name if number in _CODES else f"0x{number:x}"
