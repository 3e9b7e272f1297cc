"""HTTP/2's numbers as they are on the wire (RFC 9113), for whoever reads or writes frames itself.
Pure.

A frame is a header of `FRAME_HEADER` bytes (the payload's length in three, kind, flags, and the
stream in four) and its payload (section 4.1).
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from ..settings import Http2Settings

HEADER: Final = Struct(">HBBBI")
"""A frame's header: length (its upper two bytes, its last byte), kind, flags, stream."""
FRAME_HEADER: Final = HEADER.size
"""Bytes before a frame's payload: 9."""
STREAM_BITS: Final = 0x7FFF_FFFF
"""What counts of the four bytes of a stream. The bit above is to be ignored."""
LEAST_FRAME_SIZE: Final = 16_384
"""Bytes of a payload that every peer takes (section 4.2)."""
DEFAULT_WINDOW: Final = 65_535
"""Bytes of each window at first (section 6.9.2)."""
LARGEST_FRAME_SIZE: Final = 16_777_215
"""Bytes of the longest payload that a peer may say it takes (section 6.5.2)."""
UNLIMITED: Final = 2**31 - 1
"""What an engine's library is told of what is counted above it, so that all engines answer alike
(`flood_guard`, the driver)."""
MOST_ENDED_STREAMS: Final = 256
"""Streams of a connection that an engine remembers though they have ended, the last ones: enough to
tell a late frame from a wrong one."""


class FrameKind(IntEnum):
    """RFC 9113 section 6, RFC 9218 section 7.1."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9
    PRIORITY_UPDATE = 0x10


ACK: Final = 0x1
"""A flag of SETTINGS and PING."""
END_STREAM: Final = 0x1
"""A flag of HEADERS and DATA."""
END_HEADERS: Final = 0x4
"""A flag of HEADERS and CONTINUATION."""
PADDED: Final = 0x8
"""A flag of HEADERS and DATA."""
PRIORITY: Final = 0x20
"""A flag of HEADERS."""


class Setting(IntEnum):
    """RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


class HeadBounds(NamedTuple):
    """What a head that is read may have. One that has more ends its connection."""

    size: int
    """Bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts them: decompressed, each field with 32 more."""
    fields: int


LEAST_FIELDS: Final = 1_000
"""Fields of a head that are always read. A cookie may come in a field for each of its crumbs, and
counts as one field only when it is whole again (RFC 9113 section 8.2.3)."""


def head_bounds(most_head: int, most_fields: int) -> HeadBounds:
    """Bounds for reading, if a head of `most_head` bytes and `most_fields` fields is served."""
    return HeadBounds(head_list_read(most_head), max(LEAST_FIELDS, 2 * most_fields))


def head_list_read(most_head: int) -> int:
    """Bytes of a head that is read, if one of `most_head` is served. They are twice as many: a
    request that is too large, but not by far, is answered with 431 then. One that is not read
    cannot be answered, and ends its connection."""
    return 2 * most_head


def announced_settings(settings: Http2Settings, most_head_list: int) -> dict[int, int]:
    """What each client is told in our SETTINGS. `most_head_list`: bytes of a head that is read, as
    SETTINGS_MAX_HEADER_LIST_SIZE counts them: decompressed, each field with 32 more."""
    return {
        Setting.MAX_CONCURRENT_STREAMS.value: settings.max_streams,
        Setting.INITIAL_WINDOW_SIZE.value: settings.stream_window,
        Setting.MAX_FRAME_SIZE.value: settings.max_frame_size,
        Setting.MAX_HEADER_LIST_SIZE.value: most_head_list,
        Setting.ENABLE_CONNECT_PROTOCOL.value: int(settings.websockets),
        Setting.NO_RFC7540_PRIORITIES.value: 1,
    }


def settings_frame(values: dict[int, int]) -> bytes:
    """A SETTINGS frame (section 6.5)."""
    entries = [name.to_bytes(2) + value.to_bytes(4) for name, value in values.items()]
    return connection_frame(FrameKind.SETTINGS, b"".join(entries))


def connection_frame(kind: int, payload: bytes) -> bytes:
    """A frame that belongs to the connection and not to a stream, without flags."""
    return len(payload).to_bytes(3) + bytes((kind, 0, 0, 0, 0, 0)) + payload
