"""Says in words how a process has ended. Pure."""

import signal
from typing import Final

from ..fleet.events import ExitKind

HINTS: Final[dict[int, str]] = {
    signal.SIGKILL: "out of memory?",
    signal.SIGSEGV: "a fault in native code",
    signal.SIGBUS: "a fault in native code",
    signal.SIGILL: "a fault in native code",
    signal.SIGFPE: "a fault in native code",
    signal.SIGABRT: "it gave itself up",
}


def exit_words(returncode: int) -> str:
    """`exited with code 1` or `was killed by SIGKILL`, for a code as subprocess gives it."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    return f"was killed by {_signal_name(-returncode)}"


def exit_hint(returncode: int) -> str:
    """What such an end often means; "" if it is clear by itself."""
    return HINTS.get(-returncode, "") if returncode < 0 else ""


def exit_kind(returncode: int) -> ExitKind:
    """How it has ended, as a metric tells it."""
    if returncode == -signal.SIGKILL:
        return "killed"
    return "crash" if returncode else "exited"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # real-time signals have no names of their own
