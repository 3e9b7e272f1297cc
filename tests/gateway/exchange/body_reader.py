"""What a client makes of one response's bytes, as they come: a head, and a body that was chunked
and perhaps compressed."""

import re
import zlib


class BodyReader:
    """Of one chunked response."""

    def __init__(self) -> None:
        self.head = b""
        self.size = 0
        """Bytes of body, decompressed."""
        self.sum = 0
        self.is_whole = False
        self._raw = b""
        self._inflate = zlib.decompressobj(31)

    def feed(self, data: bytes) -> None:
        self._raw += data
        if not self.head:
            self.head, empty, self._raw = self._raw.partition(b"\r\n\r\n")
            if not empty:
                self.head, self._raw = b"", self.head
                return
        while match := re.match(rb"([0-9a-f]+)\r\n", self._raw):
            start, length = match.end(), int(match[1], 16)
            if len(self._raw) < start + length + 2:
                return
            piece, self._raw = self._raw[start : start + length], self._raw[start + length + 2 :]
            if not length:
                self.is_whole = self._inflate.eof or b"gzip" not in self.head
                return
            if b"gzip" in self.head:
                piece = self._inflate.decompress(piece)
            self.size += len(piece)
            self.sum = zlib.crc32(piece, self.sum)
