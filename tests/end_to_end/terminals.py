"""A terminal as a person has it: a pty with a program in it, and what is seen on its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from typing import Any

import pytest

from .server import DEADLINE, command, environment, wait_for

pyte = pytest.importorskip("pyte", reason="pyte comes with propylon[test]")


def set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def take_terminal() -> None:
    """In the child: makes its standard input its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """`propylon …` in a terminal of its own."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        rows: int = 24,
        program: tuple[str, ...] = (),
        ignored: signal.Signals | None = None,
        **env: str,
    ) -> None:
        """`program` is run instead, if it is given. `ignored` is a signal that whoever starts it
        has ignored."""

        def begin() -> None:
            take_terminal()
            if ignored is not None:
                signal.signal(ignored, signal.SIG_IGN)

        self._master, self._slave = pty.openpty()
        set_size(self._slave, columns, rows)
        self.before = termios.tcgetattr(self._slave)
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self.raw = b""
        self.process = subprocess.Popen(
            program or command(*arguments),
            stdin=self._slave,
            stdout=self._slave,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=begin,
            env=environment(TERM="xterm-256color", **env),
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._gone.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            data = os.read(self._master, 65_536)
            with self._lock:
                self.raw += data
                self._stream.feed(data)

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.hang_up()

    def hang_up(self) -> None:
        """The terminal goes away, as when a connection of ssh ends."""
        if not self._gone.is_set():
            self._gone.set()
            self._thread.join(DEADLINE)
            os.close(self._master)
            os.close(self._slave)

    @property
    def text(self) -> str:
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def cell(self, text: str) -> Any:
        """The first cell of the text on the screen, with its colours."""
        with self._lock:
            for row, line in enumerate(self._screen.display):
                if text in line:
                    return self._screen.buffer[row][line.index(text)]
        raise AssertionError(f"{text!r} is not to be seen")

    def see(self, look: Callable[[str], object], what: str) -> str:
        """Waits until the screen is so, and returns it."""

        def seen() -> str:
            text = self.text
            return text if look(text) else ""

        try:
            return wait_for(seen, what)
        except AssertionError:
            raise AssertionError(f"never seen: {what}\n{self.text}") from None

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        with self._lock:
            self._screen.resize(rows, columns)
            self._screen.reset()
        set_size(self._slave, columns, rows)

    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def ends(self) -> int:
        """Waits for the end and returns the exit code, negative for a signal."""
        return self.process.wait(DEADLINE)

    def error(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()
