"""What reaches the decoder from a peer that is broken or hostile."""

from itertools import pairwise

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from propylon.protocol.codec import MAX_ARRAY, RECEIVE_SIZE, Decoder, encode
from propylon.protocol.errors import RemoteProtocolError
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.messages import EVENT, KIND_NAMES
from propylon.protocol.worker_link import WorkerLink

from .pair import Bell, greeting, opened

LIMIT = 131_072


def feed_in_pieces(decoder: Decoder, data: bytes, size: int) -> int:
    return sum(len(list(decoder.feed(data[i : i + size]))) for i in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 1_000, RECEIVE_SIZE])
def test_a_message_of_the_limit_passes(size: int) -> None:
    frame = len(encode((EVENT, 1, {"b": bytes(100_000)}))) - 100_000
    data = encode((EVENT, 1, {"b": bytes(LIMIT - frame)}))
    assert len(data) == LIMIT
    decoder = Decoder(LIMIT)
    assert feed_in_pieces(decoder, data * 3, size) == 3


OVERSIZED = {
    "one string": {"b": "x" * 4 * LIMIT},
    "one value": {"b": bytes(4 * LIMIT)},
    # The unpacker's limits are per value, and these stay far below them.
    "many values": {"b": [bytes(100_000)] * 100},
    "arrays in arrays": {"b": [[bytes(4_000)] * 100] * 100},
}


@pytest.mark.parametrize("size", [1_000, 65_536, RECEIVE_SIZE])
@pytest.mark.parametrize("event", OVERSIZED.values(), ids=OVERSIZED)
def test_an_oversized_message_is_refused_before_it_is_held(event: object, size: int) -> None:
    data: bytes = msgpack.packb([EVENT, 1, event])
    decoder = Decoder(LIMIT)
    held = data[: LIMIT + 2 * RECEIVE_SIZE]
    with pytest.raises(RemoteProtocolError):
        feed_in_pieces(decoder, held, size)


def test_a_batch_of_more_than_the_limit_is_no_oversized_message() -> None:
    data = encode((EVENT, 1, {"b": bytes(50_000)}))
    decoder = Decoder(LIMIT)
    assert feed_in_pieces(decoder, data * 100, RECEIVE_SIZE) == 100


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_array_limit(kind: int) -> None:
    with pytest.raises(RemoteProtocolError):
        list(Decoder().feed(msgpack.packb([kind] + [1] * MAX_ARRAY)))


MSGPACK_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=20)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8)),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
NEARLY = st.lists(MSGPACK_VALUES, max_size=7).flatmap(
    lambda fields: st.sampled_from([*KIND_NAMES, 21]).map(lambda kind: [kind, *fields])
)
"""Right kinds with fields that are probably wrong."""
LIKELY = st.sampled_from(
    [1, 1, 2, 0, 200, b"", b"x", "x", True, False, (), {}, (1,), ((b"a", b"b"),)]
)
CLOSE = st.tuples(st.sampled_from([*KIND_NAMES]), st.lists(LIKELY, max_size=5)).map(
    lambda pair: [pair[0], *pair[1]]
)
"""Right kinds with fields that are often right."""


@given(
    data=st.binary(max_size=200)
    | MSGPACK_VALUES.map(msgpack.packb)
    | st.lists(NEARLY | CLOSE, max_size=8).map(lambda rows: b"".join(map(msgpack.packb, rows))),
    cuts=st.lists(st.integers(0, 400), max_size=4),
    greeted=st.booleans(),
)
@example(data=b"\x80", cuts=[], greeted=True)
@example(data=b"\x91\x91\x80", cuts=[], greeted=True)
def test_whatever_comes_is_a_message_or_the_peer_s_fault(
    data: bytes, cuts: list[int], greeted: bool
) -> None:
    """Both ends, with a call open on them, only ever raise RemoteProtocolError."""
    if greeted:
        gateway, _, worker, _ = opened(more=True)
    else:
        gateway, worker = GatewayLink(greeting(), Bell()), WorkerLink(greeting(), Bell())
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for link in (gateway, worker):
        try:
            for start, stop in pairwise(edges):
                for _ in link.receive(data[start:stop]):
                    pass
        except RemoteProtocolError as error:
            link.bye(error.code, error.reason)
            assert list(link.receive(data)) == []
        assert link.take_output() or not link.has_output


ALL = b"".join(
    encode(message)
    for message in (
        (5, (1,)),
        (12, 1, 10),
        (8, 1, 200, ((b"a", b"b"),)),
        (6, 1, {"type": "x", "n": (1, None)}),
        (9, 1, b"12345", True, False),
        (15, 3),
        (9, 1, b"", False, False),
        (14, 1),
        (19, 0, "bye"),
    )
)


@pytest.mark.parametrize("cut", range(len(ALL) + 1))
def test_split_at_every_byte_gives_the_same_events(cut: int) -> None:
    gateway, call, _, _ = opened()
    heard = [*gateway.receive(ALL[:cut]), *gateway.receive(ALL[cut:])]
    assert [message[0] for _, message in heard] == [5, 12, 8, 6, 9, 15, 9, 14, 19]
    assert {mine for mine, _ in heard} == {call, None}
    assert not gateway.calls


@pytest.mark.parametrize(
    "body", [b"\x00" * 65_537, b"\x00" * 200_000], ids=["a byte more", "much more"]
)
@pytest.mark.parametrize("kind", ["OPEN", "REQUEST_BODY", "RESPONSE_BODY", "RESPONSE"])
def test_a_body_message_of_more_than_64_kib(kind: str, body: bytes) -> None:
    gateway, _, worker, _ = opened(more=True)
    message = {
        "OPEN": (4, 2, (), body, False, 0),
        "REQUEST_BODY": (7, 1, body, False),
        "RESPONSE_BODY": (9, 1, body, False, False),
        "RESPONSE": (10, 1, 200, (), body, True),
    }[kind]
    if kind == "RESPONSE_BODY":
        list(gateway.receive(encode((8, 1, 200, ()))))
    link = gateway if kind.startswith("RESPONSE") else worker
    with pytest.raises(RemoteProtocolError):
        list(link.receive(encode(message)))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "headers",
    [
        (b"name",),
        ("ab",),  # two characters, which would unpack
        (("name", b"value"),),
        ((b"name", "value"),),
        ((b"name", b"value", b"more"),),
        ((b"name",),),
        (7,),
        (None,),
        ({b"n": 1, b"v": 2},),
        ((b"good", b"one"), (b"name", None)),
    ],
)
@pytest.mark.parametrize("kind", ["RESPONSE", "RESPONSE_START"])
def test_headers_of_a_response_are_pairs_of_bytes(kind: str, headers: tuple[object, ...]) -> None:
    """Checked where they come in, so that no sink, filter or log has to."""
    gateway, _, _, _ = opened()
    message = (8, 1, 200, headers) if kind == "RESPONSE_START" else (10, 1, 200, headers, b"", True)
    with pytest.raises(RemoteProtocolError):
        list(gateway.receive(msgpack.packb(message)))
