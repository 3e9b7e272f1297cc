"""A temporary file with the part of one body that has no room in memory."""

import os
from typing import Protocol


class NoRoom(Exception):
    """A body cannot be kept on disk: it is full or not writable, or the bound is reached. The log
    or a problem has the reason."""

    def __init__(self, option: str) -> None:
        """`option` is what an operator would change."""
        super().__init__(option)
        self.option = option


class DiskAccount(Protocol):
    """The account that a file is a part of."""

    def take_disk(self, count: int, *, of_response: bool) -> None: ...
    def disk_failed(self, count: int, error: OSError) -> NoRoom: ...
    def give_disk(self, count: int) -> None: ...
    def closed(self) -> None: ...


class BodyFile:
    """One open file. Whoever has made it closes it."""

    __slots__ = ("_account", "_fd", "size")

    def __init__(self, fd: int, account: DiskAccount) -> None:
        self._fd = fd
        self._account = account
        self.size = 0

    def append(self, data: bytes | bytearray, *, of_response: bool = False) -> None:
        """Adds `data` at the end, all or nothing. Raises NoRoom."""
        count = len(data)
        self._account.take_disk(count, of_response=of_response)
        rest, offset = memoryview(data), self.size
        try:
            while rest:
                written = os.pwrite(self._fd, rest, offset)
                rest, offset = rest[written:], offset + written
        except OSError as error:
            raise self._account.disk_failed(count, error) from error
        self.size += count

    def read(self, offset: int, count: int) -> bytes:
        """Reads `count` bytes, which are there. Raises OSError."""
        data = os.pread(self._fd, count, offset)
        while len(data) < count:
            more = os.pread(self._fd, count - len(data), offset + len(data))
            if not more:
                raise OSError("a temporary file is shorter than what was written to it")
            data += more
        return data

    def clear(self) -> None:
        """Drops what was written. The file can be used again. Raises OSError."""
        os.ftruncate(self._fd, 0)
        self._account.give_disk(self.size)
        self.size = 0

    def close(self) -> None:
        """Closes the file; it is harmless when called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._account.give_disk(self.size)
            self._account.closed()
            self.size = 0
