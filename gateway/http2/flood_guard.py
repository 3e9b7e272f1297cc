"""How much of what costs a client little and us more one HTTP/2 connection may send. Pure.

A frame of nine bytes can cost a server a hundred microseconds, and the client nothing. A PING has
to be answered. A request that is cancelled at once has started a call in the app by then. A
WINDOW_UPDATE of one byte asks for a frame of one byte. A header block goes on for as long as its
CONTINUATIONs do, and nobody sees the request meanwhile. Each of these is allowed, good clients send
all of them, and no single one is wrong. They are wrong in numbers.

A number a second does not tell the two apart. A proxy with the requests of a thousand users on one
connection cancels more requests than an attacker needs, and a fast download has thousands of
WINDOW_UPDATEs a second. What tells them apart is what else happens: these clients also ask, and
get answers. So each kind has a bucket of tokens that is full at first, and that is filled again

- by time: so slowly that what it pays for takes less than a hundredth of a core;
- by streams that the client opens: each pays for what a client may have to say about it;
- by frames that were sent to it: it has to answer some with a WINDOW_UPDATE or, to measure the
  way, with a PING.

A connection whose bucket is empty ends with ENHANCE_YOUR_CALM (RFC 9113 section 10.5).

**Requests in vain** are those that the client cancels before their response begins, those that a
fault of the client ends, and those that are refused because too many are open. All three are paid
out of one bucket, for an attacker could send the three in turn. A stream pays for half of one: a
client that gets answers to half of its requests is no attacker, whatever it does with the others.

**What is not counted.** A plain request and DATA with something in it: they have the limits that
requests and bodies have in each version of HTTP, and the reader's share of a turn keeps them from
being heard before others (`frame_reader`). What the client does not take, and streams that never
end, are matters of time: the deadlines of `serve` are about them.

A bucket is looked at when its tokens are used up, and gets then what was earned since the last
look, at most as many as it holds. So a client that was good for long may send twice as many at
once.
"""

from typing import Final, NamedTuple

from ..settings import Http2Settings
from .engine import ErrorCode
from .frames import LEAST_FRAME_SIZE, FrameKind, head_list_read

LEAST_CONTINUATIONS: Final = 8
"""CONTINUATIONs of one header block that are always allowed. libnghttp2 has the same limit."""
MOST_SETTINGS_BYTES: Final = 32 * 6
"""Bytes of one SETTINGS frame: 32 entries. There are about ten settings."""


class Allowance(NamedTuple):
    """How many frames of one kind are paid for."""

    reason: str
    """The word for it in metrics."""
    says: str
    """What there are too many of, for the log."""
    most: float
    """Frames that a full bucket pays for."""
    each_second: float
    each_stream: float = 0.0
    """What a stream that the client opens pays for."""
    each_sent: float = 0.0
    """What a frame that was sent to the client pays for."""


ALLOWANCES: Final = {
    FrameKind.DATA: Allowance("empty_data", "DATA frames without data", 200, 20, each_stream=2),
    FrameKind.PRIORITY: Allowance("priority", "PRIORITY frames", 1_000, 20, each_stream=4),
    FrameKind.RST_STREAM: Allowance("rst_stream", "RST_STREAM frames", 1_000, 20, each_stream=1),
    FrameKind.SETTINGS: Allowance("settings", "SETTINGS frames", 100, 5),
    FrameKind.PING: Allowance("ping", "PING frames", 200, 20, each_stream=1, each_sent=1),
    FrameKind.GOAWAY: Allowance("goaway", "GOAWAY frames", 10, 1),
    FrameKind.WINDOW_UPDATE: Allowance(
        "window_update", "WINDOW_UPDATE frames", 1_000, 50, each_stream=4, each_sent=8
    ),
    FrameKind.PRIORITY_UPDATE: Allowance(
        "priority_update", "PRIORITY_UPDATE frames", 1_000, 20, each_stream=4
    ),
}
"""What is counted of frames. DATA: those without data that do not end their stream."""
UNKNOWN_FRAMES: Final = Allowance(
    "unknown_frame", "frames of unknown kinds", 1_000, 20, each_stream=2
)
"""They have to be ignored (RFC 9113 section 5.5), and Chromium sends some on purpose."""
DRIBBLES: Final = Allowance(
    "data_dribble", "windows too small for a frame", 1_000, 20, each_stream=2, each_sent=1
)
"""DATA frames that the client's window has made small."""
LEAST_ROOM: Final = 1_024
"""Bytes of DATA that a window has to leave for a frame not to count as one of them."""
RESETS_REFILL: Final = 30.0
"""Seconds in which an empty bucket of requests in vain is full again."""
EACH_STREAM_RESETS: Final = 0.5
"""Requests in vain that a stream which the client opens pays for."""
MOST_UNPAID: Final = 16.0
"""Requests in vain, more than were paid for, behind which a client has smaller shares of a turn: it
may be right to cancel them, and need not do so in a hurry (see `frame_reader`)."""


HEAD_LIST: Final = "head_list"
"""A head that is not read, which is the engine's to find (`frames.HeadBounds`)."""
FLOOD_REASONS: Final = (
    "rapid_reset",
    "made_reset",
    "refused_stream",
    "continuation",
    "header_block",
    HEAD_LIST,
    *(rule.reason for rule in (*ALLOWANCES.values(), UNKNOWN_FRAMES, DRIBBLES)),
)
"""All words that `Flood.reason` may be."""


class Flood(Exception):
    """A client has sent more than is paid for: its connection ends."""

    def __init__(self, reason: str, says: str) -> None:
        super().__init__(says)
        self.code: ErrorCode = ErrorCode.ENHANCE_YOUR_CALM
        """What GOAWAY says."""
        self.reason = reason
        """The word for it in metrics."""
        self.sentence = f"an HTTP/2 connection was ended: {says}"


class _Bucket:
    __slots__ = ("_at", "_left", "_opened", "_sent", "allowance")

    def __init__(self, allowance: Allowance, now: float) -> None:
        self.allowance = allowance
        self._left = allowance.most
        self._at = now
        self._opened = self._sent = 0

    def is_overdrawn(self, now: float, opened: int, sent: int) -> bool:
        """Takes one token. Returns whether there was none."""
        if self._left < 1:
            self.fill(now, opened, sent)
        self._left -= 1
        return self._left < 0

    @property
    def missing(self) -> float:
        """Tokens that it lacks, as of the last `fill`."""
        return self.allowance.most - self._left

    def fill(self, now: float, opened: int, sent: int) -> None:
        """Puts in what was earned since the last time."""
        rule = self.allowance
        earned = (now - self._at) * rule.each_second
        earned += (opened - self._opened) * rule.each_stream
        earned += (sent - self._sent) * rule.each_sent
        self._left = min(rule.most, self._left + earned)
        self._at, self._opened, self._sent = now, opened, sent


def _too_many(rule: Allowance) -> Flood:
    return Flood(rule.reason, f"too many {rule.says}")


class FloodGuard:
    """Counts for one connection. Each method raises Flood when it is too much."""

    __slots__ = (
        "_buckets", "_continuations", "_dribbles", "_in_vain", "_most_continuations", "_opened",
        "_sent", "_size", "_unknown", "has_wasted", "most_block",
    )  # fmt: skip

    def __init__(self, settings: Http2Settings, most_head: int, now: float) -> None:
        """`most_head`: bytes of a request's head that are served. `now` is in monotonic seconds,
        here and everywhere."""
        self._opened = 0
        """Streams that the client has opened."""
        self._sent = 0
        """Frames that it was sent."""
        self._buckets = {int(kind): _Bucket(rule, now) for kind, rule in ALLOWANCES.items()}
        self._unknown = _Bucket(UNKNOWN_FRAMES, now)
        self._dribbles = _Bucket(DRIBBLES, now)
        resets = float("inf")
        if settings.max_resets:  # a page that is left cancels all that it waits for
            resets = max(settings.max_resets, 2 * settings.max_streams)
        self._in_vain = _Bucket(
            Allowance("", "", resets, resets / RESETS_REFILL, EACH_STREAM_RESETS), now
        )
        self.has_wasted = False
        """Whether there was a request in vain since `wastes` has last said no."""
        self.most_block = head_list_read(most_head)
        """Bytes of a header block as it is on the wire. Compression makes none longer than it
        counts."""
        # Each frame may have LEAST_FRAME_SIZE, so a block need not be in more of them than that.
        self._most_continuations = max(LEAST_CONTINUATIONS, self.most_block // LEAST_FRAME_SIZE)
        self._size = self._continuations = 0
        """Bytes and CONTINUATIONs of the header block that is being read."""

    # -- frames that come, as the reader sees them ---------------------------------------------

    def opened(self, streams: int) -> None:
        """Notes that the client has opened so many more streams."""
        self._opened += streams

    def frame(self, kind: int, length: int, now: float) -> None:
        """Counts a frame that is none of a header block. DATA: one without data that does not end
        its stream."""
        if kind == FrameKind.SETTINGS and length > MOST_SETTINGS_BYTES:
            raise Flood("settings", "too many entries in one SETTINGS frame")
        bucket = self._buckets.get(kind) or self._unknown
        if bucket.is_overdrawn(now, self._opened, self._sent):
            raise _too_many(bucket.allowance)

    def begin_block(self, length: int) -> None:
        """Begins a header block with a HEADERS frame that has `length` bytes."""
        self._continuations, self._size = 0, length
        self._check_block()

    def continue_block(self, length: int) -> None:
        """Counts a CONTINUATION of it."""
        self._continuations += 1
        self._size += length
        if self._continuations > self._most_continuations:
            raise Flood("continuation", "too many CONTINUATION frames for one header block")
        self._check_block()

    def _check_block(self) -> None:
        if self._size > self.most_block:
            raise Flood("header_block", f"a header block of more than {self.most_block:,} bytes")

    def wastes(self, now: float) -> bool:
        """Whether many of the last requests were in vain."""
        self._in_vain.fill(now, self._opened, self._sent)
        missing = self._in_vain.missing
        self.has_wasted = missing >= 1
        return missing > MOST_UNPAID

    # -- what became of them, as the driver sees it ---------------------------------------------

    def sent(self, frames: int) -> None:
        """Notes that the client was sent so many frames of responses: HEADERS, and DATA for each
        16 KiB begun. One that `dribbled` is none of them."""
        self._sent += frames

    def dribbled(self, now: float) -> None:
        """Counts a DATA frame that would have been longer, if the window had not left fewer than
        `LEAST_ROOM` bytes of it."""
        if self._dribbles.is_overdrawn(now, self._opened, self._sent):
            raise _too_many(DRIBBLES)

    def client_reset(self, before_response: bool, now: float) -> None:
        """Counts a stream that the client has reset (CVE-2023-44487)."""
        if before_response:
            self._waste("rapid_reset", "too many requests were cancelled", now)

    def we_reset(self, now: float) -> None:
        """Counts a stream that was reset because of a fault of the client (CVE-2025-8671)."""
        self._waste("made_reset", "too many streams had to be reset", now)

    def refused(self, now: float) -> None:
        """Counts a stream that was refused because the connection has as many as it may."""
        self._waste("refused_stream", "too many streams beyond the limit", now)

    def _waste(self, reason: str, says: str, now: float) -> None:
        self.has_wasted = self._in_vain.allowance.most != float("inf")
        if self._in_vain.is_overdrawn(now, self._opened, self._sent):
            raise Flood(reason, f"{says} (--http2-max-resets)")
