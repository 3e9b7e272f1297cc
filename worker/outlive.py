"""The end of a worker that cannot end by itself: it hangs, and its supervisor is gone.

With a supervisor a worker that hangs is killed. Without one nobody would, and what was left behind
would hold its memory, its links and the app's locks for ever. So a thread sleeps in poll(2) until
the leash is cut, gives the worker the time of a drain and ends the process. Where the hang is a C
call that never lets go of the interpreter's lock, no thread of ours can run either: such a process
stays.
"""

import faulthandler
import logging
import os
import select
import threading
import time
from typing import Final

logger = logging.getLogger("propylon.worker")

EXIT_OUTLIVED: Final = 4


def end_within(seconds: float, leash: int) -> None:
    """Ends this process so many seconds after the leash was cut, if it still runs. It reads
    nothing, which is for others to do. Not to be called before a fork: the child would not have
    the thread."""
    threading.Thread(
        target=_watch, args=(seconds, leash), name="propylon-leash", daemon=True
    ).start()


def _watch(seconds: float, leash: int) -> None:
    poll = select.poll()
    poll.register(leash, 0)  # POLLHUP, which comes unasked, and nothing else
    poll.poll()
    time.sleep(seconds)
    try:
        logger.error("worker process %d hangs and has no supervisor: it ends", os.getpid())
        faulthandler.dump_traceback(all_threads=True)
    finally:  # an app may have put anything in the place of stderr
        os._exit(EXIT_OUTLIVED)
