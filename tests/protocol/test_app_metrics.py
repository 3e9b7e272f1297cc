import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.app_metrics import (
    LONGEST_FRAME,
    FrameError,
    Frames,
    Introduction,
    answer,
    ask,
    frame,
    hello,
    read_ask,
    read_hello,
    read_json,
)

WHO = Introduction(pool="shop", worker=3, id=1 << 40, pid=17, generation=2, process="a" * 24)


@given(st.lists(st.integers(1, 40)))
def test_frames_come_in_any_pieces(cuts: list[int]) -> None:
    sent = hello(WHO) + ask(7) + answer(7, [1.5, float("inf")], {"failed": 1})
    frames, heard = Frames(), []
    for cut in [*cuts, len(sent)]:
        heard += frames.feed(sent[:cut])
        sent = sent[cut:]
    assert [kind for kind, _ in heard] == [b"H", b"Q", b"A"]
    assert read_hello(heard[0][1]) == WHO
    assert read_ask(heard[1][1]) == 7
    assert read_json(heard[2][1]) == [7, [1.5, float("inf")], {"failed": 1}]


@pytest.mark.parametrize("size", [0, LONGEST_FRAME + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_refused_at_once(size: int) -> None:
    with pytest.raises(FrameError):
        list(Frames().feed(size.to_bytes(4, "big")))


@pytest.mark.parametrize("payload", [b"", b"-1", b"1.5", b"9" * 19, "٣".encode()])
def test_an_ask_without_a_number(payload: bytes) -> None:
    with pytest.raises(FrameError):
        read_ask(payload)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[" * 100_000, b"[]", b"{}", b'{"process":7,"pool":"p"}']
)
def test_a_hello_that_is_none(payload: bytes) -> None:
    with pytest.raises(FrameError):
        read_hello(payload)


def test_what_a_hello_says_wrong_has_its_default() -> None:
    said = {"pool": "p", "process": "x" * 8, "worker": "1", "id": -1, "pid": True, "more": {}}
    assert read_hello(json.dumps(said).encode()) == Introduction(pool="p", process="x" * 8)


def test_a_frame_says_its_length() -> None:
    assert frame(b"Q", b"12") == b"\x00\x00\x00\x03Q12"
