"""Frames read here and frames read by wsproto say the same, wherever the bytes are cut."""

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from propylon.gateway.settings import WebSocketSettings
from propylon.gateway.websocket.frames import (
    LEAST_PIECE,
    MOST_FRAMES,
    MOST_PLAIN,
    Closed,
    Failed,
    Messages,
    Piece,
    Reply,
    WebSocketEvent,
    WebSocketMachine,
    negotiate_deflate,
)
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

LIMIT = 70_000
SETTINGS = WebSocketSettings(max_size=LIMIT)
KEY = b"\x01\x82\x30\xff"


def frame(first: int, payload: bytes, *, mask: bool = True, length: bytes = b"") -> bytes:
    """`length`: the extended length, if not the shortest."""
    size = len(payload)
    if length:
        short = 126 if len(length) == 2 else 127
    elif size < 126:
        short = size
    elif size <= 0xFFFF:
        short, length = 126, size.to_bytes(2, "big")
    else:
        short, length = 127, size.to_bytes(8, "big")
    if not mask:
        return bytes([first, short]) + length + payload
    key = (KEY * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return bytes([first, 0x80 | short]) + length + KEY + masked.to_bytes(size, "big")


def said(machine: WebSocketMachine, pieces: list[bytes], most: int = MOST_FRAMES) -> list[object]:
    """Whole messages and what else was heard, up to the end."""
    heard: list[object] = []
    parts: list[bytes | str] = []
    for data in pieces:
        machine.receive(data)
        for event in events_of(machine, most):
            if isinstance(event, Messages):
                heard += [join([message]) for message in event.data]
            elif isinstance(event, Piece):
                parts.append(event.data)
                if not event.more:
                    heard.append(join(parts))
                    parts = []
            elif isinstance(event, Reply):
                heard.append(event.data)
            else:
                heard.append((type(event).__name__, event.code))
    return heard


def events_of(machine: WebSocketMachine, most: int = MOST_FRAMES) -> Iterator[WebSocketEvent]:
    """What it has received says, in as many reads as that takes."""
    yield from machine.read(most)
    while machine.unread:
        yield from machine.read(most)


def join(parts: list[bytes | str]) -> tuple[str, bytes]:
    text = isinstance(parts[0], str)
    data = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return ("text" if text else "binary"), data


def said_by_wsproto(pieces: list[bytes]) -> list[object]:
    connection = Connection(ConnectionType.SERVER, [])
    heard: list[object] = []
    parts: list[bytes | str] = []
    for data in pieces:
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if sum(len(join([part])[1]) for part in parts) > LIMIT:
                    return [*heard, (Failed.__name__, 1009)]
                if event.message_finished:
                    heard.append(join(parts))
                    parts = []
            elif isinstance(event, Ping):
                heard.append(connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                failed = connection.state is ConnectionState.OPEN
                return [*heard, ((Failed if failed else Closed).__name__, int(event.code))]
    return heard


PAYLOADS = st.one_of(
    st.binary(max_size=140),
    st.text(max_size=60).map(str.encode),
    st.sampled_from([b"", bytes(125), bytes(126), bytes(65_535), bytes(65_536), bytes(LIMIT + 1)]),
)
FIRSTS = st.one_of(
    st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A]),  # what may come
    st.sampled_from([0x88, 0x09, 0xC1, 0x91, 0x83, 0x8B]),  # an end, in one way or another
)
FRAMES = st.one_of(
    st.builds(frame, FIRSTS, PAYLOADS),
    st.builds(frame, FIRSTS, PAYLOADS, mask=st.booleans()),
    st.just(frame(0x82, b"long", length=b"\0\4")),
    st.just(frame(0x82, b"long", length=bytes(7) + b"\4")),
)


@given(frames=st.lists(FRAMES, max_size=6), step=st.integers(1, 300))
@example(frames=[frame(0x81, b"a"), frame(0x01, b"b"), frame(0x81, b"c")], step=1)
@example(frames=[frame(0x81, b"\xc3"), frame(0x81, b"\xa4")], step=1000)
@example(frames=[frame(2, b"x" * 125)] + [frame(0, b"x" * 125)] * 1_000, step=99_999)
def test_both_ways_to_read_agree(frames: list[bytes], step: int) -> None:
    data = b"".join(frames)
    step = max(step, len(data) // 200)
    cuts = [data[i : i + step] for i in range(0, len(data), step)]
    expected = said_by_wsproto(cuts)
    assert said(WebSocketMachine(SETTINGS, None), [data] if data else []) == expected
    assert said(WebSocketMachine(SETTINGS, None), cuts) == expected


SMALL = [
    frame(first, payload)
    for first in (0x81, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A)
    for payload in (b"", b"a", b"\xc3", b"\xa4", b"\xc3\xa4", bytes(125))
]


@given(
    frames=st.lists(st.sampled_from(SMALL), max_size=20),
    step=st.sampled_from([1, 7, 40, 10_000]),
    most=st.integers(1, 5),
)
@example(frames=[frame(1, b"\xc3"), frame(0x8A, b""), frame(0x80, b"\xa4")], step=99, most=9)
def test_small_frames_say_the_same(frames: list[bytes], step: int, most: int) -> None:
    data = b"".join(frames)
    cuts = [data[i : i + step] for i in range(0, len(data), step)]
    assert said(WebSocketMachine(SETTINGS, None), cuts, most) == said_by_wsproto(cuts)


@given(
    messages=st.lists(st.one_of(st.text(max_size=80), st.binary(max_size=300)), max_size=8),
    more=st.lists(st.booleans(), min_size=8, max_size=8),
    deflate=st.booleans(),
)
def test_what_is_sent_can_be_read(
    messages: list[str | bytes], more: list[bool], deflate: bool
) -> None:
    """Also when fragments and whole messages, compressed or not, follow each other."""
    extension, answer = None, b""
    if deflate:
        extension, answer = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    server = WebSocketMachine(SETTINGS, extension)
    theirs = None
    if answer:
        theirs = PerMessageDeflate(server_max_window_bits=12)
        theirs.finalize("permessage-deflate")
    client = Connection(ConnectionType.CLIENT, [] if theirs is None else [theirs])
    expected: list[tuple[str, bytes]] = []
    for message, cut in zip(messages, more, strict=False):
        half = len(message) // 2
        if cut:
            client.receive_data(server.message(message[:half], True))
            client.receive_data(server.message(message[half:], False))
        else:
            client.receive_data(server.message(message, False))
        expected.append(join([message]))
    heard: list[tuple[str, bytes]] = []
    parts: list[bytes | str] = []
    for event in client.events():
        assert isinstance(event, (TextMessage, BytesMessage))
        parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
        if event.message_finished:
            heard.append(join(parts))
            parts = []
    assert heard == expected


def test_a_read_has_an_end_and_says_whether_more_has_come() -> None:
    machine = WebSocketMachine(SETTINGS, None)
    small = [
        frame(0x81, b"x"),
        frame(0x8A, b""),
        frame(0x89, b""),
        frame(2, b"a"),
        frame(0x80, b""),
    ]
    machine.receive(b"".join(small) + frame(0x82, bytes(200)) + b"\x82")
    heard: list[list[WebSocketEvent]] = []
    for _ in range(5):
        heard.append(machine.read(1))
        assert machine.unread
    heard.append(machine.read(1))
    assert machine.unread, "the beginning of a header"
    assert machine.read(1) == []
    assert not machine.unread
    assert [len(events) for events in heard] == [1, 0, 1, 0, 1, 1]
    machine.receive(frame(0x82, b"!")[1:])
    assert machine.read(1) == [Messages([b"!"])]
    assert not machine.unread


def packed(message: bytes, *, full: bool = False) -> bytes:
    """A message as its sender compresses it."""
    compressor = zlib.compressobj(wbits=-12)
    data = compressor.compress(message)
    data += compressor.flush(zlib.Z_FULL_FLUSH if full else zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\0\0\xff\xff")


def test_a_read_ends_behind_many_bytes_that_were_few() -> None:
    settings = WebSocketSettings(max_size=MOST_PLAIN)
    deflate, _ = negotiate_deflate([b"permessage-deflate"], settings)
    data = frame(0xC2, packed(bytes(MOST_PLAIN // 2), full=True))
    machine = WebSocketMachine(settings, deflate)
    machine.receive(data * 5)
    assert_steps(machine, MOST_PLAIN // 2 * 5)


def test_a_read_ends_behind_few_frames_that_wsproto_has_read() -> None:
    """They are not small, so nothing puts them together, and each takes ten times as long."""
    machine = WebSocketMachine(WebSocketSettings(), None)
    count = MOST_FRAMES - 1
    machine.receive(frame(2, b"a") + frame(0, bytes(130)) * count)
    reads = 1
    machine.read()
    while machine.unread:
        machine.read()
        reads += 1
    assert reads >= 4


def test_one_frame_that_becomes_a_thousand_times_as_large_takes_many_reads() -> None:
    settings = WebSocketSettings(max_size=MOST_PLAIN * 20)
    for first, text in ((0xC1, True), (0xC2, False)):
        deflate, _ = negotiate_deflate([b"permessage-deflate"], settings)
        machine = WebSocketMachine(settings, deflate)
        machine.receive(frame(first, packed(b"x" * (MOST_PLAIN * 20))) + frame(0x89, b""))
        pieces = assert_steps(machine, MOST_PLAIN * 20)
        assert all(isinstance(piece.data, str) is text for piece in pieces)
        assert [piece.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def assert_steps(machine: WebSocketMachine, size: int) -> list[Piece]:
    """It gives so many bytes in pieces, and not too many of them in one read."""
    pieces: list[Piece] = []
    reads = 0
    while not reads or machine.unread:
        reads += 1
        there = [event for event in machine.read() if isinstance(event, Piece)]
        assert sum(len(piece.data) for piece in there) <= MOST_PLAIN + 65_536
        pieces += there
    assert sum(len(piece.data) for piece in pieces) == size
    assert reads >= size // (MOST_PLAIN + 65_536)
    return pieces


COMPRESSED = st.tuples(
    st.one_of(st.text(max_size=300), st.binary(max_size=300), st.just("ä" * 3_000)),
    st.integers(1, 400),  # bytes of each frame
    st.booleans(),  # is it compressed?
)


@given(
    messages=st.lists(COMPRESSED, min_size=1, max_size=4),
    step=st.sampled_from([1, 7, 90, 100_000]),
    takeover=st.booleans(),
    most=st.sampled_from([1, 3, MOST_FRAMES]),
)
@example(messages=[("", 1, True), (b"", 1, True), ("a", 1, False)], step=1, takeover=True, most=1)
def test_compressed_messages_however_they_are_cut(
    messages: list[tuple[str | bytes, int, bool]], step: int, takeover: bool, most: int
) -> None:
    offer = b"permessage-deflate" + (b"" if takeover else b"; client_no_context_takeover")
    deflate, _ = negotiate_deflate([offer], SETTINGS)
    compressor = zlib.compressobj(wbits=-12)
    data = b""
    for message, size, compressed in messages:
        payload = message.encode() if isinstance(message, str) else message
        if compressed:
            if not takeover:
                compressor = zlib.compressobj(wbits=-12)
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            payload = payload.removesuffix(b"\0\0\xff\xff")
        first = (1 if isinstance(message, str) else 2) | (0x40 if compressed else 0)
        pieces = [payload[i : i + size] for i in range(0, len(payload), size)] or [b""]
        for index, piece in enumerate(pieces):
            final = 0x80 if index == len(pieces) - 1 else 0
            data += frame((0 if index else first) | final, piece)
            data += frame(0x89, b"?") * (not final)
    step = max(step, len(data) // 300)
    cuts = [data[i : i + step] for i in range(0, len(data), step)]
    heard = said(WebSocketMachine(SETTINGS, deflate), cuts, most)
    assert [one for one in heard if one != b"\x8a\x01?"] == [join([one[0]]) for one in messages]


WRONG = {
    "not compressed with that bit": (frame(0xC2, b"\xff\xff\xff"), 1007),
    "not UTF-8": (frame(0xC1, packed(b"\xff")), 1007),
    "half a character at the end": (frame(0xC1, packed(b"\xc3")), 1007),
    "the bit on a continuation": (frame(0x42, b"") + frame(0xC0, packed(b"x")), 1002),
    "the bit on a ping": (frame(0xC9, b""), 1002),
    "another bit": (frame(0xE2, packed(b"x")), 1002),
    "without a mask": (frame(0xC2, packed(b"x"), mask=False), 1002),
    "not the shortest length": (frame(0xC2, packed(b"x"), length=b"\0\3"), 1002),
    "a new message within": (frame(0x42, b"") + frame(0x82, b"x"), 1002),
    "a new compressed message within": (frame(0x42, b"") + frame(0xC2, packed(b"x")), 1002),
    "one behind a plain beginning": (frame(0x02, b"") + frame(0xC2, packed(b"x")), 1002),
    "an opcode that is none": (frame(0xC3, packed(b"x")), 1002),
    "too large": (frame(0xC2, packed(bytes(LIMIT + 1))), 1009),
    "too large in pieces": (
        b"".join(frame(0x42 * (not i), b) for i, b in enumerate([packed(bytes(LIMIT + 1))] * 2)),
        1009,
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_compressed_messages(kind: str) -> None:
    data, code = WRONG[kind]
    for cuts in ([data], [data[i : i + 1] for i in range(len(data))]):
        deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
        machine = WebSocketMachine(SETTINGS, deflate)
        heard = said(machine, cuts)
        assert heard == [("Failed", code)]
        machine.receive(frame(0x81, b"more"))
        assert machine.read() == []
        assert not machine.unread


def test_compressed_messages_behind_our_close_are_dropped() -> None:
    deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    machine = WebSocketMachine(WebSocketSettings(max_size=2**24), deflate)
    bomb = packed(bytes(3 * MOST_PLAIN))
    machine.receive(frame(0x42, bomb))
    assert machine.read()
    assert machine.unread
    machine.close(1000, "")
    rest = frame(0, bomb) + frame(0x80, b"x") + frame(0xC1, b"\xff") + frame(0x88, b"\x03\xe8")
    machine.receive(rest)
    assert [type(event) for event in events_of(machine)] == [Closed]


def test_a_run_of_fragments_is_one_message() -> None:
    """Nothing of it is seen by itself: an event for each would cost more than the message."""
    machine = WebSocketMachine(SETTINGS, None)
    machine.receive(frame(1, b"a") + frame(0, b"b") * 98 + frame(0x8A, b"") + frame(0x80, b"c"))
    assert machine.read() == [Messages(["a" + "b" * 98 + "c"])]


def test_small_pieces_wait_for_each_other_however_they_come() -> None:
    """Each fragment comes alone, and is too small to be worth a message to the worker."""
    deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    for letter, opcode, extension in (("x", 1, None), ("x", 2, None), ("ä", 1, deflate)):
        machine = WebSocketMachine(SETTINGS, extension)
        pieces: list[Piece] = []
        data = letter.encode() * (2 * LEAST_PIECE)
        frames = [frame(0, data[i : i + 1]) for i in range(1, len(data))]
        for one in [frame(opcode, data[:1]), *frames, frame(0x80, b"")]:
            machine.receive(one)
            for event in machine.read():
                assert isinstance(event, Piece)
                pieces.append(event)
        assert [piece.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]
        assert all(len(piece.data) >= LEAST_PIECE for piece in pieces[:-1])
        assert len(pieces) == 3
        parts = [piece.data for piece in pieces]
        assert join(parts) == ("text" if opcode == 1 else "binary", data)


def test_a_large_fragment_waits_for_nothing() -> None:
    machine = WebSocketMachine(SETTINGS, None)
    machine.receive(frame(2, b"a") + frame(0, b"b" * LEAST_PIECE) + frame(0, b"c"))
    assert machine.read() == [Piece(b"a" + b"b" * LEAST_PIECE, True)]
    machine.receive(frame(0x80, b"d"))
    assert machine.read() == [Piece(b"cd", False)]


def test_fragments_of_a_compressed_message_are_put_together() -> None:
    deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    hello = packed(b"hello " * 9)
    small = [frame(0, hello[i : i + 1]) for i in range(1, len(hello))]
    data = frame(0x41, hello[:1]) + b"".join(small) + frame(0x80, b"") + frame(0x81, b"next")
    heard = said(WebSocketMachine(SETTINGS, deflate), [data])
    assert heard == [("text", b"hello " * 9), ("text", b"next")]


def test_what_is_held_is_counted_wherever_it_is() -> None:
    machine = WebSocketMachine(SETTINGS, None)
    machine.receive(frame(2, b"a" * 100) + frame(0, b"b" * 50))
    assert machine.read() == []
    assert machine.held == 150
    machine.receive(frame(0x80, b"c" * 9))
    assert machine.read() == [Piece(b"a" * 100 + b"b" * 50 + b"c" * 9, False)]
    assert machine.held == 0
    deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    machine = WebSocketMachine(WebSocketSettings(max_size=10**9), deflate)
    bomb = packed(bytes(30 * MOST_PLAIN))
    machine.receive(frame(0xC2, bomb))
    machine.read()
    assert machine.held > len(bomb) // 2
    for _ in events_of(machine):
        pass
    assert machine.held == 0


def test_a_message_of_many_fragments_is_bounded() -> None:
    machine = WebSocketMachine(WebSocketSettings(max_size=100), None)
    over = frame(2, b"a") + frame(0, b"b") * 99 + frame(0x80, b"c")
    assert said(machine, [over]) == [("Failed", 1009)]


def test_a_ping_between_compressed_fragments() -> None:
    """wsproto forgets that the message is compressed (its pull request 205)."""
    deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    hello = packed(b"hello " * 9)
    data = frame(0x41, hello[:5]) + frame(0x89, b"there?") + frame(0x80, hello[5:])
    ping, message = said(WebSocketMachine(SETTINGS, deflate), [data])
    assert (ping, message) == (b"\x8a\x06there?", ("text", b"hello " * 9))


def test_a_message_may_end_its_compressor() -> None:
    """RFC 7692 section 7.2.3.4's own example, and another message behind it."""
    deflate, _ = negotiate_deflate([b"permessage-deflate"], SETTINGS)
    message = frame(0xC1, bytes.fromhex("f348cdc9c9070000"))
    assert said(WebSocketMachine(SETTINGS, deflate), [message, message]) == [("text", b"Hello")] * 2
