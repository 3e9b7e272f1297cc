"""`wsgi.input`: the request's body as a file that is read while it arrives."""

from collections.abc import Callable, Iterator


class WsgiInput:
    """A file that blocks while the body is on its way. It raises OSError if the client leaves in
    the middle of the body."""

    __slots__ = ("_buffer", "_next_chunk", "_offset")

    def __init__(self, first: bytes, next_chunk: Callable[[], bytes] | None) -> None:
        """`next_chunk` waits for more of the body and returns b"" at its end; None means that
        `first` is the whole body."""
        self._buffer = first
        self._offset = 0
        self._next_chunk = next_chunk

    def read(self, size: int | None = -1) -> bytes:
        """Reads `size` bytes, fewer only at the body's end; the whole rest for -1 or None."""
        if size is None or size < 0:
            parts = [self._rest()]
            while self._fill():
                parts.append(self._rest())
            return b"".join(parts)
        parts: list[bytes] = []
        while size and (self._offset < len(self._buffer) or self._fill()):
            part = self._buffer[self._offset : self._offset + size]
            self._offset += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        limit = -1 if size is None else size
        parts: list[bytes] = []
        while limit and (self._offset < len(self._buffer) or self._fill()):
            end = self._buffer.find(b"\n", self._offset) + 1 or len(self._buffer)
            if limit > 0:
                end = min(end, self._offset + limit)
                limit -= end - self._offset
            parts.append(self._buffer[self._offset : end])
            self._offset = end
            if parts[-1].endswith(b"\n"):
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self  # as files do: what is left goes on from where the last way of reading stopped

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        """Does nothing. Frameworks close what they take for a file."""

    def _rest(self) -> bytes:
        rest = self._buffer[self._offset :] if self._offset else self._buffer
        self._buffer, self._offset = b"", 0
        return rest

    def _fill(self) -> bool:
        """Replaces the used buffer by the next part of the body. Returns False at the end."""
        if self._next_chunk is None:
            return False
        self._buffer, self._offset = self._next_chunk(), 0
        if not self._buffer:
            self._next_chunk = None
            return False
        return True
