"""Collects the apps' own metrics: listens for workers, asks all of them, and merges what they say.

`<run-dir>/<pool>/<name>.metrics` is a socket that workers dial as they dial gateways, so workers of
other supervisors and from other containers come as well. `protocol.app_metrics` has what is said on
it. The owner and the mode are those of the pool's other sockets.

Nobody waits for a worker for long. One that has answered before has KNOWN_WITHIN, and its answer
before counts if it is slower; a new one has NEW_WITHIN. One that still owes the answer of an
earlier scrape is not asked again and not waited for: its app's collector hangs, or the whole
process does.
"""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Literal
from weakref import WeakValueDictionary

import trio

from ...protocol.app_metrics import (
    ANSWER_FRAME,
    FAMILIES_FRAME,
    HELLO_FRAME,
    SOCKET_SUFFIX,
    FrameError,
    Frames,
    Introduction,
    ask,
    read_hello,
)
from ..control.run_dir import is_dead
from ..directories import Untrusted, bind_socket, remove_socket
from ..metrics.app_merge import AppMerge, PoolMetrics
from ..metrics.app_snapshot import AppShape, read_answer
from ..metrics.app_worker import AppWorker
from ..metrics.exposed import ExposedFamily
from ..observe.process_log import logger

METRICS_MODE: Final = 0o660
LISTENERS_EVERY: Final = 1.0
"""Seconds between two looks whether each pool has its socket."""
KNOWN_WITHIN: Final = 0.03
"""Seconds that a worker has to answer which has answered before."""
NEW_WITHIN: Final = 0.25
HELLO_WITHIN: Final = 5.0
REFUSED_FOR: Final = 1.0
"""Seconds for which a worker that has sent nonsense keeps one of the places."""
MOST_CONNECTIONS: Final = 1_024
"""Connections of a pool at most."""
READ_AT_ONCE: Final = 262_144
ACCEPT_PAUSE: Final = 0.1
"""Seconds after an error of accept(2)."""
FAULT_AGAIN: Final = 60.0
"""Seconds after which the log is told again of families that are left out."""


class AppMetrics:
    """The apps' metrics of all pools, as this supervisor knows them."""

    def __init__(
        self,
        control_socket: str,
        pools: Callable[[], Iterable[str]],
        *,
        knows: Callable[[int], bool],
        only_own: bool = False,
        owner: int | None = None,
        within: tuple[float, float] = (KNOWN_WITHIN, NEW_WITHIN),
    ) -> None:
        """`control_socket` is ours, in the run directory. `pools` returns the names of the pools
        that there are now. `knows`: whether a number is that of a child of ours; with `only_own`,
        other workers are not asked. `owner` is the uid that the pools' directories belong to, if
        that is another user. `within`: how many seconds a worker has to answer that has answered
        before, and a new one."""
        self._run_dir = os.path.dirname(control_socket)
        self._name = socket_name(control_socket)
        self._pools = pools
        self._knows = knows
        self._only_own = only_own
        self._owner = owner
        self._known_within, self._new_within = within
        self._merge = AppMerge()
        self._listeners: dict[str, _Listener] = {}
        self._connections: list[_Connection] = []
        self._shapes = WeakValueDictionary[bytes, AppShape]()
        """FAMILIES -> what was read of them, while a worker has these series."""
        self._said: dict[tuple[str, str], float] = {}
        """Pool and reason of families that are left out -> when the log was told."""
        self._number = 0
        """The number of the last ASK."""

    async def run(self) -> None:
        """Listens for workers until it is cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._look(nursery)
                    self._merge.expire(monotonic(), self._knows)
                    await trio.sleep(LISTENERS_EVERY)
        finally:
            for listener in self._listeners.values():
                listener.close()

    def ended(self, child: int) -> None:
        """A worker that is a child of ours has ended. What it has said last is still read."""
        connected = {connection.worker for connection in self._connections}
        for pool, worker in self._merge.children(child):
            if worker not in connected:
                pool.ended(worker)
        for connection in self._connections:
            connection.process_ended(child)

    async def families(self) -> list[ExposedFamily]:
        """Asks all workers, and returns the merged metrics of all apps, and how old they are."""
        self._number += 1
        asked = _Round()
        for connection in self._connections:
            connection.ask(self._number, asked)
        if asked.waiting:
            with trio.move_on_after(self._known_within):
                await asked.over.wait()
        asked.wait_for_new()
        if asked.waiting:
            with trio.move_on_after(self._new_within - self._known_within):
                await asked.over.wait()
        now = monotonic()
        found = self._merge.families(now)
        self._say_faults(now)
        return found

    def save(self) -> dict[str, Any]:
        """Returns what newer code takes over, as JSON has it."""
        return self._merge.save()

    def restore(self, saved: Any) -> None:
        """Takes over what older code has saved. To be called before `run`."""
        self._merge.restore(saved, monotonic())

    # -- listening ---------------------------------------------------------------------------

    def _look(self, nursery: trio.Nursery) -> None:
        pools = list(self._pools())
        for gone in self._listeners.keys() - set(pools):
            self._listeners.pop(gone).close()
            self._merge.drop(gone)
        for name in pools:
            listener = self._listeners.get(name)
            if listener is None:
                path = os.path.join(self._run_dir, name, f"{self._name}{SOCKET_SUFFIX}")
                listener = self._listeners[name] = _Listener(path, self._owner)
                self._merge.pool(name)  # of two types the first pool's is shown, in this order
            if listener.open():
                nursery.start_soon(self._accept, name, listener.sock, nursery)

    async def _accept(self, pool: str, listening: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            try:
                await trio.lowlevel.wait_readable(listening)
                sock, _ = listening.accept()
            except trio.ClosedResourceError:
                return
            except BlockingIOError:
                continue
            except OSError as error:
                if listening.fileno() < 0:
                    return
                logger.error("pool %s: a worker's metrics are not taken in: %s", pool, error)
                await trio.sleep(ACCEPT_PAUSE)
                continue
            if sum(one.pool is self._merge.pool(pool) for one in self._connections) >= (
                MOST_CONNECTIONS
            ):
                sock.close()
                continue
            sock.setblocking(False)
            may_ask = self._knows if self._only_own else _anybody
            connection = _Connection(sock, self._merge.pool(pool), self._shape_of, may_ask)
            self._connections.append(connection)
            nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: "_Connection") -> None:
        try:
            await connection.run()
        except Exception:  # a fault of ours; the supervisor goes on
            logger.exception("the metrics of a worker are not read any more")
        finally:
            self._connections.remove(connection)

    def _shape_of(self, payload: bytes) -> AppShape:
        """Reads FAMILIES, once for all workers that have the same. Raises FrameError."""
        shape = self._shapes.get(payload)
        if shape is None:
            shape = self._shapes[payload] = AppShape(payload)
        return shape

    def _say_faults(self, now: float) -> None:
        for pool, reason, what in self._merge.faults():
            if now >= self._said.get((pool, reason), -FAULT_AGAIN) + FAULT_AGAIN:
                self._said[pool, reason] = now
                logger.warning(
                    "Pool %s: metrics of the app are left out (%s): %s", pool, reason, what
                )


class _Round:
    """The workers that are asked at one scrape and have not answered yet."""

    def __init__(self) -> None:
        self.waiting: set[_Connection] = set()
        self.over = trio.Event()
        """Set when nobody is waited for."""

    def add(self, connection: "_Connection") -> None:
        self.waiting.add(connection)

    def remove(self, connection: "_Connection") -> None:
        """It has answered, or is gone."""
        self.waiting.discard(connection)
        if not self.waiting:
            self.over.set()

    def wait_for_new(self) -> None:
        """From now on, only those are waited for that have never answered."""
        self.waiting = {connection for connection in self.waiting if connection.is_new}


class _Listener:
    """The listening socket of one pool."""

    def __init__(self, path: str, owner: int | None) -> None:
        self.sock: socket.socket
        self._path = path
        self._owner = owner
        self._state: Literal["closed", "open"] = "closed"
        self._fault = ""
        """Why it could not be made, as it was logged last."""

    def open(self) -> bool:
        """Makes the socket if it is not there. Returns whether it was made."""
        if self._state == "open":
            if os.path.lexists(self._path):
                return False
            self._shut()  # somebody has removed its name, and no worker finds it
        try:
            users = () if self._owner is None else (self._owner,)
            _remove_dead(os.path.dirname(self._path))
            self.sock = bind_socket(self._path, METRICS_MODE, users)
            self.sock.listen(128)
            self.sock.setblocking(False)
        except FileNotFoundError:  # a gateway makes the directory, and is not there yet
            return False
        except (OSError, Untrusted) as error:
            if self._fault != str(error):
                self._fault = str(error)
                logger.error("No metrics of apps: %s is not made: %s", self._path, error)
            return False
        self._state, self._fault = "open", ""
        return True

    def close(self) -> None:
        if self._state == "open":
            self._shut()
            remove_socket(self._path)

    def _shut(self) -> None:
        self._state = "closed"
        trio.lowlevel.notify_closing(self.sock)
        self.sock.close()


class _Connection:
    """The connection of one worker."""

    def __init__(
        self,
        sock: socket.socket,
        pool: PoolMetrics,
        shape_of: Callable[[bytes], AppShape],
        may_ask: Callable[[int], bool],
    ) -> None:
        self.pool = pool
        self.worker: AppWorker | None = None
        self._sock = sock
        self._shape_of = shape_of
        self._may_ask = may_ask
        self._shape: AppShape | None = None
        self._state: Literal["silent", "known", "ignored"] = "silent"
        """silent: no HELLO yet; known: it is asked; ignored: it is not ours to ask."""
        self._owed = 0
        """The number of the ASK that is not answered yet; 0: none."""
        self._unasked = 1
        """How many answers more it may give without being asked: its last words."""
        self._visit = 0
        self._round: _Round | None = None
        """The scrape that the answer is owed to."""
        self._process_ended = False

    @property
    def is_new(self) -> bool:
        """Whether it has not answered yet."""
        return self.worker is not None and self.worker.answered_at is None

    def ask(self, number: int, asked: _Round) -> None:
        """Asks the worker, unless it owes an answer."""
        if self.worker is None or self._owed:
            return
        try:
            self._sock.send(ask(number))
        except OSError:  # it has gone, or reads nothing
            return
        self._owed, self._round = number, asked
        asked.add(self)

    def process_ended(self, child: int) -> None:
        if self.worker is not None and self.worker.who.id == child:
            self._process_ended = True
            # Its last words are read; but the end of file may not come, if a child that the app has
            # forked holds its end.
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RD)

    async def run(self) -> None:
        """Reads what the worker says until it is gone. It never raises for what a worker says."""
        frames = Frames()
        try:
            with self._sock:
                with trio.move_on_after(HELLO_WITHIN) as late:
                    while self._state == "silent":
                        if not await self._read(frames):
                            return  # another supervisor has looked whether we live
                if late.cancelled_caught:
                    raise FrameError("no HELLO")
                while await self._read(frames):
                    pass
        except OSError:
            pass  # it was killed with our question unread
        except FrameError as error:
            who = f" of worker {self.worker.who.worker}" if self.worker is not None else ""
            logger.warning("Pool %s: metrics%s are refused: %s", self.pool.name, who, error)
            await trio.sleep(REFUSED_FOR)  # it holds its place, and cannot come again at once
        finally:
            self._gone()

    async def _read(self, frames: Frames) -> bool:
        """Reads what has come. Returns False at the end of the connection. Raises OSError and
        FrameError."""
        await trio.lowlevel.wait_readable(self._sock)
        data = self._sock.recv(READ_AT_ONCE)
        for kind, payload in frames.feed(data):
            self._hear(kind, payload)
        return bool(data)

    def _hear(self, kind: bytes, payload: bytes) -> None:
        """Raises FrameError."""
        if kind == HELLO_FRAME and self._state == "silent":
            self._greet(read_hello(payload))
        elif self._state == "ignored":
            pass
        elif kind == FAMILIES_FRAME and self.worker is not None:
            if not self._owed and not self._unasked:
                raise FrameError("FAMILIES that were not asked for")
            self._shape = self._shape_of(payload)
        elif kind == ANSWER_FRAME and self.worker is not None and self._shape is not None:
            number, values, left_out = read_answer(payload, self._shape)
            if number and number == self._owed:
                self._owed = 0
            elif number or not self._unasked:
                raise FrameError("an ANSWER that was not asked for")
            if not number:
                self._unasked -= 1
            self.pool.take(self.worker, self._shape, values, left_out, monotonic())
            self._settle()
        else:
            raise FrameError(f"a frame {kind!r} out of its turn")

    def _greet(self, who: Introduction) -> None:
        """Raises FrameError."""
        if who.pool != self.pool.name:
            raise FrameError(f"a worker of pool {who.pool[:100]!r}")
        if not self._may_ask(who.id):
            self._state = "ignored"
            return
        now = monotonic()
        self.worker = self.pool.join(who, now)
        if self.worker is None:
            raise FrameError("too many workers")
        self._visit = self.worker.came(now)
        self._state = "known"

    def _gone(self) -> None:
        self._owed = 0
        self._settle()
        if self.worker is None:
            return
        if self._process_ended:
            self.pool.ended(self.worker)
        else:
            self.worker.went(self._visit, monotonic())

    def _settle(self) -> None:
        """Tells the scrape that waits, if nothing is owed any more."""
        if not self._owed and self._round is not None:
            self._round.remove(self)
            self._round = None


def _anybody(child: int) -> bool:
    return True


def socket_name(control_socket: str) -> str:
    """The name of a supervisor's sockets in the pools' directories. Several supervisors may share
    a run directory, and the names of their control sockets tell them apart. It is short, because
    the path of a Unix socket has to be."""
    name = os.path.basename(control_socket).removesuffix(".sock")
    return name.removeprefix("control").removeprefix("-") or "0"


def _remove_dead(directory: str) -> None:
    """Removes sockets that killed supervisors have left behind."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name.endswith(SOCKET_SUFFIX) and is_dead(path):
            remove_socket(path)
