"""Field compression (HPACK, RFC 7541) that remembers what repeats. Pure.

A client asks for the same things with the same fields again and again, and an app answers with
them. HPACK was made for that on the wire: what was said before becomes one byte. It makes it no
cheaper to compute, for every field is looked up, one after the other. In pure Python that is most
of what a small request costs.

What a field, or a whole block, stands for depends on the table of earlier fields, and on nothing
else. So the bytes of a field that the table has, and the fields of a block that has changed nothing
in the table, are the same next time, as long as the table is. They are remembered until it changes.

Which fields enter the table is for the sender to choose (section 7.1.3). Those whose value is
hardly ever the same twice are left out: they would only push out others that come again. So is one
that takes a large part of the table, as libnghttp2 does it.
"""

from collections.abc import Iterable
from typing import Any, Final, cast

from hpack import Decoder, Encoder, HeaderTuple
from hpack.table import HeaderTable

MOST_KNOWN_FIELDS: Final = 64
"""Fields, or blocks, that are remembered of one connection."""
LONGEST_KNOWN_FIELD: Final = 256
"""Bytes of such a field; of a block as it is on the wire."""
ENTRY_OVERHEAD: Final = 32
"""What an entry of the table counts beside its bytes (RFC 7541 section 4.1)."""
LARGEST_TABLE: Final = 4_096
"""Bytes of the table of fields that were sent, whatever more the client allows (RFC 7541 section
4.2): every field that is looked up in it takes its time, and all of it our memory."""
VARYING: Final = frozenset({
    b"age", b"content-length", b"content-range", b"etag", b"expires", b"last-modified",
    b"location", b"retry-after", b"set-cookie", b"traceparent", b"x-request-id",
})  # fmt: skip
"""Fields of responses whose value is hardly ever the same twice."""


def _newest(table: HeaderTable) -> tuple[bytes, bytes] | None:
    """The newest entry. While this very object is in its place, no other has come. It is held by
    who compares it, so that no other object can have its address."""
    entries = table.dynamic_entries
    return entries[0] if entries else None


class FieldEncoder(Encoder):
    """The encoder of one connection."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[bytes, bytes], bytes] = {}
        """Fields and their bytes, as the table is now."""

    def allow(self, size: int) -> None:
        """Notes how large a table the client keeps (SETTINGS_HEADER_TABLE_SIZE)."""
        self.header_table_size = size

    @property
    def header_table_size(self) -> int:
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        value = min(value, LARGEST_TABLE)
        # hpack 4.2 forgets to tell of a change that is followed by the same one.
        if value != self.header_table.maxsize:
            Encoder.header_table_size.__set__(self, value)

    def encode(
        self,
        headers: Iterable[tuple[bytes | str, bytes | str] | tuple[bytes | str, bytes | str, Any]]
        | dict[bytes | str, bytes | str],
        huffman: bool = True,
    ) -> bytes:
        """`headers` are pairs in bytes."""
        known = self._known
        resized = b""
        if self.header_table.resized:
            known.clear()
            resized = super().encode((), huffman)  # says the table's new size
        fields = cast(Iterable[tuple[bytes, bytes]], headers)
        block = b"".join([known.get(field) or self._encode(field, huffman) for field in fields])
        return resized + block if resized else block

    def _encode(self, field: tuple[bytes, bytes], huffman: bool) -> bytes:
        name, value = field
        known, table = self._known, self.header_table
        size = len(name) + len(value) + ENTRY_OVERHEAD
        left_out = name in VARYING or size > table.maxsize // 4
        newest = _newest(table)
        data = self.add((name, value), left_out, huffman)
        if _newest(table) is not newest:
            known.clear()  # every other entry has another number now, and this one has one
        elif size <= LONGEST_KNOWN_FIELD:
            if len(known) >= MOST_KNOWN_FIELDS:
                known.clear()
            known[(name, value)] = data
        return data


class BlockDecoder(Decoder):
    """The decoder of one connection."""

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._known: dict[bytes, list[HeaderTuple]] = {}
        """Blocks and their fields, as the table is now. They are never changed."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """Fields in bytes, in any case. Raises HPACKError."""
        known, table = self._known, self.header_table
        fields = known.get(data)
        if fields is not None:
            return fields
        newest, size = _newest(table), table.maxsize
        fields = list(super().decode(data, raw=True))
        if _newest(table) is not newest or table.maxsize != size:
            known.clear()
        elif len(data) <= LONGEST_KNOWN_FIELD:
            if len(known) >= MOST_KNOWN_FIELDS:
                known.clear()
            known[data] = fields
        return fields
