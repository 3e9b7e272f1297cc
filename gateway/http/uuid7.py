"""UUIDs of version 7 (RFC 9562 section 5.7), made in well under a microsecond. Pure.

A request's id has to be unique over all processes and machines without their asking each other, and
it should sort by time: then a log that is sorted by id is sorted by arrival, and a database index
over ids grows at its end. Version 7 is both: 48 bits of milliseconds, then random bits.

`uuid.UUID` objects and `os.urandom` for each would cost several microseconds and a system call.
Here an id is a text from the beginning, and its parts are made as rarely as they change:

- once in each millisecond in which there is an id at all: its 48 bits, and `rand_b`, which is taken
  from a stock of random hex digits. Of its 62 bits the two highest are fixed, so that the digit of
  the variant is always "8"; the other 60 no two processes have alike;
- for each id: `rand_a` (12 bits), a counter (RFC 9562 section 6.2, method 1). It begins at a random
  number in the lower half of its range, so ids of one process rise. If it runs over, or if the
  clock was set back, the milliseconds run ahead of the clock, as the RFC allows.

So ids of one millisecond are neighbours, and an id is no secret: it stands on error pages and in
logs. All others nobody can guess, since the digits come from the system's random generator.
"""

from collections.abc import Callable
from typing import Final

_COUNTS: Final = tuple(f"{count:03x}-8" for count in range(4_096))
"""Every value of the counter, with the variant behind it."""
_DIGITS: Final = 18
"""Hex digits that a millisecond takes from the stock."""
_STOCK: Final = 512 * _DIGITS


class Uuid7:
    """Makes UUIDs for one process."""

    __slots__ = (
        "_at",
        "_clock",
        "_count",
        "_milliseconds",
        "_prefix",
        "_random",
        "_stock",
        "_tail",
        "_until",
    )

    def __init__(self, clock: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        """`clock` gives seconds since the epoch, `random_bytes` so many random bytes."""
        self._clock = clock
        self._random = random_bytes
        self._milliseconds = 0
        self._until = 0.0
        """When the millisecond ends, in seconds since the epoch."""
        self._prefix = self._tail = ""
        self._count = 0
        self._stock: str = ""
        self._at = 0

    def make(self) -> str:
        """Returns a new UUID in its usual form: 36 characters in lower case."""
        now = self._clock()
        if now >= self._until:
            self._begin(int(now * 1_000.0))
        elif self._count == 0xFFF:
            self._begin(self._milliseconds + 1)
        else:
            self._count += 1
        return f"{self._prefix}{_COUNTS[self._count]}{self._tail}"

    def _begin(self, milliseconds: int) -> None:
        """Begins a millisecond, or the one behind the last."""
        self._milliseconds = milliseconds = max(milliseconds, self._milliseconds + 1)
        self._until = (milliseconds + 1) / 1_000.0
        if self._at == len(self._stock):
            self._stock = self._random(_STOCK // 2).hex()
            self._at = 0
        digits = self._stock[self._at : self._at + _DIGITS]
        self._at += _DIGITS
        time = f"{milliseconds:012x}"
        self._prefix = f"{time[:8]}-{time[8:]}-7"
        self._tail = f"{digits[:3]}-{digits[3:15]}"
        # From the lower half, so that 2048 ids at least fit into the millisecond.
        self._count = int(digits[15:], 16) >> 1
