"""Takes the mask off a client's payload (RFC 6455 section 5.3).

Python has no fast loop over bytes, and wsproto has none in C. The package `websockets` has one, and
is a dependency for that alone: without it a message of 16 KiB costs the gateway 43 us instead of
22 us, and an echo server gets 13,000 of them a second instead of 22,000 (two cores, medians of six
rounds; at 128 bytes there is no difference). The function is not part of that package's public
interface. So there is one in Python for the day on which it is gone, and for systems without a
wheel.
"""

from typing import TYPE_CHECKING, Final

_XOR: Final = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))
"""A table for bytes.translate, for each byte of a key."""
_SHORT: Final = 512
"""Bytes up to which one XOR of a large number is faster."""


def apply_mask_in_python(data: bytes, mask: bytes) -> bytes:
    """Returns `data` with its bytes XORed with the four bytes of the mask, in turn."""
    size = len(data)
    if size <= _SHORT:
        long_mask = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(data, "little") ^ long_mask).to_bytes(size, "little")
    out = bytearray(data)
    for place in range(4):
        out[place::4] = data[place::4].translate(_XOR[mask[place]])
    return bytes(out)


if TYPE_CHECKING:
    apply_mask = apply_mask_in_python
else:
    try:
        from websockets.speedups import apply_mask
    except ImportError:
        apply_mask = apply_mask_in_python
