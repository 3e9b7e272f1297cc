"""Replaces this process's code by the code that is installed now: it is checked first, and then
executed (exec(2)).
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import msgspec
import trio

from ...observe.console_log import flush_log
from ..signals import WANTED
from .saved_state import CHECK, VARIABLE, Handover, write

TIMEOUT: Final = 30.0
"""Seconds that the new code has to read the state that it would be handed."""
_COMMAND: Final = (sys.executable, "-P", "-m", "propylon.gateway.cli")


async def refused(handover: Handover) -> str:
    """Why the code that is installed now cannot take over, as a sentence; "" if it can."""
    file = write(handover, inheritable=False)
    try:
        with trio.move_on_after(TIMEOUT) as limit:
            done = await trio.run_process(
                [*_COMMAND, *sys.argv[1:]],
                env=os.environ | {VARIABLE: f"{CHECK}{file}"},
                pass_fds=[file],
                check=False,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
            )
            if done.returncode == 0:
                return ""
            said = done.stdout.decode("utf-8", "replace").rstrip()
            return f"the new code does not start (exit code {done.returncode}):\n{said}"
    finally:
        os.close(file)
    assert limit.cancelled_caught, "the block returns"
    return f"the new code did not start within {TIMEOUT:g} s"


@contextmanager
def hold_signals() -> Generator[list[int]]:
    """A context that holds signals back for the new code. If the exec fails, they arrive behind the
    block."""
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: held.append(number))
        for number in WANTED
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in held:
            signal.raise_signal(number)


@contextmanager
def _note_signals() -> Generator[int]:
    """A context in which signals are noted in a pipe, each as a byte, whichever thread gets them.
    Gives the end to read them from. Raises OSError."""
    noted, note = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, noted)
        stack.callback(os.close, note)
        os.set_blocking(noted, False)
        os.set_blocking(note, False)
        before = signal.set_wakeup_fd(note, warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before, warn_on_full_buffer=False)
        yield noted


def raise_last_signals(noted: int) -> None:
    """Has the signals of a handover's pipe come again. They are still blocked, and one that is
    pending comes once."""
    with open(noted, "rb", buffering=0) as pipe:
        for number in pipe.read() or b"":
            if number in WANTED:
                signal.pthread_kill(threading.get_ident(), number)


def exec_installed_code(handover: Handover, held: Sequence[int]) -> str:
    """Executes the new code. It does not return and does not clean up: every open descriptor stays
    open and every child goes on. If the exec fails, nothing has changed, and the reason is returned
    as a sentence.

    A signal that comes before the new code has handlers waits for it: blocked signals stay blocked,
    and pending, across an exec. That is this thread's; others do not block them, and what their
    handlers note would be gone with them. So it is noted in a pipe too (`raise_last_signals`).
    """
    passed = [child.channel for child in handover.children]
    listeners = (*handover.listeners, *handover.admin)
    passed += [number for listener in listeners for number in listener.sockets]
    passed += [number for number in (handover.lock, handover.control) if number is not None]
    signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
    try:
        with _note_signals() as noted, ExitStack() as stack:
            file = write(msgspec.structs.replace(handover, signals=noted), inheritable=True)
            stack.callback(os.close, file)
            os.environ[VARIABLE] = str(file)
            for number in (*passed, noted):
                os.set_inheritable(number, True)
            flush_log()
            sys.stdout.flush()
            sys.stderr.flush()
            for number in held:  # also those that other threads have got so far
                signal.pthread_kill(threading.get_ident(), number)
            os.execv(sys.executable, [*_COMMAND, *sys.argv[1:]])
    except Exception as error:  # whatever it is, the children need this process
        os.environ.pop(VARIABLE, None)
        for number in passed:
            with suppress(OSError):  # one that is not open may be what has failed
                os.set_inheritable(number, False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WANTED)
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return f"{sys.executable} cannot be run: {why}"
