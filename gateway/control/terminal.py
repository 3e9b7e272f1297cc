"""The operator's terminal while `propylon top` has it: keys, resizes, and all as it was afterwards.

The program takes the terminal over: keys come without Enter and without an echo, the cursor is
hidden, and the alternate screen leaves what stood there before untouched. Whoever takes a terminal
over has to give it back in every way of ending, or the operator is left in a shell without an echo.
The ways are: it returns, it raises, a signal ends it, Ctrl-Z stops it (then the shell has the
terminal until `fg`). Therefore no signal acts by itself. Each one only wakes the one loop that
waits here, with its number, and the loop decides. SIGKILL and SIGSTOP alone cannot be told; after
SIGSTOP the program sets the terminal up anew on SIGCONT.

A terminal may be gone (SIGHUP, end of file), and may be no terminal at all: then there are no keys.
"""

import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""To the alternate screen, without a cursor, cleared (xterm's control sequences)."""
LEAVE: Final = "\x1b[?25h\x1b[?1049l"
HOME: Final = "\x1b[H"
CLEAR_TO_END_OF_LINE: Final = "\x1b[K"
CLEAR_BELOW: Final = "\x1b[J"
SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGCONT,
    signal.SIGWINCH,
)
ENDING: Final = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
WOKEN: Final = 0
"""The byte with which another thread wakes the loop; no signal has this number."""

_Handler = Callable[[int, FrameType | None], Any] | int | None


def _let_the_loop_decide(number: int, frame: FrameType | None) -> None:
    """A handler of signals. The number itself comes by the descriptor of set_wakeup_fd."""


class Terminal:
    """A context in which the terminal is ours. Entered once."""

    def __init__(self) -> None:
        self._out = sys.stdout.fileno()
        self._keys: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._attributes: list[Any] | None = None
        self._handlers: dict[signal.Signals, _Handler] = {}
        self._wakeup = -1
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self.ended_by: signal.Signals | None = None
        """The signal that wants the program to end."""

    def __enter__(self) -> "Terminal":
        for number in SIGNALS:
            # Whoever started us may want no end by one of these, as nohup does.
            if number not in ENDING or signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, _let_the_loop_decide)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            size = os.get_terminal_size(self._out)
        except OSError:
            size = shutil.get_terminal_size((80, 24))
        return size.columns or 80, size.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Shows the lines from the top on. The screen is not cleared first, which would flicker."""
        body = f"{CLEAR_TO_END_OF_LINE}\r\n".join(lines)
        try:
            self._say(f"{HOME}{body}{CLEAR_TO_END_OF_LINE}{CLEAR_BELOW}")
        except OSError:  # EIO: the terminal has gone
            self.ended_by = signal.SIGHUP

    def wake(self) -> None:
        """Makes `wait` return. Any thread may call it."""
        try:
            os.write(self._write, bytes([WOKEN]))
        except OSError:
            pass  # it has been woken often enough, or does not wait any more

    def wait(self, until: float) -> str:
        """Waits until a key, a resize, a wake-up or a monotonic time, and returns the keys.

        Sets `ended_by` if a signal, or the end of the terminal, asks for the end.
        """
        watched = [self._read] if self._keys is None else [self._read, self._keys]
        ready, _, _ = select.select(watched, [], [], max(0.0, until - time.monotonic()))
        keys = ""
        if self._read in ready:
            for number in os.read(self._read, 1_024):
                self._heard(number)
        if self._keys is not None and self._keys in ready:
            keys = self._typed(self._keys)
        return keys

    def _heard(self, number: int) -> None:
        if number == signal.SIGTSTP:
            self._stop()
        elif number == signal.SIGCONT:
            self._take()
        elif number == signal.SIGINT or number in ENDING:
            self.ended_by = signal.Signals(number)

    def _typed(self, keys: int) -> str:
        try:
            data = os.read(keys, 1_024)
        except OSError:  # EIO: the terminal has gone
            data = b""
        if not data:
            self.ended_by = signal.SIGHUP
        if data.startswith(b"\x1b"):
            return "\x1b" if len(data) == 1 else ""  # an arrow, or another key that we do not know
        return data.decode("ascii", "ignore")

    # -- taking and giving back --------------------------------------------------------------

    def _take(self) -> None:
        if self._keys is not None:
            if self._attributes is None:
                self._attributes = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys, termios.TCSADRAIN)
        self._say(ENTER)

    def _give_back(self) -> None:
        try:
            if self._keys is not None and self._attributes is not None:
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._attributes)
            self._say(LEAVE)
        except (OSError, termios.error):
            pass  # the terminal has gone; there is nothing to be given back

    def _stop(self) -> None:
        """Stops, as Ctrl-Z wants it, and comes back when the shell continues us (SIGCONT)."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _let_the_loop_decide)
        self._take()

    def _say(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._out, data) :]
