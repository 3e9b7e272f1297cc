"""What it costs to keep a piece of a body in a temporary file, in the loop or in a thread.

    python -m tests.bench.disk_pieces [FOLDER]

A piece is 64 KiB, the most that a gateway reads at once. It prints microseconds a piece: the median
and the slowest of a thousand, for a write and a read in the loop, and for a write that a thread is
given and has done.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

PIECE = os.urandom(65_536)
TIMES = 4_000


def took(call: Callable[[int], object]) -> str:
    seconds: list[float] = []
    for number in range(TIMES):
        began = perf_counter()
        call(number * len(PIECE))
        seconds.append(perf_counter() - began)
    seconds.sort()
    median, late = statistics.median(seconds), seconds[TIMES * 999 // 1000]
    return f"median {median * 1e6:6.1f}, p99.9 {late * 1e6:7.1f}, slowest {seconds[-1] * 1e6:7.1f}"


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()
    fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    with ThreadPoolExecutor(1) as threads:
        print("write in the loop    ", took(lambda at: os.pwrite(fd, PIECE, at)))
        print("read in the loop     ", took(lambda at: os.pread(fd, len(PIECE), at)))
        os.ftruncate(fd, 0)
        submit = threads.submit
        print("write in a thread    ", took(lambda at: submit(os.pwrite, fd, PIECE, at).result()))
    os.close(fd)


if __name__ == "__main__":
    main()
