"""A request's body that is kept until it is whole: a little of it in memory, the rest in a file."""

import tempfile
from typing import IO, Final, cast

MOST_IN_MEMORY: Final = 1_048_576
"""Bytes; what is larger goes into a file as a whole. Each call of a worker may have as many."""
BLOCK: Final = 65_536


class Spool:
    """Written to its end, then read from its beginning. The file has no name, and so is gone with
    the process at the latest. How large it may become is the gateway's --max-request-body-size."""

    __slots__ = ("_file", "size")

    def __init__(self) -> None:
        self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(MOST_IN_MEMORY))  # noqa: SIM115
        self.size = 0
        """Bytes written."""

    def write(self, data: bytes) -> None:
        """Raises SpoolError if there is no folder for temporary files, or no room in it."""
        try:
            self._file.write(data)
        except OSError as error:
            raise SpoolError(error) from error
        self.size += len(data)

    def rewind(self) -> None:
        """All is written, and can be read. Raises SpoolError, as some may not be on disk yet."""
        try:
            self._file.seek(0)
        except OSError as error:
            raise SpoolError(error) from error

    def read(self) -> bytes:
        """The next part, b"" at the end."""
        return self._file.read(BLOCK)

    def close(self) -> None:
        self._file.close()


class SpoolError(Exception):
    """A body cannot be kept."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            "a body that came in chunks does not fit into a temporary file (the environment's "
            f"TMPDIR names another folder): {cause}"
        )
