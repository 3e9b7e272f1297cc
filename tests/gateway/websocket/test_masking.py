"""Both ways to take a mask off say the same."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from propylon.gateway.websocket.masking import apply_mask_in_python


@given(st.binary(max_size=1_100), st.binary(min_size=4, max_size=4))
@example(bytes(511), b"\x01\x02\x03\xff")
@example(bytes(512), b"\x01\x02\x03\xff")
@example(bytes(range(256)) * 3, b"\x00\x00\xff\x80")
def test_each_byte_has_its_part_of_the_mask(data: bytes, mask: bytes) -> None:
    expected = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    assert apply_mask_in_python(data, mask) == expected


def test_the_one_in_c_says_the_same() -> None:
    speedups = pytest.importorskip("websockets.speedups")
    data = bytes(range(256)) * 300
    for size in (0, 1, 3, 4, 125, 126, 513, 65_535):
        assert speedups.apply_mask(data[:size], b"\x9a\x01\xff\x00") == apply_mask_in_python(
            data[:size], b"\x9a\x01\xff\x00"
        )
