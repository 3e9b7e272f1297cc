"""What a download consists of."""

BLOCK, BLOCKS = 65_536, 800
"""So many blocks of so many bytes: 52 MB."""


def block(number: int) -> bytes:
    """No two blocks are alike: one that is missing changes the hash."""
    return number.to_bytes(8, "big") * (BLOCK // 8)
