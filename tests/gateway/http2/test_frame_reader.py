import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.http.grammar import HTTP2_PREFACE
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.flood_guard import Flood, FloodGuard
from propylon.gateway.http2.frame_reader import (
    HEADERS_UNITS,
    MOST_SHARE,
    MOST_UNITS,
    FrameFault,
    FrameReader,
)
from propylon.gateway.http2.frames import END_HEADERS, FrameKind
from propylon.gateway.settings import Http2Settings

from ...http2_frames import BEGINNING, PING, SETTINGS, data, frame, padded, raw_head, small_get

MOST_FRAME = 16_384


def reader() -> FrameReader:
    return FrameReader(MOST_FRAME, FloodGuard(Http2Settings(), 65_536, 0.0))


def begun() -> FrameReader:
    found = reader()
    found.receive(BEGINNING)
    assert found.share(0.0) == SETTINGS
    return found


def shares(one: FrameReader) -> list[bytes]:
    found = list[bytes]()
    while share := one.share(0.0):
        found.append(share)
    return found


WHOLE = {
    "one frame": small_get(1),
    "several": small_get(1, end=False) + data(1, b"abc") + data(1, b"", end=True) + PING,
    "a head in parts": frame(FrameKind.HEADERS, 0, 1, b"\x82")
    + frame(FrameKind.CONTINUATION, END_HEADERS, 1, b"\x84"),
    "an unknown kind": frame(0xBB, 0, 3, b"grease"),
}


@pytest.mark.parametrize("sent", WHOLE.values(), ids=WHOLE)
def test_whole_frames_are_passed_on_as_they_came(sent: bytes) -> None:
    one = begun()
    one.receive(sent)
    assert one.share(0.0) == sent
    assert not one.unread
    assert not one.in_head
    assert not one.in_data


FRAMES = st.lists(
    st.one_of(
        st.integers(1, 9).map(lambda n: small_get(2 * n - 1)),
        st.binary(min_size=1, max_size=300).map(lambda body: data(1, body)),
        st.just(PING),
        st.binary(max_size=20).map(lambda body: padded(FrameKind.DATA, 0, 1, body + b"x", 7)),
        st.just(
            frame(FrameKind.HEADERS, 0, 1, b"\x82") + frame(FrameKind.CONTINUATION, END_HEADERS, 1)
        ),
    ),
    max_size=40,
)


@given(FRAMES, st.lists(st.integers(1, 400), max_size=60))
def test_any_cutting_gives_the_same_frames(frames: list[bytes], cuts: list[int]) -> None:
    sent = BEGINNING + b"".join(frames)
    ends, at = {0, len(SETTINGS)}, len(SETTINGS)
    for each in frames:  # a header block that began may end a share
        first = 10 if each[3] == FrameKind.HEADERS and not each[4] & END_HEADERS else 0
        ends |= {at + first, at + len(each)} if first else {at + len(each)}
        at += len(each)
    one, got, rest = reader(), b"", sent
    for size in [*cuts, len(sent)]:
        one.receive(rest[:size])
        rest = rest[size:]
        for share in shares(one):
            got += share
            assert len(got) in ends
        assert one.unread <= len(sent) - len(rest) - len(got)
    assert HTTP2_PREFACE + got == sent
    assert not one.unread


def test_a_share_has_so_many_frames() -> None:
    one = begun()
    one.receive(data(1, b"x") * (3 * MOST_UNITS) + data(1, b"y") * 5)
    first = [len(share) // 10 for share in shares(one)]
    assert first == [MOST_UNITS, MOST_UNITS, MOST_UNITS, 5]


def test_requests_count_as_several_frames() -> None:
    one = begun()
    size = len(small_get(1))
    one.receive(b"".join(small_get(2 * n + 1) for n in range(50)))
    most = -(-MOST_UNITS // HEADERS_UNITS)
    assert [len(share) // size for share in shares(one)] == [most, most, 50 - 2 * most]


def test_who_wastes_requests_has_small_shares_until_they_are_paid_for() -> None:
    guard = FloodGuard(Http2Settings(), 65_536, 0.0)
    one = FrameReader(MOST_FRAME, guard)
    one.receive(BEGINNING)
    assert one.share(0.0) == SETTINGS
    asked = b"".join(map(small_get, range(1, 41, 2)))

    def requests(now: float) -> list[int]:
        found = list[int]()
        one.receive(asked)
        while share := one.share(now):
            found.append(len(share) // len(small_get(1)))
        return found

    usual = requests(0.0)
    for _ in range(100):
        guard.client_reset(True, 0.0)
    assert max(requests(0.0)) == 3 < max(usual)
    assert requests(60.0) == usual, "time has paid for them"


def test_large_heads_count_as_more() -> None:
    one = begun()
    large = raw_head(b"\xbe" * 1_000, 1)
    one.receive(large * 5)
    assert [len(share) // len(large) for share in shares(one)] == [2, 2, 1]


def test_a_share_has_so_many_bytes() -> None:
    one = begun()
    full = data(1, bytes(MOST_FRAME))
    one.receive(full * 40)
    first = one.share(0.0)
    assert MOST_SHARE <= len(first) < MOST_SHARE + len(full)
    assert first + b"".join(shares(one)) == full * 40


@pytest.mark.parametrize(
    ("sent", "in_head", "in_data"),
    [
        (b"\0", True, False),
        (small_get(1)[:-1], True, False),
        (frame(FrameKind.HEADERS, 0, 1, b"\x82"), True, False),
        (frame(FrameKind.HEADERS, 0, 1, b"\x82") + frame(9, END_HEADERS, 1, b"a"), False, False),
        (
            frame(FrameKind.HEADERS, 0, 1, b"\x82") + frame(FrameKind.CONTINUATION, 0, 1, b"\x84"),
            True,
            False,
        ),
        (PING[:-1], True, False),
        (data(1, b"abc")[:-1], False, True),
        (data(1, b"abc"), False, False),
    ],
)
def test_what_it_waits_for(sent: bytes, in_head: bool, in_data: bool) -> None:
    one = begun()
    one.receive(sent)
    shares(one)
    assert (one.in_head, one.in_data) == (in_head, in_data)


def test_what_it_waits_for_changes() -> None:
    one = begun()
    one.receive(data(1, b"abc")[:-1])
    assert not one.share(0.0)
    one.receive(b"c\0")
    assert one.share(0.0)
    assert one.in_head
    assert not one.in_data


def test_before_the_preface_it_waits_for_a_head() -> None:
    one = reader()
    one.receive(BEGINNING[:5])
    assert not one.share(0.0)
    assert one.in_head
    one.receive(BEGINNING[5:])
    assert one.share(0.0) == SETTINGS
    assert not one.in_head


def test_frames_that_wait_for_the_next_turn_are_no_beginning() -> None:
    one = begun()
    one.receive(data(1, b"x") * (MOST_UNITS + 1))
    one.share(0.0)
    assert one.unread
    assert not one.in_head
    assert not one.in_data


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!",
        b"P!",
    ],
)
def test_a_connection_begins_with_its_preface(sent: bytes) -> None:
    one = reader()
    one.receive(sent)
    with pytest.raises(FrameFault) as caught:
        one.share(0.0)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("kind", [FrameKind.DATA, FrameKind.HEADERS, FrameKind.SETTINGS, 0xBB])
def test_a_frame_that_is_too_long_is_not_waited_for(kind: int) -> None:
    one = begun()
    one.receive(frame(kind, 0, 1, bytes(MOST_FRAME + 1))[:9])
    with pytest.raises(FrameFault) as caught:
        one.share(0.0)
    assert caught.value.code == ErrorCode.FRAME_SIZE_ERROR


# -- what the guard is told --------------------------------------------------------------------

FLOODS = {
    "continuation": frame(FrameKind.HEADERS, 0, 1, b"\x82")
    + frame(FrameKind.CONTINUATION, 0, 1) * 9,
    "empty_data": data(1, b"") * 300,
    "ping": PING * 300,
    "settings": SETTINGS * 300,
    "window_update": frame(FrameKind.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 2_000,
    "priority": frame(FrameKind.PRIORITY, 0, 1, b"\0\0\0\0\0") * 2_000,
    "priority_update": frame(FrameKind.PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1") * 2_000,
    "rst_stream": frame(FrameKind.RST_STREAM, 0, 1, b"\0\0\0\0") * 2_000,
    "goaway": frame(FrameKind.GOAWAY, 0, 0, bytes(8)) * 50,
    "unknown_frame": frame(0xBB, 0, 1) * 2_000,
}


@pytest.mark.parametrize(("reason", "sent"), FLOODS.items(), ids=FLOODS)
def test_a_flood_is_told(reason: str, sent: bytes) -> None:
    one = begun()
    one.receive(sent)
    with pytest.raises(Flood) as caught:
        shares(one)
    assert caught.value.reason == reason
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


def test_padding_alone_is_empty_data() -> None:
    one = begun()
    one.receive(padded(FrameKind.DATA, 0, 1, b"", 20) * 300)
    with pytest.raises(Flood, match="without data"):
        shares(one)


NONE = {
    "small data": data(1, b"x") * 5_000,
    "padded data": padded(FrameKind.DATA, 0, 1, b"x", 200) * 5_000,
    "data that ends": b"".join(data(n, b"", end=True) for n in range(1, 5_000, 2)),
    "requests": b"".join(small_get(n) for n in range(1, 5_000, 2)),
    "requests with a WINDOW_UPDATE each": b"".join(
        small_get(n) + frame(FrameKind.WINDOW_UPDATE, 0, n, b"\0\0\0\1") for n in range(1, 5_000, 2)
    ),
}


@pytest.mark.parametrize("sent", NONE.values(), ids=NONE)
def test_what_is_no_flood(sent: bytes) -> None:
    one = begun()
    one.receive(sent)
    assert b"".join(shares(one)) == sent


def test_a_head_in_one_large_frame_has_the_same_limit() -> None:
    one = FrameReader(1 << 20, FloodGuard(Http2Settings(), 65_536, 0.0))
    one.receive(BEGINNING + raw_head(bytes(131_072), 1))
    assert one.share(0.0)
    one.receive(raw_head(bytes(131_073), 3))
    with pytest.raises(Flood, match="header block"):
        shares(one)


def test_trailers_and_the_reserved_bit_are_no_new_streams() -> None:
    """Else a client could pay for resets with heads that open nothing."""
    one = begun()
    reset = frame(FrameKind.RST_STREAM, 0, 1, b"\0\0\0\0")
    one.receive(small_get(1, end=False) + (small_get(1 | 1 << 31) + reset) * 2_000)
    with pytest.raises(Flood, match="RST_STREAM"):
        shares(one)
