"""UUIDs of version 7 (RFC 9562 section 5.7), made in well under a microsecond. Pure.

A request's id has to be unique over all processes and machines without their asking each other, and
it should sort by time: then a log that is sorted by id is sorted by arrival, and a database index
over ids grows at its end. Version 7 is both: 48 bits of milliseconds, then random bits.

`uuid.UUID` objects and `os.urandom` for each would cost several microseconds and a system call.
Here an id is a text from the beginning, and its parts are made as rarely as they change:

- the milliseconds, as hex, once a millisecond;
- `rand_a` (12 bits) is a counter (RFC 9562 section 6.2, method 1). It begins at a random number in
  the lower half of its range at each millisecond, so ids of one process rise. If it runs over, or
  if the clock was set back, the milliseconds run ahead of the clock, as the RFC allows;
- `rand_b` is taken from a stock of random hex digits, which is filled once in some hundred ids. Its
  two highest bits are fixed, so that the digit of the variant is always "8"; 60 random bits and the
  counter are left, and no two processes have these alike.

The digits come from the system's random generator, so nobody can guess another request's id. But an
id is no secret: it stands on error pages and in logs.
"""

from collections.abc import Callable
from typing import Final

_COUNTS: Final = tuple(f"{count:03x}-8" for count in range(4_096))
"""Every value of the counter, with the variant behind it."""
_DIGITS: Final = 15
"""Hex digits of an id that come from the stock."""
_STOCK: Final = 512 * _DIGITS


class Uuid7:
    """Makes UUIDs for one process."""

    __slots__ = ("_at", "_clock", "_count", "_milliseconds", "_prefix", "_random", "_stock")

    def __init__(self, clock: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        """`clock` gives seconds since the epoch, `random_bytes` so many random bytes."""
        self._clock = clock
        self._random = random_bytes
        self._milliseconds = -1
        self._prefix = ""
        self._count = 0
        self._stock = ""
        self._at = 0

    def make(self) -> str:
        """Returns a new UUID in its usual form: 36 characters in lower case."""
        milliseconds = int(self._clock() * 1_000.0)
        if milliseconds > self._milliseconds:
            self._begin(milliseconds)
        elif self._count == 0xFFF:
            self._begin(self._milliseconds + 1)
        else:
            self._count += 1
        at = self._at
        if at == len(self._stock):
            self._fill()
            at = 0
        self._at = end = at + _DIGITS
        middle = at + 3
        stock = self._stock
        return f"{self._prefix}{_COUNTS[self._count]}{stock[at:middle]}-{stock[middle:end]}"

    def _begin(self, milliseconds: int) -> None:
        """Begins a millisecond."""
        digits = f"{milliseconds:012x}"
        self._milliseconds = milliseconds
        self._prefix = f"{digits[:8]}-{digits[8:]}-7"
        if self._at == len(self._stock):
            self._fill()
        # From the lower half, so that 2048 ids at least fit into the millisecond.
        self._count = int(self._stock[self._at : self._at + 3], 16) >> 1
        self._at += _DIGITS

    def _fill(self) -> None:
        self._stock = self._random(_STOCK // 2).hex()
        self._at = 0
