"""What an app says of a response between two batches travels in as few messages as can carry it."""

import tracemalloc

import pytest
from propylon.protocol.calls import Call
from propylon.protocol.codec import (
    RESPONSE_FRAME,
    encode,
    encode_request_body,
    encode_response,
    encode_response_body,
    with_end,
)
from propylon.protocol.messages import (
    END,
    EVENT,
    MAX_BODY,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_START,
    Message,
)
from propylon.protocol.outbox import LARGE, Outbox
from propylon.protocol.response_batch import MOST_PIECES
from propylon.protocol.send_buffer import MOST_BUFFERS
from propylon.protocol.worker_link import WorkerLink

from .pair import SCOPE, exchange, opened, output, pair

HEAD = ((b"content-type", b"text/event-stream"),)


def say(worker: WorkerLink, call: Call, *bodies: bytes) -> None:
    """A head, and bodies with more to come."""
    worker.start_response(call, 200, HEAD)
    for body in bodies:
        worker.send_body(call, body, True)


def test_all_of_a_response_is_one_message() -> None:
    _, _, worker, call = opened()
    events = [b"data: %d\n\n" % number for number in range(100)]
    say(worker, call, *events)
    worker.send_body(call, b"", False)
    worker.end(call)
    assert output(worker) == [(RESPONSE, 1, 200, HEAD, b"".join(events), True)]


@pytest.mark.parametrize("body", [b"", b"end"])
def test_one_that_has_not_left_the_app(body: bytes) -> None:
    _, _, worker, call = opened()
    say(worker, call, b"some,")
    worker.send_body(call, body, False)
    assert output(worker) == [(RESPONSE, 1, 200, HEAD, b"some," + body, False)]
    worker.end(call)
    assert output(worker) == [(END, 1)]


def test_what_goes_on_is_a_head_and_a_body() -> None:
    _, _, worker, call = opened()
    say(worker, call, b"a", b"b")
    assert output(worker) == [
        (RESPONSE_START, 1, 200, HEAD),
        (RESPONSE_BODY, 1, b"ab", True, False),
    ]
    worker.send_body(call, b"c", True)
    worker.send_body(call, b"d", False)
    worker.end(call)
    assert output(worker) == [(RESPONSE_BODY, 1, b"cd", False, True)]


def test_nothing_waits_for_more() -> None:
    """A head alone, a body alone and an end alone go out with their batch."""
    _, _, worker, call = opened()
    worker.start_response(call, 200, HEAD)
    assert output(worker) == [(RESPONSE_START, 1, 200, HEAD)]
    worker.send_body(call, b"x", True)
    assert output(worker) == [(RESPONSE_BODY, 1, b"x", True, False)]
    worker.send_body(call, b"", False)
    assert output(worker) == [(RESPONSE_BODY, 1, b"", False, False)]


def answering() -> tuple[WorkerLink, Call]:
    """One call, with credit for much."""
    _, _, worker, call = opened()
    call.send_credit = 10**9
    return worker, call


@pytest.mark.parametrize(("first", "second"), [(MAX_BODY, 0), (MAX_BODY - 1, 1), (1, MAX_BODY - 1)])
def test_as_much_as_one_message_carries(first: int, second: int) -> None:
    worker, call = answering()
    say(worker, call, bytes(first))
    worker.send_body(call, bytes(second), False)
    worker.end(call)
    assert output(worker) == [(RESPONSE, 1, 200, HEAD, bytes(MAX_BODY), True)]


def test_more_than_one_message_carries() -> None:
    worker, call = answering()
    say(worker, call, bytes(MAX_BODY))
    worker.send_body(call, b"x", False)
    worker.end(call)
    assert output(worker) == [
        (RESPONSE_START, 1, 200, HEAD),
        (RESPONSE_BODY, 1, bytes(MAX_BODY), True, False),
        (RESPONSE_BODY, 1, b"x", False, True),
    ]


def test_a_head_that_leaves_no_room_for_the_body() -> None:
    """Each is within the peer's limit, and both together are not."""
    worker, call = answering()
    worker._outbox.max_message = 131_072  # pyright: ignore[reportPrivateUsage]
    head = ((b"a", bytes(80_000)),)
    worker.start_response(call, 200, head)
    worker.send_body(call, bytes(60_000), False)
    assert output(worker) == [
        (RESPONSE_START, 1, 200, head),
        (RESPONSE_BODY, 1, bytes(60_000), False, False),
    ]


def test_many_tiny_pieces_do_not_stay_apart() -> None:
    """As objects they would take ten times the memory that their credit allows for."""
    worker, call = answering()
    worker.start_response(call, 200, HEAD)
    count = 50 * MOST_PIECES
    tracemalloc.start()
    try:
        for number in range(count):
            worker.send_body(call, b"%04d" % (number % 10_000), True)
        assert tracemalloc.get_traced_memory()[1] < 2 * 4 * count
    finally:
        tracemalloc.stop()
    batch = worker.take_batch()
    assert len(batch) < MOST_BUFFERS
    assert sum(map(len, batch)) > 4 * count


def test_an_event_comes_behind_what_was_said_before_it() -> None:
    worker, call = answering()
    say(worker, call, b"before")
    worker.event(call, {"type": "x"})
    worker.send_body(call, b"after", False)
    worker.end(call)
    assert output(worker) == [
        (RESPONSE_START, 1, 200, HEAD),
        (RESPONSE_BODY, 1, b"before", True, False),
        (EVENT, 1, {"type": "x"}),
        (RESPONSE_BODY, 1, b"after", False, True),
    ]


def test_a_call_that_fails_takes_back_what_nobody_has_heard() -> None:
    worker, call = answering()
    say(worker, call, b"never heard")
    worker.reset(call, 3, "the app raised")
    worker.end(call)
    assert output(worker) == [(RESET, 1, 3, "the app raised"), (END, 1)]


def test_what_the_gateway_has_heard_stays_said() -> None:
    worker, call = answering()
    say(worker, call, b"heard")
    assert len(output(worker)) == 2
    worker.send_body(call, b"never heard", True)
    worker.reset(call, 3, "the app raised")
    worker.end(call)
    assert output(worker) == [(RESET, 1, 3, "the app raised"), (END, 1)]


def test_an_app_that_returns_in_the_middle() -> None:
    worker, call = answering()
    say(worker, call, b"half")
    worker.end(call)
    assert output(worker) == [
        (RESPONSE_START, 1, 200, HEAD),
        (RESPONSE_BODY, 1, b"half", True, False),
        (END, 1),
    ]


def test_calls_do_not_mix() -> None:
    gateway, worker = pair()
    for _ in range(3):
        gateway.open(Call(), SCOPE, b"", False, 0)
    exchange(gateway, worker)
    calls = list(worker.calls.values())
    for call in calls:
        worker.start_response(call, 200, HEAD)
    for number in range(4):
        for call in calls:
            worker.send_body(call, b"%d-%d " % (call.call_id, number), number < 3)
    assert [message[4] for message in output(worker) if message[0] == RESPONSE] == [
        b"%d-0 %d-1 %d-2 %d-3 " % ((call.call_id,) * 4) for call in calls
    ]


# -- buffers ---------------------------------------------------------------------------------

IDS = [1, 127, 128, 70_000, 2**53 - 1]
SIZES = [0, 1, 255, 256, MAX_BODY - 1, MAX_BODY]


@pytest.mark.parametrize("call_id", IDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flag", [False, True])
def test_messages_made_of_buffers_are_what_the_packer_makes(
    call_id: int, size: int, flag: bool
) -> None:
    body = bytes(range(256)) * 256
    pieces = [body[: size // 2], body[size // 2 : size]]
    start: Message = (RESPONSE_START, call_id, 200, HEAD)
    same: list[tuple[Message, list[bytes] | tuple[bytes, ...]]] = [
        (
            (REQUEST_BODY, call_id, body[:size], flag),
            encode_request_body(call_id, body[:size], flag),
        ),
        (
            (RESPONSE_BODY, call_id, body[:size], flag, not flag),
            encode_response_body(call_id, pieces, size, flag, not flag),
        ),
        (
            (RESPONSE, call_id, 200, HEAD, body[:size], flag),
            encode_response(encode(start), pieces, size, flag),
        ),
    ]
    for message, buffers in same:
        assert b"".join(buffers) == encode(message)
    whole = encode((RESPONSE, call_id, 200, HEAD, body[:size], False))
    assert with_end(whole) == encode((RESPONSE, call_id, 200, HEAD, body[:size], True))
    assert len(whole) < len(encode(start)) + size + RESPONSE_FRAME


def test_large_buffers_are_not_copied() -> None:
    outbox = Outbox(lambda: None, 10**6)
    large, small = bytes(LARGE), b"small"
    for _ in range(3):
        outbox.put_body(1, (small, large, small))
    batch = outbox.take()
    assert [data is large for data in batch] == [False, True, False, True, False, True, False]
    assert b"".join(batch) == (small + large + small) * 3
    assert not outbox
    outbox.put(small)
    outbox.put(small)
    assert outbox.take() == [small * 2]


def test_a_body_goes_from_the_app_to_the_socket_as_it_is() -> None:
    worker, call = answering()
    block = bytes(16_384)
    say(worker, call, block, block)
    assert sum(data is block for data in worker.take_batch()) == 2
