"""The exam of every engine: RFC 9113 sections 4 to 7, frame by frame, and what a driver may rely
on. Where the RFC leaves the choice (a stream's error or the connection's, section 5.4.1), each
answer passes."""

from operator import itemgetter

import pytest
from propylon.gateway.http2.engine import (
    ANY_STREAM,
    ConnectionFailed,
    Data,
    ErrorCode,
    GoingAway,
    Head,
    Pong,
    PriorityUpdate,
    Reset,
    Room,
    Trailers,
)
from propylon.gateway.http2.frames import LEAST_FIELDS

from ...http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FIELDS,
    FRAMES,
    SETTINGS_ACK,
    Case,
    End,
    Kind,
    Setting,
    data,
    frame,
    get,
    go_away,
    head,
    headers,
    padded,
    ping,
    post,
    priority_update,
    raw_head,
    reset,
    settings,
    string,
    window_update,
)
from .engine_exam import EACH_ENGINE, MOST_HEAD, Examined, Verdict, of_kind, verdict

OK = [(b":status", b"200"), (b"content-length", b"2")]
MESSAGE = post(1) + data(1, b"abc") + headers(1, [(b"x-sum", b"1")]) + get(3) + ping()


# -- what the client may send ----------------------------------------------------------------


@EACH_ENGINE
@pytest.mark.parametrize("row", FRAMES)
def test_a_frame_ends_what_it_has_to(name: str, row: str) -> None:
    case, one = FRAMES[row], Examined(name)
    end, code = verdict(one.send(case.sent))
    assert end in case.ends
    assert code is None or code in case.codes
    told = {frame.kind for frame in one.frames()}
    if end is not End.CONNECTION:
        assert Kind.GOAWAY not in told
        assert (Kind.RST_STREAM in told) == (end is End.STREAM)


@EACH_ENGINE
@pytest.mark.parametrize("case", FRAMES.values(), ids=FRAMES)
def test_a_cut_at_every_byte_changes_nothing(name: str, case: Case) -> None:
    """But for what came just before a fault that ends the connection: h2 keeps that to itself, if
    both came together."""
    whole, cut = Examined(name), Examined(name)
    whole.send(case.sent)
    for piece in _pieces(case.sent):
        cut.send(piece)
    assert verdict(cut.events) == verdict(whole.events)
    ordered = iter(cut.events)
    assert all(event in ordered for event in whole.events)
    assert verdict(whole.events).end is End.CONNECTION or len(whole.events) == len(cut.events)


def _pieces(sent: bytes) -> list[bytes]:
    """Byte by byte; the middle of long ones in one piece."""
    if len(sent) > 400:
        return [*_pieces(sent[:20]), sent[20:-20], *_pieces(sent[-20:])]
    return [sent[at : at + 1] for at in range(len(sent))]


@EACH_ENGINE
@pytest.mark.parametrize(
    "first", [ping(), get(1), window_update(0, 9), SETTINGS_ACK, frame(0xBA, 0, 0), go_away()]
)
def test_the_first_frame_is_settings(name: str, first: bytes) -> None:
    one = Examined(name, begun=False)
    assert verdict(one.send(first + get(1))) == Verdict(End.CONNECTION, ErrorCode.PROTOCOL_ERROR)
    kinds = [frame.kind for frame in one.frames()]
    assert kinds[0] == Kind.SETTINGS
    assert kinds[-1] == Kind.GOAWAY


@EACH_ENGINE
def test_a_message_in_all_its_parts(name: str) -> None:
    one = Examined(name)
    one.send(MESSAGE)
    assert one.events == [
        Head(1, head(method=b"POST"), False),
        Data(1, b"abc", 3, False),
        Trailers(1, [(b"x-sum", b"1")], True),
        Head(3, head(), True),
    ]
    assert one.engine.last_stream == 3
    assert [(frame.kind, frame.flags) for frame in one.frames()] == [(Kind.PING, ACK)]


@EACH_ENGINE
def test_answers_that_are_no_event(name: str) -> None:
    """PING and SETTINGS are confirmed, once each (sections 6.5.3 and 6.7), and no confirmation."""
    one = Examined(name)
    one.send(ping(b"first...") + settings() + settings((Setting.MAX_FRAME_SIZE, 20_000)))
    one.send(ping(b"second..") + frame(Kind.PING, ACK, 0, bytes(8)))
    assert sorted(one.frames()) == [
        (Kind.SETTINGS, ACK, 0, b""), (Kind.SETTINGS, ACK, 0, b""),
        (Kind.PING, ACK, 0, b"first..."), (Kind.PING, ACK, 0, b"second.."),
    ]  # fmt: skip
    assert one.engine.frame_size == 20_000


@EACH_ENGINE
def test_nothing_is_read_behind_a_fault(name: str) -> None:
    one = Examined(name)
    one.send(data(0, b"x") + get(1))
    assert [type(event) for event in one.events] == [ConnectionFailed]
    assert [frame.kind for frame in one.frames()] == [Kind.GOAWAY]
    assert not one.send(get(1) + ping())
    one.engine.head(1, OK, True)
    one.engine.ping(bytes(8))
    one.engine.reset(1, 0)
    one.engine.taken(1, 1)
    one.engine.go_away(0, 0)
    assert not one.frames()


@EACH_ENGINE
def test_the_clients_reset_and_goaway(name: str) -> None:
    one = Examined(name)
    assert one.send(post(1) + reset(1, 0xABCDEF)) == [
        Head(1, head(method=b"POST"), False), Reset(1, 0xABCDEF),
    ]  # fmt: skip
    assert one.send(get(3) + go_away(0, ErrorCode.NO_ERROR, b"bye")) == [
        Head(3, head(), True), GoingAway(0),
    ]  # fmt: skip
    one.engine.head(3, OK, False)
    one.engine.body(3, b"ok", True)
    one.send(ping())
    assert {frame.kind for frame in one.frames()} == {Kind.HEADERS, Kind.DATA, Kind.PING}


@EACH_ENGINE
def test_a_priority_update_is_passed_on_whatever_it_says(name: str) -> None:
    one = Examined(name)
    sent = [(7, b"u=1, i"), (1, b"\xff;;"), (2**31 - 1, b"")]
    for stream, value in sent:
        one.send(priority_update(stream, value))
    assert one.events == [PriorityUpdate(stream, value) for stream, value in sent]


@EACH_ENGINE
def test_a_thousand_streams_are_told_of_by_priority_updates(name: str) -> None:
    """And none is opened by that."""
    one = Examined(name, max_streams=5)
    one.send(b"".join(priority_update(stream, b"u=1") for stream in range(1, 2_000, 2)))
    assert verdict(one.events).end is End.NOTHING
    assert one.engine.last_stream == 0


@EACH_ENGINE
def test_one_stream_too_many_is_the_drivers_to_refuse(name: str) -> None:
    one = Examined(name, max_streams=2)
    one.send(post(1) + post(3) + post(5))
    assert [event.stream for event in one.events if isinstance(event, Head)] == [1, 3, 5]
    one.engine.reset(5, ErrorCode.REFUSED_STREAM)
    assert [frame.kind for frame in one.frames()] == [Kind.RST_STREAM]
    assert verdict(one.send(data(1, b"x"))).end is End.NOTHING


@EACH_ENGINE
def test_a_head_that_is_too_large_ends_the_connection(name: str) -> None:
    """In bytes as RFC 9113 section 6.5.2 counts them."""
    one = Examined(name)
    remembered = b"\x40" + string(b"a") + string(b"b" * 4_000)  # 4,033 bytes, by each index of it
    fits = MOST_HEAD // 4_033 - 1
    assert len(one.send(raw_head(FIELDS + remembered + b"\xbe" * (fits - 1)))) == 1
    one.send(raw_head(FIELDS + b"\xbe" * (fits + 2)).replace(b"\0\0\0\1", b"\0\0\0\3"))
    assert verdict(one.events) == Verdict(End.CONNECTION, ErrorCode.ENHANCE_YOUR_CALM)


@EACH_ENGINE
def test_a_head_with_too_many_fields_ends_the_connection(name: str) -> None:
    """Though it is small on the wire and in bytes: each takes its time to decode."""
    one = Examined(name)
    gzip = b"\x90"  # of the static table: accept-encoding: gzip, deflate
    assert len(one.send(raw_head(FIELDS + gzip * (LEAST_FIELDS - len(head()))))) == 1
    one.send(get(3) + raw_head(FIELDS + gzip * LEAST_FIELDS).replace(b"\0\0\0\1", b"\0\0\0\5"))
    assert verdict(one.events) == Verdict(End.CONNECTION, ErrorCode.ENHANCE_YOUR_CALM)


# -- windows ---------------------------------------------------------------------------------


@EACH_ENGINE
def test_what_is_announced(name: str) -> None:
    one = Examined(name, max_streams=7, stream_window=100_000, max_frame_size=20_000)
    first = one.greeting[0]
    assert (first.kind, first.flags, first.stream) == (Kind.SETTINGS, 0, 0)
    pairs = [first.payload[at : at + 6] for at in range(0, len(first.payload), 6)]
    assert {int.from_bytes(pair[:2]): int.from_bytes(pair[2:]) for pair in pairs} == {
        Setting.MAX_CONCURRENT_STREAMS: 7,
        Setting.INITIAL_WINDOW_SIZE: 100_000,
        Setting.MAX_FRAME_SIZE: 20_000,
        Setting.MAX_HEADER_LIST_SIZE: MOST_HEAD,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
        Setting.NO_RFC7540_PRIORITIES: 1,
    }
    assert one.room() == 7 * 100_000
    assert one.send(post(1) + data(1, bytes(20_000)))[1:] == [Data(1, bytes(20_000), 20_000, False)]


@EACH_ENGINE
@pytest.mark.parametrize("pad", [None, 255])
def test_a_stream_takes_its_window_and_no_byte_more(name: str, pad: int | None) -> None:
    """Padding counts (section 6.1)."""
    one = Examined(name, stream_window=65_536)
    piece = data(1, bytes(16_384)) if pad is None else padded(Kind.DATA, 0, 1, bytes(16_128), pad)
    assert verdict(one.send(post(1) + piece * 4)).end is End.NOTHING
    if pad is None:  # padding may be given back at once
        end, code = verdict(one.send(data(1, b"x")))
    else:
        end, code = verdict(one.send(piece))
    assert end in End.STREAM | End.CONNECTION
    assert code is ErrorCode.FLOW_CONTROL_ERROR


@EACH_ENGINE
def test_the_connection_takes_its_window_and_no_byte_more(name: str) -> None:
    one = Examined(name, stream_window=65_536, max_streams=2)
    for stream in (1, 3):
        one.send(post(stream) + data(stream, bytes(16_384)) * 4)
    assert verdict(one.events).end is End.NOTHING
    assert verdict(one.send(post(5) + data(5, b"x"))) == Verdict(
        End.CONNECTION, ErrorCode.FLOW_CONTROL_ERROR
    )


@EACH_ENGINE
def test_a_window_grows_by_what_was_taken_and_not_before(name: str) -> None:
    one = Examined(name, stream_window=65_536, max_streams=1)
    one.send(post(1))
    for _ in range(10):
        one.send(data(1, bytes(16_384)) * 2)
        assert not of_kind(one, Kind.WINDOW_UPDATE)
        one.engine.taken(1, 16_384)
        one.engine.taken(1, 16_384)
        told = {frame.stream: int.from_bytes(frame.payload) for frame in one.frames()}
        assert told == {0: 32_768, 1: 32_768}
    assert verdict(one.events).end is End.NOTHING


@EACH_ENGINE
def test_what_is_taken_of_a_stream_that_ended_counts_for_the_connection(name: str) -> None:
    one = Examined(name, stream_window=65_536, max_streams=1)
    for stream in range(1, 41, 2):
        one.send(post(stream) + data(stream, bytes(16_384)))
        one.engine.reset(stream, ErrorCode.CANCEL)
        one.send(data(stream, bytes(16_384)))  # it was under way: dropped, and given back
        one.engine.taken(stream, 16_384)
        assert {frame.stream for frame in of_kind(one, Kind.WINDOW_UPDATE)} <= {0}
    events = [event for event in one.events if isinstance(event, ConnectionFailed)]
    assert not events


@EACH_ENGINE
def test_room_is_what_both_windows_allow(name: str) -> None:
    one = Examined(name)
    one.send(settings((Setting.INITIAL_WINDOW_SIZE, 10)) + post(1) + post(3))
    engine = one.engine
    assert (engine.room(1), engine.room(5)) == (10, 0)
    engine.head(1, OK[:1], False)
    engine.body(1, bytes(4), False)
    assert engine.room(1) == 6
    engine.body(1, bytes(6), False)
    assert (engine.room(1), engine.room(3)) == (0, 10)
    assert one.send(settings((Setting.INITIAL_WINDOW_SIZE, 1))) == [Room(0)]
    assert engine.room(1) <= 0  # nine bytes too many: section 6.9.2
    assert one.send(window_update(1, 14)) == [Room(1)]
    assert engine.room(1) == 5
    assert one.send(settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 100)) + get(5)) == [
        Room(0), Head(5, head(), True),
    ]  # fmt: skip
    assert engine.room(5) == 65_535 - 10
    assert one.send(window_update(0, 7)) == [Room(0)]
    assert engine.room(5) == 65_535 - 3
    assert sum(len(frame.payload) for frame in of_kind(one, Kind.DATA)) == 10


# -- what the driver sends -------------------------------------------------------------------


@EACH_ENGINE
def test_a_response_is_sent_as_it_was_given(name: str) -> None:
    one = Examined(name)
    one.send(post(1) + get(3) + get(5))
    engine = one.engine
    hints = [(b":status", b"103"), (b"link", b"</a>; rel=preload")]
    trailers = [(b"x-sum", b"7"), (b"x-sum", b"8")]
    engine.head(1, hints, False)
    engine.head(1, OK, False)
    engine.body(1, b"ok", False)
    engine.trailers(1, trailers)
    engine.head(3, OK[:1], True)
    engine.head(5, OK, False)
    engine.body(5, b"", True)
    heard = [
        (
            frame.stream,
            one.fields(frame) if frame.kind == Kind.HEADERS else frame.payload,
            frame.flags,
        )
        for frame in one.frames()
    ]
    ended = END_HEADERS | END_STREAM
    assert sorted(heard, key=itemgetter(0)) == [
        (1, hints, END_HEADERS),
        (1, OK, END_HEADERS),
        (1, b"ok", 0),
        (1, trailers, ended),
        (3, OK[:1], ended),
        (5, OK, END_HEADERS),
        (5, b"", END_STREAM),
    ]


@EACH_ENGINE
def test_a_whole_response_is_sent_as_the_same_in_two_calls(name: str) -> None:
    one, other = Examined(name), Examined(name)
    long = [*OK, (b"x-long", b"x" * 20_000)]
    for stream, fields in ((1, OK), (3, OK), (5, long), (7, OK)):
        one.send(get(stream) if stream < 7 else post(stream))
        other.send(get(stream) if stream < 7 else post(stream))
        assert one.engine.respond(stream, fields, b"ok")
        assert one.engine.has_output
        other.engine.head(stream, fields, False)
        other.engine.body(stream, b"ok", True)
        assert one.frames() == other.frames()
        assert one.engine.room(0) == other.engine.room(0)
    assert not one.send(window_update(1, 1))  # it has ended
    assert one.send(data(7, b"x", end=True)) == [Data(7, b"x", 1, True)]


@EACH_ENGINE
def test_a_whole_response_is_sent_if_the_client_allows_it_now(name: str) -> None:
    one = Examined(name)
    engine = one.engine
    one.send(settings((Setting.INITIAL_WINDOW_SIZE, 20_000)) + get(1) + get(3) + get(5) + get(7))
    one.frames()
    assert not engine.respond(1, OK, bytes(16_385))  # too long for one frame
    one.send(settings((Setting.INITIAL_WINDOW_SIZE, 2)))
    one.frames()
    assert not engine.respond(1, OK, b"abc")
    assert engine.respond(1, OK, b"ok")
    assert [frame.kind for frame in one.frames()] == [Kind.HEADERS, Kind.DATA]
    one.send(settings((Setting.INITIAL_WINDOW_SIZE, 20_000)))
    engine.head(3, OK[:1], False)
    while engine.room(3) > 2:  # what is left is the connection's window
        engine.body(3, bytes(min(16_384, engine.room(3) - 2)), False)
        one.send(window_update(3, 16_384))
    one.frames()
    assert not engine.respond(5, OK, b"abc")
    assert engine.respond(5, OK, b"ok")
    one.send(reset(7))
    assert not engine.respond(7, OK, b"ok")
    assert [frame.stream for frame in one.frames()] == [5, 5]


@EACH_ENGINE
def test_calls_are_sent_in_their_order(name: str) -> None:
    one = Examined(name)
    one.send(post(1) + post(3))
    engine = one.engine
    engine.go_away(ANY_STREAM, ErrorCode.NO_ERROR)
    engine.head(1, OK, False)
    engine.body(1, b"ok", True)
    engine.reset(1, ErrorCode.NO_ERROR)
    engine.head(3, OK[:1], True)
    engine.reset(3, ErrorCode.NO_ERROR)
    engine.go_away(3, ErrorCode.NO_ERROR, b"bye")
    told = one.frames()
    assert [(frame.kind, frame.stream) for frame in told] == [
        (Kind.GOAWAY, 0), (Kind.HEADERS, 1), (Kind.DATA, 1), (Kind.RST_STREAM, 1),
        (Kind.HEADERS, 3), (Kind.RST_STREAM, 3), (Kind.GOAWAY, 0),
    ]  # fmt: skip
    assert told[0].payload == bytes([0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
    assert told[-1].payload == bytes([0, 0, 0, 3, 0, 0, 0, 0]) + b"bye"


@EACH_ENGINE
def test_streams_go_on_behind_our_goaway(name: str) -> None:
    one = Examined(name)
    one.send(post(1))
    one.engine.go_away(1, ErrorCode.NO_ERROR)
    assert one.send(data(1, b"x", end=True) + get(3))[-1] == Head(3, head(), True)
    one.engine.head(1, OK[:1], True)
    assert [frame.kind for frame in one.frames()] == [Kind.GOAWAY, Kind.HEADERS]


@EACH_ENGINE
def test_a_call_about_a_stream_that_is_not_there_does_nothing(name: str) -> None:
    one = Examined(name)
    one.send(get(1) + post(3) + reset(3))
    one.engine.head(1, OK[:1], True)
    one.frames()
    for stream in (1, 3, 5):
        one.engine.head(stream, OK, False)
        one.engine.body(stream, b"ok", True)
        one.engine.trailers(stream, OK[1:])
        one.engine.reset(stream, ErrorCode.CANCEL)
        assert one.engine.room(stream) <= 0
        assert not one.engine.respond(stream, OK, b"ok")
    assert not one.frames()


@EACH_ENGINE
def test_a_ping_of_ours_is_answered(name: str) -> None:
    one = Examined(name)
    one.engine.ping(b"are you?")
    assert [(frame.kind, frame.payload) for frame in one.frames()] == [(Kind.PING, b"are you?")]
    assert one.send(frame(Kind.PING, ACK, 0, b"are you?")) == [Pong(b"are you?")]


@EACH_ENGINE
def test_fields_are_compressed_within_the_clients_table(name: str) -> None:
    one = Examined(name)
    fields = [(b":status", b"200"), (b"x-long", b"y" * 200)]
    sizes: list[int] = []
    for stream in (1, 3, 5, 7):
        if stream == 5:
            one.send(settings((Setting.HEADER_TABLE_SIZE, 0)))
        one.send(get(stream))
        one.engine.head(stream, fields, True)
        (told,) = of_kind(one, Kind.HEADERS)
        assert one.fields(told) == fields
        sizes.append(len(told.payload))
    assert sizes[1] < 10 < 100 < min(sizes[0], sizes[2], sizes[3])


@EACH_ENGINE
def test_an_engine_forgets_streams(name: str) -> None:
    """A frame that comes too late is told from a wrong one while the stream is remembered; behind
    that it is dropped, or refused."""
    one = Examined(name)
    for stream in range(1, 2_001, 2):
        one.send(get(stream))
        one.engine.head(stream, OK[:1], True)
        one.frames()
    assert verdict(one.send(window_update(1, 1) + window_update(1_999, 1))).end is End.NOTHING
    assert verdict(one.send(data(1_999, b"x"))).code is ErrorCode.STREAM_CLOSED


def test_late_trailers_of_a_stream_that_we_have_reset_long_ago_end_no_connection() -> None:
    """They may have been under way for long, beside a thousand others. (h2 ends it.)"""
    one = Examined("builtin", max_streams=1_000)
    for stream in range(1, 1_001, 2):
        one.send(post(stream))
        one.engine.reset(stream, ErrorCode.CANCEL)
    one.send(headers(1, [(b"x-sum", b"1")]) + get(1_001))
    assert verdict(one.events).end is not End.CONNECTION
    assert one.events[-1] == Head(1_001, head(), True)
