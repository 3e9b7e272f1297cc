"""A filter of the tests' own that is real: gzip, as nginx's gzip module does it."""

import zlib
from collections.abc import Iterable

from propylon.gateway.exchange.filters import Filter
from propylon.protocol.messages import Pairs


class Gzip(Filter):
    def __init__(self) -> None:
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
        self.heads = 0
        self.aborted = 0

    def head(self, status: int, fields: Pairs) -> tuple[int, Pairs]:
        self.heads += 1
        kept = [field for field in fields if field[0].lower() != b"content-length"]
        return status, (*kept, (b"content-encoding", b"gzip"))

    def body(self, data: bytes) -> Iterable[bytes]:
        return (self._deflate.compress(data),)

    def end(self) -> Iterable[bytes]:
        return (self._deflate.flush(),)

    def abort(self) -> None:
        self.aborted += 1
