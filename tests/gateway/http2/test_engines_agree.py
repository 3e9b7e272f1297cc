"""Both engines make the same of the same frames, valid or not, one after another, with answers in
between; but for what `DIFFER` allows. A sequence ends where they differ, because their states do
from there on.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
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

from ...http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FIELDS,
    FRAMES,
    MESSAGES,
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
from .engine_exam import NEEDS_NGH2, Examined

pytestmark = NEEDS_NGH2
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


Differ = Callable[[bytes, list[Event], list[Event]], bool]
"""What was sent -> what h2 and ngh2 made of it -> whether they may."""


def _fields(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    found = _failed(ngh2)
    return (
        isinstance(found, StreamFailed)
        and found.code == ErrorCode.PROTOCOL_ERROR
        and any(isinstance(event, Head | Trailers | Data | ConnectionFailed) for event in h2)
    )


def _scope(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    one, other = _failed(h2), _failed(ngh2)
    return one is not None and other is not None and one.code == other.code


def _two_faults(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    one, other = _failed(h2), _failed(ngh2)
    return one is not None and other is not None and ConnectionFailed in {type(one), type(other)}


def _sooner(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    return sent[3] == Kind.HEADERS and not sent[4] & END_HEADERS and _failed(ngh2) is not None


def _over(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    late = {Kind.DATA, Kind.HEADERS, Kind.RST_STREAM, Kind.WINDOW_UPDATE, Kind.CONTINUATION}
    one, other = _failed(h2), _failed(ngh2)
    said = [event for event in (*h2, *ngh2) if not isinstance(event, Reset)]
    return sent[3] in late and (one is None or other is None) and said in ([one], [other], [])


def _altsvc(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    return ALTSVC in sent[3::1][:1] and not ngh2


def _settings(sent: bytes, h2: list[Event], ngh2: list[Event]) -> bool:
    return sent[3] == Kind.SETTINGS and (
        bool(sent[4] & ACK) or Setting.NO_RFC7540_PRIORITIES.to_bytes(2) in sent[9:]
    )


DIFFER: Final[dict[str, Differ]] = {
    "ngh2 refuses malformed fields and bodies, h2 leaves that to those above": _fields,
    "a stream's error for one, the connection's for the other (section 5.4.1)": _scope,
    "two faults in one frame, of which each names another": _two_faults,
    "ngh2 refuses HEADERS before the CONTINUATION that was to come": _sooner,
    "a frame for a stream that is over: dropped or refused (section 5.1)": _over,
    "ALTSVC that cannot be read, which h2 refuses": _altsvc,
    "ngh2 refuses an ACK of nothing, and another NO_RFC7540_PRIORITIES than at first": _settings,
}


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


def compare(sequence: list[tuple[bytes, str, int]]) -> str:
    """Returns how they differ, or "agree"."""
    h2, ngh2 = Examined("h2"), Examined("ngh2")
    open_streams: list[int] = []
    for sent, answer, which in sequence:
        one, other = _alike(h2.send(sent)), _alike(ngh2.send(sent))
        if one != other:
            reasons = [name for name, allowed in DIFFER.items() if allowed(sent, one, other)]
            assert reasons, f"{sent[:80]!r}: h2 {one}, ngh2 {other}"
            return reasons[0]
        if isinstance(_failed(one), ConnectionFailed):
            return "agree"
        open_streams += [event.stream for event in one if isinstance(event, Head)]
        if answer and open_streams:
            stream = open_streams.pop(which % len(open_streams))
            for examined in (h2, ngh2):
                if answer == "reset":
                    examined.engine.reset(stream, ErrorCode.CANCEL)
                else:
                    examined.engine.head(stream, OK, answer == "answer")
                examined.engine.output()
            assert h2.engine.room(stream) == ngh2.engine.room(stream)
    return "agree"


@examples(max_examples=150, deadline=None)
@given(SEQUENCES)
def test_engines_agree(sequence: list[tuple[bytes, str, int]]) -> None:
    note(compare(sequence))


@pytest.mark.slow
def test_engines_agree_at_length(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter[str]()

    @examples(max_examples=10_000, deadline=None, database=None)
    @given(SEQUENCES)
    def run(sequence: list[tuple[bytes, str, int]]) -> None:
        counts[compare(sequence)] += 1

    run()
    with capsys.disabled():
        for name, count in counts.most_common():
            print(f"\n{count:7,} {name}", end="")


@examples(max_examples=100, deadline=None)
@given(SEQUENCES, st.randoms(use_true_random=False))
def test_cuts_change_nothing(sequence: list[tuple[bytes, str, int]], random: Random) -> None:
    """What came before a fault may be left out where all comes together."""
    sent = b"".join(frame for frame, _, _ in sequence)
    for name in ("h2", "ngh2"):
        whole, cut = Examined(name), Examined(name)
        whole.send(sent)
        rest = sent
        while rest:
            at = random.randint(1, 40 if len(rest) < 400 else len(rest))
            cut.send(rest[:at])
            rest = rest[at:]
        one, other = _alike(whole.events), _alike(cut.events)
        if isinstance(_failed(other), ConnectionFailed):
            assert _failed(one) == _failed(other)
        else:
            assert sorted(map(repr, one)) == sorted(map(repr, other))
