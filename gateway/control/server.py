"""The supervisor's end of the control socket: one command from each connection, which is answered
while it is carried out. `commands` defines what is said.

A client can neither hold up the supervisor nor take its command back: the command is carried out to
its end even if the client leaves, and progress that the client does not read is dropped.
"""

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

import trio

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import problem
from ..directories import Untrusted, bind_socket
from ..observe.process_log import logger
from ..transport.credentials import credentials
from .commands import (
    LONGEST_REQUEST,
    Command,
    CommandError,
    Result,
    Status,
    decode_command,
    encode_result,
    encode_say,
    encode_taken,
    name_of,
)

MAX_CONNECTIONS: Final = 64
"""Connections at once: enough for every operator and monitor. A reload keeps its connection until
it has ended."""
SOUGHT_EVERY: Final = 1.0
"""Seconds between two looks whether clients can still find the socket."""
REQUEST_TIMEOUT: Final = 5.0
"""Seconds from the connection to the end of the request's line."""
SEND_TIMEOUT: Final = 10.0
"""Seconds that a client has to take the rest of its answer."""
LONGEST_BACKLOG: Final = 1_048_576
"""Bytes that wait for a client that does not read. Further progress is dropped."""

Say = Callable[[str], None]
"""Sends a line of progress. It never blocks and never raises."""
Handler = Callable[[Command, Say], Awaitable[Result]]
"""Carries a command out. An exception of it is logged and answered as a failure."""


class ControlServer:
    """Listens at `path` until it is cancelled. Another instance may take the path over meanwhile;
    so at its end the server removes the socket only if it is still its own."""

    def __init__(self, path: str, handle: Handler, inherited: int | None = None) -> None:
        """`inherited` is a descriptor that listens at `path` already, from before an upgrade;
        clients that have connected to it are served."""
        self._path = path
        self._handle = handle
        self._inherited = inherited
        self._listener: socket.socket | None = None
        self._name: tuple[int, int] | None = None
        """Which file our socket has been given as its name."""
        self._fault = ""
        """Why the socket, which is gone, was not made anew."""
        self._connections = 0

    @property
    def listener(self) -> int | None:
        """The listening descriptor; None before `run`."""
        return self._listener.fileno() if self._listener else None

    @property
    def idle(self) -> bool:
        """Whether every client has been answered."""
        return self._connections == 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves for ever. Raises OSError, before it has started, if the socket cannot be made."""
        self._use(self._open())
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                await self._accept(nursery)
        finally:
            if self._name is not None and self._name == _identity(self._path):
                with suppress(OSError):
                    os.unlink(self._path)
            if self._listener is not None:
                self._listener.close()

    def _open(self) -> socket.socket:
        if self._inherited is None:
            return bind(self._path)
        inherited = inherit(self._inherited)
        if _identity(self._path) is not None:
            return inherited
        inherited.close()  # its name is gone, so no client can find it
        return bind(self._path)

    def _use(self, listener: socket.socket) -> None:
        before, self._listener = self._listener, listener
        self._name = _identity(self._path)
        if before is not None:
            before.close()

    def _look(self) -> None:
        """Makes the socket anew if its name is gone: a cleaner of temporary files may have removed
        it, and no client finds it without."""
        if _identity(self._path) is not None:
            self._fault = ""
            return
        try:
            self._use(bind(self._path))
        except OSError as error:
            self._fault = error.strerror or str(error)
        else:
            self._fault = ""
            logger.warning("%s was removed by somebody, and is made anew", self._path)

    def problems(self, now: float) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        if self._fault:
            what = f"control socket {self._path} is gone, and not made anew: {self._fault}"
            yield problem("control socket", self._path, what)

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            listener = self._listener
            assert listener is not None, "it is accepted on once there is one"
            with trio.move_on_after(SOUGHT_EVERY) as quiet:
                await trio.lowlevel.wait_readable(listener)
            if quiet.cancelled_caught:
                self._look()
                continue
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                logger.error("The control socket cannot take a client in: %s", error)
                await trio.sleep(1)
                continue
            sock.setblocking(False)
            self._connections += 1
            nursery.start_soon(self._serve, sock)

    async def _serve(self, sock: socket.socket) -> None:
        try:
            with sock:
                client = _Client(sock)
                result = await self._answer(client)
                if result is not None:
                    await client.finish(result)
        except OSError:
            pass  # the client has left
        except Exception:
            logger.exception("A client of the control socket was dropped")
        finally:
            self._connections -= 1

    async def _answer(self, client: "_Client") -> Result | None:
        peer = credentials(client.sock)
        if peer.uid not in (0, os.geteuid()):
            logger.error("The control socket refused another user (%s)", peer)
            return Result(False, f"refused: you are uid {peer.uid}, and this is not yours")
        if self._connections > MAX_CONNECTIONS:
            return Result(False, "refused: too many others are asking")
        try:
            line = await client.request()
            if line is None:
                return None
            command = decode_command(line)
        except CommandError as error:
            return Result(False, str(error))
        if not isinstance(command, Status):
            logger.info("Asked to %s (%s)", name_of(command), peer)
        client.send(encode_taken(command))
        return await self._carry_out(command, client)

    async def _carry_out(self, command: Command, client: "_Client") -> Result:
        try:
            return await self._handle(command, client.say)
        except Exception as error:
            logger.exception("%s failed in the supervisor", name_of(command))
            what = f"{type(error).__name__}: {error}"
            return Result(False, f"{name_of(command)} failed in the supervisor: {what}")


class _Client:
    """One client's connection. It sends without waiting and keeps what the socket does not take
    until something else is sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._waiting = bytearray()
        self._gone = False

    async def request(self) -> bytes | None:
        """Returns the request's line; None if the client closes without a byte. Raises CommandError
        and OSError."""
        data = b""
        with trio.move_on_after(REQUEST_TIMEOUT) as late:
            while b"\n" not in data:
                try:
                    piece = self.sock.recv(LONGEST_REQUEST)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(self.sock)
                    continue
                if not piece:
                    break
                data += piece
                if len(data) > LONGEST_REQUEST:
                    raise CommandError(f"what was asked is longer than {LONGEST_REQUEST} bytes")
        if late.cancelled_caught:
            raise CommandError(f"nothing was asked within {REQUEST_TIMEOUT:g} s")
        return data.partition(b"\n")[0] if data else None

    def say(self, text: str) -> None:
        if len(self._waiting) < LONGEST_BACKLOG:
            self.send(encode_say(text))

    def send(self, data: bytes) -> None:
        if not self._gone:
            self._waiting += data
            self._push()

    async def finish(self, result: Result) -> None:
        try:
            data = encode_result(result)
        except (TypeError, ValueError) as error:
            logger.error("What was to be answered is no JSON: %s", error)
            data = encode_result(Result(False, f"the answer is no JSON: {error}"))
        self.send(data)
        with trio.move_on_after(SEND_TIMEOUT):
            while self._waiting and not self._gone:
                await trio.lowlevel.wait_writable(self.sock)
                self._push()

    def _push(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: self.sock.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._gone = True


def bind(path: str) -> socket.socket:
    """Makes a listening socket of mode 0600 that replaces what is at the path. Raises OSError."""
    draft = f"{path.removesuffix('.sock')}.new"  # no longer than the path itself
    try:
        sock = bind_socket(draft, 0o600)
    except Untrusted as why:
        raise OSError(errno.EPERM, f"its directory {why}") from None
    try:
        sock.listen(MAX_CONNECTIONS)
        sock.setblocking(False)
        # Renaming puts it in place: at every moment of an upgrade a socket at the path listens.
        os.replace(draft, path)
    except BaseException:
        sock.close()
        raise
    return sock


def inherit(number: int) -> socket.socket:
    """Returns the listening socket that this process has made before an upgrade."""
    sock = socket.socket(fileno=number)
    sock.set_inheritable(False)
    return sock


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
