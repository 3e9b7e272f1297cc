"""How a process ended, in words. Pure."""

import signal
from typing import Final

HINTS: Final[dict[int, str]] = {
    signal.SIGKILL: "out of memory?",
    signal.SIGSEGV: "a fault in native code",
    signal.SIGBUS: "a fault in native code",
    signal.SIGILL: "a fault in native code",
    signal.SIGFPE: "a fault in native code",
    signal.SIGABRT: "it gave itself up",
}


def exit_words(returncode: int) -> str:
    """`exited with code 1`, `was killed by SIGKILL`; a returncode as subprocess gives it."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    return f"was killed by {_signal_name(-returncode)}"


def exit_hint(returncode: int) -> str:
    """What that often means; "" where it says enough by itself."""
    return HINTS.get(-returncode, "") if returncode < 0 else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # real-time signals have no names of their own
