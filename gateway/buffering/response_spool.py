"""A queue of bytes that a slow client has yet to get: in memory, then in a file, in their order."""

from typing import Final

from ..exchange.exchange import CollectedBody
from .body_file import BodyFile, NoRoom
from .store import BufferStore

MOST_OF_ONE: Final = 1_073_741_824
"""Bytes of one response on disk, as nginx's proxy_max_temp_file_size. An endless stream to a client
that takes a byte now and then would fill the disk."""


class ResponseSpool:
    """The queue of one response. What goes in comes out first from `_front`, then from the file,
    then from `_held`, which has what came when there was no room anywhere. When the two before it
    are empty, `_held` is written to the file as soon as that has room again."""

    __slots__ = ("_file", "_front", "_held", "_read", "_request", "_store")

    def __init__(self, store: BufferStore, request: CollectedBody | None = None) -> None:
        """`request` is the body that the response answers, if that is or was kept."""
        self._store = store
        self._request = request
        self._front: bytearray = bytearray()
        self._file: BodyFile | None = None
        self._read = 0
        """Bytes of the file that have been taken."""
        self._held: bytearray = bytearray()

    @property
    def size(self) -> int:
        on_disk = 0 if self._file is None else self._file.size - self._read
        return len(self._front) + on_disk + len(self._held)

    @property
    def held(self) -> int:
        """Bytes that there was no room for. They are kept, and whoever sends them should wait."""
        return len(self._held)

    def put(self, data: bytes) -> None:
        """Adds bytes at the end."""
        store, count = self._store, len(data)
        on_disk = self._file is not None and self._file.size > 0
        if self._held and not (self._front or on_disk) and self._write(self._held):
            store.give_memory(len(self._held))
            self._held, on_disk = bytearray(), True
        if not self._held:
            room = len(self._front) + count <= store.settings.body
            if room and not on_disk and store.take_memory(count):
                self._front += data
                return
            if self._write(data):
                return
        store.force_memory(count)
        self._held += data

    def _write(self, data: bytes | bytearray) -> bool:
        if not self._store.settings.disk:
            return False
        try:
            if self._file is None:
                if self._request is not None and self._request.has_file:
                    return False  # the client has one descriptor beside its own
                self._file = self._store.new_file()
            if self._file.size + len(data) > MOST_OF_ONE:
                return False
            self._file.append(data, of_response=True)
        except NoRoom:
            return False
        return True

    def take(self, most: int) -> bytes:
        """Takes the first bytes, at most so many; b"" if there are none. Raises OSError."""
        file = self._file
        if self._front or file is None or not file.size:
            kept = self._front or self._held
            data = bytes(kept[:most])
            del kept[: len(data)]
            self._store.give_memory(len(data))
            return data
        data = file.read(self._read, min(most, file.size - self._read))
        self._read += len(data)
        if self._read == file.size:
            file.clear()
            self._read = 0
        return data

    def close(self) -> None:
        """Drops everything."""
        self._store.give_memory(len(self._front) + len(self._held))
        self._front, self._held = bytearray(), bytearray()
        if self._file is not None:
            self._file.close()
            self._file = None
