"""A transport: a stream of bytes to and from one client, which a connection's driver uses.

`ClientSocket` is a TCP or Unix socket as it is, `TlsTransport` one behind TLS; a stream of a
protocol that carries several over one socket can be a third (RFC 8441). A driver cannot tell them
apart. No call waits: bytes that the client does not take at once are kept. The owner is told when
the client takes bytes again (`writable`), and decides what a slow client means.
"""

from collections.abc import Iterable
from typing import ClassVar, Protocol

from .file_buffer import SendableFile
from .poller import Watched


class Transport(Protocol):
    sends_files: ClassVar[bool]
    """Whether it sends files as they are. Through any other one they are sent as bytes."""

    @property
    def pending(self) -> bool:
        """Whether there is something to read that nobody tells of again: an owner that has not read
        all has to `go_on`."""
        ...

    paused: bool
    """Whether the owner does not want to read."""
    closed: bool

    fault: str
    """Why a send has failed, if that was not the client's end."""

    @property
    def blocked(self) -> bool:
        """Whether the client has not taken some of what is kept: `writable` is called when it
        has."""
        ...

    @property
    def send_by(self) -> float:
        """Monotonic seconds by which the client must take some of what is kept; 0.0: nothing
        is."""
        ...

    @property
    def kept(self) -> int:
        """Bytes that the client has yet to take."""
        ...

    @property
    def held(self) -> int:
        """Bytes of these that are in memory, and in no file."""
        ...

    def join(self, owner: Watched) -> None:
        """Gives the transport an owner, which is told from now on what the client does."""
        ...

    def recv(self) -> bytes | None:
        """Reads once: returns b"" at the end, None if there is nothing. Raises OSError."""
        ...

    def drop(self) -> bool:
        """Reads once and drops what has come, for less than `recv`. Returns whether more may come;
        False at the end. Raises OSError."""
        ...

    def send(self, data: bytes) -> None:
        """Sends `data` at once, behind what was gathered, or keeps what the client does not take.
        Raises OSError if the client is gone."""
        ...

    def gather(self, buffers: Iterable[bytes]) -> bool:
        """Keeps bytes until the end of the turn, which may have more for the client. Returns
        whether they are the first: then `send_kept` is to be called at the turn's end."""
        ...

    def gather_file(self, file: SendableFile, offset: int, count: int) -> bool:
        """Keeps a piece of a file, as `gather` keeps bytes, if it `sends_files`. The file is held
        until the client has taken the piece, and the piece is not in memory twice."""
        ...

    def send_kept(self) -> int:
        """Offers the client what is kept. Returns how many bytes it took. Raises OSError."""
        ...

    def moves(self) -> bool:
        """Whether the client has taken some of what the kernel holds for it since this was last
        asked, and has yet to take more."""
        ...

    def takes_too_little(self, now: float) -> bool:
        """Whether the client takes what is kept for it too slowly. It is to be asked again and
        again, and moves `send_by` if the client takes some."""
        ...

    def pause(self, paused: bool = True, *, deaf: bool = False) -> None:
        """Reads no more, or reads again. The client's end is noticed all the same, and `readable`
        called for what comes before it; if `deaf`, only a reset is."""
        ...

    def go_on(self) -> None:
        """Has the owner's `readable` called in the next turn, for what it has received and not
        handled yet: it has had its share of this turn."""
        ...

    def shut_writing(self) -> None:
        """Ends the sending; the client may still be sending. Raises OSError."""
        ...

    def reset(self) -> None:
        """Closes so that the client sees that something is missing."""
        ...

    def close(self) -> None:
        """Closes at once, and tells the client that nothing is missing if the transport has a word
        for it. It is harmless when called twice."""
        ...
