"""The operator's end of the control socket: plain sockets, so that a command starts fast."""

import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from .commands import Command, Result, encode_command, name_of
from .instances import Instance, Strangers, connect

ANSWER_TIMEOUT: Final = 10.0
"""Seconds to the first line of an answer. A supervisor is never busy for long."""
RETRY_EVERY: Final = 0.05
"""Seconds between two looks at whether an instance is gone, if its pid cannot be seen from here."""


class NoAnswer(Exception):
    """The instance did not answer, or not to the end. The message is a sentence."""


class Ended(NoAnswer):
    """The instance ended, or replaced itself, before it had answered."""


def ask(
    instance: Instance,
    command: Command,
    say: Callable[[str], None] = lambda text: None,
    timeout: float = ANSWER_TIMEOUT,
) -> Result:
    """Sends a command and returns what became of it; `say` gets each line of progress.

    `timeout` is in seconds and for the first line, or for the whole of a status. Raises NoAnswer.
    """
    try:
        with connect(instance.socket) as sock:
            sock.settimeout(timeout)
            try:
                sock.sendall(encode_command(command))
            except (BrokenPipeError, ConnectionResetError):
                pass  # the command was refused before it was read; the answer says why
            for answer in _answers(sock):
                match answer:
                    case {"done": True, "ok": bool(ok), "message": str(message)}:
                        return Result(ok, printable(message), answer.get("data"))
                    case {"say": str(text)}:
                        say(printable(text))
                    case {"taken": _} if name_of(command) != "status":
                        sock.settimeout(None)  # a reload or a stop may take long
                    case _:
                        pass
    except (TimeoutError, BlockingIOError):
        raise NoAnswer(f"{instance} does not answer; is it stopped, or stuck?") from None
    except (ConnectionRefusedError, FileNotFoundError):
        raise Ended(f"{instance} has ended") from None
    except OSError as error:
        raise NoAnswer(f"{instance} cannot be asked: {error.strerror or error}") from None
    raise Ended(f"{instance} ended before it had answered; its log says why")


def _answers(sock: socket.socket) -> Iterator[dict[str, Any]]:
    buffer = b""
    while True:
        try:
            data = sock.recv(65_536)
        except ConnectionResetError:
            return
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            try:
                answer: object = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict):
                yield cast("dict[str, Any]", answer)


class EndOf:
    """The end of an instance. It is made before the instance is asked to stop, so that the process
    cannot be mistaken for a later one with the same pid."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._pidfd: int | None = None
        if instance.pid:
            try:
                self._pidfd = os.pidfd_open(instance.pid)
            except (AttributeError, OSError):
                pass  # gone by now; or an old or a sandboxed kernel

    def wait(self) -> None:
        if self._pidfd is None:
            self._wait_for_socket()
            return
        self._poll(self._pidfd, None)
        os.close(self._pidfd)

    @property
    def has_come(self) -> bool:
        """Whether the instance has ended; False if its pid cannot be seen from here."""
        return self._pidfd is not None and self._poll(self._pidfd, 0)

    def _poll(self, pidfd: int, timeout: int | None) -> bool:
        # select() takes no descriptor beyond 1023, and this process may have inherited many.
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(timeout))

    def _wait_for_socket(self) -> None:
        while True:
            try:
                connect(self._instance.socket).close()
            except (ConnectionRefusedError, FileNotFoundError, Strangers):
                return
            except OSError:
                pass
            time.sleep(RETRY_EVERY)


def printable(text: str) -> str:
    """The text with its control characters escaped. An app's error must not control the operator's
    terminal."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
