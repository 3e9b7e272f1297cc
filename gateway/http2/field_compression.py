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
from hpack.exceptions import HPACKDecodingError, OversizedHeaderListError
from hpack.table import HeaderTable

from ..http.rules import Fields
from .frames import HeadBounds

MOST_KNOWN_FIELDS: Final = 64
"""Fields, or blocks, that are remembered of one connection."""
LONGEST_KNOWN_FIELD: Final = 256
"""Bytes of such a field; of a block as it is on the wire."""
ENTRY_OVERHEAD: Final = 32
"""What an entry of the table counts beside its bytes (RFC 7541 section 4.1)."""
LARGEST_TABLE: Final = 4_096
"""Bytes of the table of fields that were sent, whatever more the client allows (RFC 7541 section
4.2): every field that is looked up in it takes its time, and all of it our memory."""
MOST_UPDATES: Final = 16
"""Changes of the table's size that a block may begin with. More than two say nothing (RFC 7541
section 4.2), but Python's hpack, and with it httpx, may send them."""
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
        self._last: Fields = []
        """The fields of the last block, if the same ones have the same bytes next time."""
        self._last_block = b""

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
            # Of all changes between two blocks, the smallest and the last one are told (section
            # 4.2): a client may change it for ever while no head is sent.
            if min(told := self.table_size_changes) < value:
                told[:] = [min(told), value]
            else:
                told[:] = [value]

    def block(self, fields: Fields) -> bytes:
        """The header block of these fields. The list may be given again, and is never changed."""
        table = self.header_table
        if table.resized:
            self._known.clear()
            self._last = []
            resized = super().encode(())  # says the table's new size
            return resized + self._block(fields)
        if fields is self._last:
            return self._last_block
        newest = _newest(table)
        block = self._block(fields)
        self._last, self._last_block = fields, block
        if _newest(table) is not newest:
            self._last = []  # its fields are in the table from now on, and have other bytes
        return block

    def encode(
        self,
        headers: Iterable[tuple[bytes | str, bytes | str] | tuple[bytes | str, bytes | str, Any]]
        | dict[bytes | str, bytes | str],
        huffman: bool = True,
    ) -> bytes:
        """As `block`, by the library's name. `headers` are pairs in bytes."""
        return self.block(cast(Fields, list(headers)))

    def _block(self, fields: Fields) -> bytes:
        known = self._known
        return b"".join([known.get(field) or self._encode(field) for field in fields])

    def _encode(self, field: tuple[bytes, bytes]) -> bytes:
        name, value = field
        known, table = self._known, self.header_table
        size = len(name) + len(value) + ENTRY_OVERHEAD
        left_out = name in VARYING or size > table.maxsize // 4
        newest = _newest(table)
        data = self.add((name, value), left_out, huffman=True)
        if _newest(table) is not newest:
            known.clear()  # every other entry has another number now, and this one has one
        elif size <= LONGEST_KNOWN_FIELD:
            if len(known) >= MOST_KNOWN_FIELDS:
                known.clear()
            known[(name, value)] = data
        return data


class BlockDecoder(Decoder):
    """The decoder of one connection."""

    def __init__(self, bounds: HeadBounds) -> None:
        super().__init__(bounds.size)
        self._most_fields = bounds.fields
        self._known: dict[bytes, Fields] = {}
        """Blocks and their fields, as the table is now. They are never changed."""

    def fields(self, data: bytes) -> Fields:
        """The fields of a header block, the same list for the same ones. Raises HPACKError;
        OversizedHeaderListError for a head that is not read."""
        known = self._known
        fields = known.get(data)
        if fields is not None:
            return fields
        table = self.header_table
        _check_updates(data)
        if len(data) > self._most_fields and _count_fields(data) > self._most_fields:
            raise OversizedHeaderListError("too many fields")
        newest, size = _newest(table), table.maxsize
        fields = cast(Fields, list(super().decode(data, raw=True)))
        if _newest(table) is not newest or table.maxsize != size:
            known.clear()
        elif len(data) <= LONGEST_KNOWN_FIELD:
            if len(known) >= MOST_KNOWN_FIELDS:
                known.clear()
            known[data] = fields
        return fields

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """As `fields`, by the library's name."""
        return cast(list[HeaderTuple], self.fields(data))


def _check_updates(block: bytes) -> None:
    """Raises HPACKDecodingError for too many changes of the table's size in one block. hpack takes
    a hundred thousand of them, which are as many bytes."""
    at = count = 0
    try:
        while block[at] & 0xE0 == 0x20:
            count += 1
            if count > MOST_UPDATES:
                raise HPACKDecodingError("too many changes of the table's size")
            at = _behind_number(block, at, 0x1F)[1]
    except IndexError:
        pass  # it ends too soon, which hpack says


def _count_fields(block: bytes) -> int:
    """How many fields a block has (RFC 7541 section 6), as far as it can be read. A field may be a
    single byte, and takes a hundred times as long to decode as to count."""
    at = count = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:
                count += 1
                at = _behind_number(block, at, 0x7F)[1]
            elif first & 0xE0 == 0x20:
                at = _behind_number(block, at, 0x1F)[1]
            else:
                count += 1
                name, at = _behind_number(block, at, 0x3F if first & 0x40 else 0x0F)
                for _ in range(1 if name else 2):
                    size, at = _behind_number(block, at, 0x7F)
                    at += size
    except IndexError:
        pass  # it ends too soon, which hpack says
    return count


def _behind_number(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """The number that begins there (RFC 7541 section 5.1), and where it has ended."""
    number = block[at] & mask
    at += 1
    if number == mask:
        shift = 0
        while shift < 32:
            byte = block[at]
            number += (byte & 0x7F) << shift
            at += 1
            shift += 7
            if byte < 0x80:
                break
    return number, at
