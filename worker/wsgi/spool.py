"""Keeps a request's body until it is whole: a small one in memory, a large one in a file."""

import tempfile
from typing import IO, Final, cast

MOST_IN_MEMORY: Final = 1_048_576
"""Bytes of a body that stays in memory, for each call. A larger one goes into a file."""
BLOCK: Final = 65_536


class Spool:
    """A body that is written to its end and then read from its beginning. The file has no name, so
    it is gone with the process at the latest. The gateway limits its size
    (--max-request-body-size)."""

    __slots__ = ("_file", "size")

    def __init__(self) -> None:
        self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(MOST_IN_MEMORY))  # noqa: SIM115
        self.size = 0
        """Bytes that were written."""

    def write(self, data: bytes) -> None:
        """Adds bytes. Raises SpoolError if there is no folder for temporary files, or no room in
        it."""
        try:
            self._file.write(data)
        except OSError as error:
            raise SpoolError(error) from error
        self.size += len(data)

    def rewind(self) -> None:
        """Ends the writing; from now on it is read. Raises SpoolError if the last bytes cannot be
        written to the disk."""
        try:
            self._file.seek(0)
        except OSError as error:
            raise SpoolError(error) from error

    def read(self) -> bytes:
        """Returns the next part; b"" at the end."""
        return self._file.read(BLOCK)

    def close(self) -> None:
        self._file.close()


class SpoolError(Exception):
    """A body cannot be kept. The message is a sentence."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            "a body that came in chunks does not fit into a temporary file (the environment's "
            f"TMPDIR names another folder): {cause}"
        )
