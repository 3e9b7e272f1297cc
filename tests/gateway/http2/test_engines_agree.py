"""The builtin engine makes of the same frames what each library makes of them, valid or not, one
after another, with answers in between; but for what `DIFFER` allows. A sequence ends where two
engines differ, because their states do from there on.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Final, NamedTuple

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.http2.engine import (
    ConnectionFailed,
    Data,
    ErrorCode,
    Event,
    Head,
    Reset,
    StreamFailed,
    Trailers,
)
from propylon.gateway.http2.request_fields import (
    BodyLength,
    MalformedRequest,
    check_trailers,
    request_of,
)
from propylon.gateway.settings import Http2Settings, HttpSettings

from ...http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FIELDS,
    FRAMES,
    MESSAGES,
    PADDED,
    WITH_PRIORITY,
    Kind,
    Setting,
    block,
    data,
    frame,
    get,
    go_away,
    padded,
    ping,
    post,
    priority,
    priority_update,
    raw_head,
    reset,
    settings,
    window_update,
)
from .engine_exam import EACH_ENGINE, NEEDS_NGH2, Examined

OK: Final = [(b":status", b"200")]
ALTSVC: Final = 0xA

# -- what is sent ----------------------------------------------------------------------------

STREAMS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 5, 7, 9, 2, 2**31 - 1])
SETTINGS = st.lists(
    st.tuples(
        st.sampled_from([*Setting, 77]),
        st.sampled_from([0, 1, 2, 100, 16_384, 65_535, 2**24, 2**31 - 1, 2**31]),
    ),
    max_size=2,
).map(lambda pairs: settings(*pairs))


def _continued(stream: int, at: int, flags: int, then: int) -> bytes:
    first = frame(Kind.HEADERS, flags, stream, FIELDS[:at])
    return first + frame(Kind.CONTINUATION, END_HEADERS, then or stream, FIELDS[at:])


def _flipped(sent: bytes, byte: int, bit: int) -> bytes:
    """Any bit but those of the length, which would make other frames of it."""
    changed = bytearray(sent)
    changed[3 + byte % (len(sent) - 3)] ^= 1 << bit
    return bytes(changed)


VALID = st.one_of(
    st.builds(get, STREAMS),
    st.builds(post, STREAMS),
    st.builds(lambda stream, size, end: data(stream, bytes(size), end=end), STREAMS,
              st.sampled_from([0, 1, 100, 16_384]), st.booleans()),
    st.builds(lambda stream, flags, pad: padded(Kind.DATA, flags, stream, b"abc", pad), STREAMS,
              st.sampled_from([0, END_STREAM]), st.sampled_from([0, 3, 255])),
    st.builds(lambda stream, flags: frame(Kind.HEADERS, flags, stream, block([(b"x", b"1")])),
              STREAMS, st.sampled_from([END_HEADERS, END_HEADERS | END_STREAM])),
    st.builds(_continued, STREAMS, st.integers(1, len(FIELDS) - 1), st.integers(0, 1),
              st.sampled_from([0, 0, 0, 3])),
    st.builds(reset, STREAMS, st.sampled_from([0, 5, 8, 99])),
    SETTINGS,
    st.just(ping()),
    st.builds(window_update, STREAMS, st.sampled_from([0, 1, 1_000, 2**31 - 1])),
    st.builds(priority, STREAMS, st.sampled_from([0, 1, 3])),
    st.builds(priority_update, st.sampled_from([0, 1, 2, 3, 9]), st.just(b"u=1"),
              st.sampled_from([0, 0, 1])),
    st.just(go_away()),
)  # fmt: skip
SENT = st.one_of(
    VALID,
    VALID,
    st.builds(_flipped, VALID.filter(lambda sent: sent.count(b"\t\4") == 0), st.integers(0, 80),
              st.integers(0, 7)),
    st.builds(lambda kind, flags, stream, size: frame(kind, flags, stream, bytes(size)),
              st.integers(0, 20), st.sampled_from([0, 1, 4, 8, 0x20, 0xFF]), STREAMS,
              st.integers(0, 9)),
    st.builds(raw_head, st.binary(max_size=60)),
    st.sampled_from([case.sent for case in (*FRAMES.values(), *MESSAGES.values())]),
)  # fmt: skip
ANSWERS = st.sampled_from(["", "", "answer", "begin", "reset"])
SEQUENCES = st.lists(st.tuples(SENT, ANSWERS, st.integers(0, 3)), min_size=1, max_size=12)


# -- what may differ -------------------------------------------------------------------------


def _failed(events: list[Event]) -> StreamFailed | ConnectionFailed | None:
    found = [event for event in events if isinstance(event, StreamFailed | ConnectionFailed)]
    return found[-1] if found else None


class Above:
    """What is above an engine, as the gateway has it: it says which events are malformed."""

    def __init__(self) -> None:
        self._lengths: dict[int, BodyLength] = {}

    def refuses(self, event: Event) -> bool:
        """Whether the request is malformed, or has a target or host that gets a page with 400."""
        try:
            if isinstance(event, Head):
                request = request_of(event.fields, event.ended, HttpSettings(), Http2Settings())
                self._lengths[event.stream] = BodyLength(request.content_length, 0)
            elif isinstance(event, Trailers):
                check_trailers(event.fields, event.ended)
                self._add(event.stream, 0, True)
            elif isinstance(event, Data):
                self._add(event.stream, len(event.data), event.ended)
        except MalformedRequest:
            return True
        except RequestError as error:
            return error.status in (400, 405)
        return False

    def _add(self, stream: int, size: int, ended: bool) -> None:
        if stream in self._lengths:
            self._lengths[stream].add(size, ended)


class Difference(NamedTuple):
    sent: bytes
    ours: list[Event]
    library: list[Event]
    """What they made of it, without what is the same at the beginning."""
    refused: bool
    """Whether the first of ours is what those above refuse."""

    @property
    def kind(self) -> int:
        return self.sent[3]

    @property
    def faults(self) -> tuple[type | None, ErrorCode | int, type | None, ErrorCode | int]:
        """How each has failed."""
        one, other = _failed(self.ours), _failed(self.library)
        return (
            type(one) if one else None,
            one.code if one else 0,
            type(other) if other else None,
            other.code if other else 0,
        )


def _fields(it: Difference) -> bool:
    found = it.library[0] if it.library else None
    return (
        it.refused
        and isinstance(found, StreamFailed)
        and found.code == ErrorCode.PROTOCOL_ERROR
        and found.stream == getattr(it.ours[0], "stream", 0)
    )


def _scope(it: Difference) -> bool:
    one, code, other, same = it.faults
    return None not in (one, other) and one is not other and code == same


TWO_FAULTS: Final = {
    (Kind.DATA, frozenset({ErrorCode.STREAM_CLOSED, ErrorCode.PROTOCOL_ERROR})),
    (Kind.CONTINUATION, frozenset({ErrorCode.STREAM_CLOSED, ErrorCode.PROTOCOL_ERROR})),
    (Kind.HEADERS, frozenset({ErrorCode.STREAM_CLOSED, ErrorCode.PROTOCOL_ERROR})),
    (Kind.HEADERS, frozenset({ErrorCode.COMPRESSION_ERROR, ErrorCode.PROTOCOL_ERROR})),
    (Kind.HEADERS, frozenset({ErrorCode.COMPRESSION_ERROR, ErrorCode.STREAM_CLOSED})),
}
"""Kind, and both codes: DATA behind a request's end, a CONTINUATION of nothing, a head on a stream
that may not begin, which cannot be read, or has it depend on itself."""


WITH_A_WRONG_SIZE: Final = {
    ErrorCode.FRAME_SIZE_ERROR, ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED,
}  # fmt: skip
"""What else may be said of a frame of a wrong size, for its stream."""


def _two_faults(it: Difference) -> bool:
    _, one, scope, other = it.faults
    if scope is not ConnectionFailed:
        return False
    if ErrorCode.FRAME_SIZE_ERROR in (one, other):
        return _is_of_wrong_size(it.sent) and {one, other} <= WITH_A_WRONG_SIZE
    return (it.kind, frozenset({one, other})) in TWO_FAULTS


def _frames(sent: bytes) -> Iterator[bytes]:
    while sent:
        end = 9 + int.from_bytes(sent[:3])
        yield sent[:end]
        sent = sent[end:]


def _is_of_wrong_size(sent: bytes) -> bool:
    """Whether its kind, or what its flags announce, needs another length."""
    kind, flags, size = sent[3], sent[4], int.from_bytes(sent[:3])
    exact = {Kind.PRIORITY: 5, Kind.RST_STREAM: 4, Kind.PING: 8, Kind.WINDOW_UPDATE: 4}
    if kind in exact:
        return size != exact[Kind(kind)]
    if kind == Kind.SETTINGS:
        return bool(size % 6 or (flags & ACK and size))
    if kind in (Kind.DATA, Kind.HEADERS, Kind.PUSH_PROMISE):
        least = bool(flags & PADDED) + 5 * (kind == Kind.HEADERS and bool(flags & WITH_PRIORITY))
        return size < least + 4 * (kind == Kind.PUSH_PROMISE)
    return size < {Kind.GOAWAY: 8, Kind.PRIORITY_UPDATE: 4}.get(kind, 0)  # type: ignore[call-overload]


def _sooner(it: Difference) -> bool:
    opens = it.kind == Kind.HEADERS and not it.sent[4] & END_HEADERS
    return opens and not it.ours and _failed(it.library) is not None


def _over(it: Difference) -> bool:
    late = {Kind.DATA, Kind.HEADERS, Kind.RST_STREAM, Kind.WINDOW_UPDATE, Kind.CONTINUATION}
    if it.kind not in late or (it.ours and it.library):
        return False
    (said, *more) = it.ours or it.library
    return not more and isinstance(said, Reset | StreamFailed | ConnectionFailed)


def _trailers(it: Difference) -> bool:
    (first, *_) = it.ours or [None]
    failed = _failed(it.library)
    return it.refused and isinstance(first, Trailers) and not first.ended and failed is not None


def _altsvc(it: Difference) -> bool:
    return it.kind == ALTSVC and not it.ours


def _settings(it: Difference) -> bool:
    names = [it.sent[at : at + 2] for at in range(9, len(it.sent), 6)]
    return it.kind == Kind.SETTINGS and (
        bool(it.sent[4] & ACK)
        or Setting.NO_RFC7540_PRIORITIES.to_bytes(2) in names
        or len(set(names)) < len(names)
    )


def _left_out(it: Difference) -> bool:
    return it.kind == Kind.DATA and it.faults == (
        ConnectionFailed, ErrorCode.PROTOCOL_ERROR, StreamFailed, ErrorCode.STREAM_CLOSED,
    )  # fmt: skip


def _unread_head(it: Difference) -> bool:
    one, code, other, _ = it.faults
    may_not_be_there = code in (ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED)
    return (it.kind == Kind.HEADERS and one is ConnectionFailed and may_not_be_there) and (
        other is StreamFailed or (not it.sent[4] & END_HEADERS and not it.library)
    )


def _uncounted(it: Difference) -> bool:
    *ours, _, code = it.faults
    too_much = ours == [None, 0] and code == ErrorCode.FLOW_CONTROL_ERROR
    return it.kind == Kind.WINDOW_UPDATE and too_much


SAME: Final[dict[str, Callable[[Difference], bool]]] = {
    "a stream's error for one, the connection's for the other (section 5.4.1)": _scope,
    "two faults in one frame, of which each names another": _two_faults,
    "the window of a stream that we have ended, in which nothing is sent any more": _uncounted,
    "a frame for a stream that is over: dropped or refused (section 5.1)": _over,
}
DIFFER: Final[dict[str, dict[str, Callable[[Difference], bool]]]] = {
    "h2": SAME | {
        "h2 resets a stream that was left out": _left_out,
        "h2 reads a whole head before it looks whether there may be one, and resets a stream that "
        "depends on itself behind its end": _unread_head,
        "h2 reads the last of a setting that comes twice": _settings,
        "h2 refuses trailers that do not end their stream, ours leaves that to those above": (
            _trailers
        ),
        "ALTSVC that cannot be read, which h2 refuses": _altsvc,
    },
    "ngh2": SAME | {
        "ngh2 refuses malformed fields and bodies, ours leaves that to those above": _fields,
        "ngh2 refuses HEADERS before the CONTINUATION that was to come": _sooner,
        "ngh2 refuses an ACK of nothing, and another NO_RFC7540_PRIORITIES than at first, and "
        "reads the last of a setting that comes twice": _settings,
    },
}  # fmt: skip
"""Library -> what may differ from ours."""
LEAST_ALIKE: Final = 0.5
"""The part of the sequences that they have to agree on to the end."""


def _alike(events: list[Event]) -> list[Event]:
    """Without what no answer depends on: the words of a fault, and the size with padding."""
    return [
        event._replace(sentence="")
        if isinstance(event, StreamFailed | ConnectionFailed)
        else event._replace(size=0)
        if isinstance(event, Data)
        else event
        for event in events
    ]


def why_they_differ(
    name: str, sent: bytes, ours: list[Event], library: list[Event], above: Above
) -> str:
    """Returns the name of what allows it. `ours`, `library`: what each made of the frame."""
    same = 0
    while same < min(len(ours), len(library)) and ours[same] == library[same]:
        above.refuses(ours[same])
        same += 1
    one, other = ours[same:], library[same:]
    found = Difference(sent, one, other, bool(one) and above.refuses(one[0]))
    reasons = [reason for reason, allowed in DIFFER[name].items() if allowed(found)]
    assert reasons, f"{sent[:80]!r}: builtin {ours}, {name} {library}"
    return reasons[0]


def compare(name: str, sequence: list[tuple[bytes, str, int]]) -> str:
    """Returns how the builtin engine and the named one differ, or "agree"."""
    ours, library, above = Examined("builtin"), Examined(name), Above()
    open_streams: list[int] = []
    for sent, answer, which in sequence:
        events: list[Event] = []
        for part in _frames(sent):
            one, other = _alike(ours.send(part)), _alike(library.send(part))
            if one != other:
                return why_they_differ(name, part, one, other, above)
            if isinstance(_failed(one), ConnectionFailed):
                return "agree"
            for event in one:
                above.refuses(event)
            events += one
        open_streams += [event.stream for event in events if isinstance(event, Head)]
        if answer and open_streams:
            stream = open_streams.pop(which % len(open_streams))
            for examined in (ours, library):
                if answer == "reset":
                    examined.engine.reset(stream, ErrorCode.CANCEL)
                else:
                    examined.engine.head(stream, OK, answer == "answer")
                examined.engine.output()
            if answer != "answer":  # what there is room for does not matter behind the end
                assert ours.engine.room(stream) == library.engine.room(stream)
    return "agree"


EACH_LIBRARY = pytest.mark.parametrize("name", ["h2", pytest.param("ngh2", marks=NEEDS_NGH2)])


@EACH_LIBRARY
@examples(max_examples=150, deadline=None)
@given(sequence=SEQUENCES)
def test_engines_agree(name: str, sequence: list[tuple[bytes, str, int]]) -> None:
    note(compare(name, sequence))


@pytest.mark.slow
@EACH_LIBRARY
def test_engines_agree_at_length(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter[str]()

    @examples(max_examples=4_000, deadline=None, database=None)
    @given(SEQUENCES)
    def run(sequence: list[tuple[bytes, str, int]]) -> None:
        counts[compare(name, sequence)] += 1

    run()
    assert counts["agree"] > LEAST_ALIKE * counts.total(), counts
    with capsys.disabled():
        for reason, count in counts.most_common():
            print(f"\n{name} {count:7,} {reason}", end="")


FAULTS = (StreamFailed, ConnectionFailed)


@EACH_ENGINE
@examples(max_examples=100, deadline=None)
@given(sequence=SEQUENCES, random=st.randoms(use_true_random=False))
def test_cuts_change_nothing(
    name: str, sequence: list[tuple[bytes, str, int]], random: Random
) -> None:
    """Where there is a fault, one of the two may hear less: what came right before it is left out
    where all comes together, and frames behind it find their stream reset already, or not yet,
    which may be another fault."""
    sent = b"".join(frame for frame, _, _ in sequence)
    whole, cut = Examined(name), Examined(name)
    whole.send(sent)
    rest = sent
    while rest:
        at = random.randint(1, 40 if len(rest) < 400 else len(rest))
        cut.send(rest[:at])
        rest = rest[at:]
    one, other = _alike(whole.events), _alike(cut.events)
    faults = [bool(_failed(events)) for events in (one, other)]
    assert faults[0] == faults[1]
    if faults[0]:
        heard, also = (
            Counter(repr(each) for each in events if not isinstance(each, FAULTS))
            for events in (one, other)
        )
        assert not heard - also or not also - heard
    else:
        assert sorted(map(repr, one)) == sorted(map(repr, other))
