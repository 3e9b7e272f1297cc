"""Answers supervisors that ask for the app's metrics, from a thread of its own for each.

The event loop may be busy for seconds, hang, or wait in a C call; a WSGI worker's threads may all
be taken. So a thread that does nothing else dials each `<name>.metrics` in the pool's directory,
says who it is, and answers. It exists only if such a socket does: without an admin listener a
worker has no thread more. A supervisor that replaces its own code ends the connection and makes the
socket anew, and the thread dials again. When the socket is gone, the thread ends; if it is there
again, the host's next look starts another.

A collector of the app's may hang. Then this thread does, nothing else waits for it, and the
supervisor does not ask again before it has its answer.

The thread is no `threading.Thread`, and the socket's class is kept here, because an app may replace
both (gevent's `monkey.patch_all`). A forked child of the app's keeps neither.
"""

import logging
import os
import time
from _thread import LockType, allocate_lock, start_new_thread
from pathlib import Path
from socket import SO_SNDTIMEO, SOL_SOCKET
from socket import socket as Socket  # before an app can replace it
from struct import pack
from typing import Final

from ...protocol import app_metrics as frames
from ..process.app_children import keep_from_children
from ..settings import WorkerSettings
from .dialer import connect, sockets_in
from .registry_snapshot import RegistrySnapshot, Say

logger = logging.getLogger("propylon.worker")

LOOK_EVERY: Final = 0.5
"""Seconds between two looks for sockets that are not dialled yet."""
AGAIN_AFTER: Final = 0.2
"""Seconds after which a supervisor whose connection has ended is dialled again."""
LONGEST_PAUSE: Final = 2.0
TAKEN_WITHIN: Final = 10
"""Seconds in which a supervisor has to take an answer."""
LAST_WITHIN: Final = 0.5
"""Seconds that the end of the worker waits for its last answers."""
SAID_AGAIN_AFTER: Final = 60.0
MOST_TOPICS: Final = 100


class AppMetrics:
    """The connections of one worker to the supervisors that ask for its app's metrics."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._directory: Path = settings.pool_dir
        self._who = frames.Introduction(
            pool=settings.pool,
            worker=settings.worker_id,
            id=settings.child_id,
            pid=os.getpid(),
            generation=settings.generation,
            process=os.urandom(12).hex(),
        )
        self._dialled: set[str] = set()
        """Paths for which there is a thread."""
        self._connections: list[_Connection] = []
        self._look_at = 0.0
        self._said: dict[str, float] = {}
        """What the log was told of -> monotonic seconds."""

    def look(self, now: float) -> None:
        """Starts a thread for each socket that has none."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        for path in sockets_in(self._directory, frames.SOCKET_SUFFIX):
            if path not in self._dialled:
                self._dialled.add(path)
                try:
                    start_new_thread(self._run, (path,))
                except RuntimeError as error:  # no more threads can be made
                    self._dialled.discard(path)
                    self._say("thread", f"no thread for {path}: {error}")

    def finish(self) -> None:
        """Tells the supervisors what the app has counted to the end: the worker is about to end.
        It waits for a bounded time, because a collector may hang."""
        waiting = [(connection, allocate_lock()) for connection in list(self._connections)]
        for connection, done in waiting:
            done.acquire()
            try:
                start_new_thread(connection.send_last, (done,))
            except RuntimeError:
                done.release()
        until = time.monotonic() + LAST_WITHIN
        for _, done in waiting:
            done.acquire(timeout=max(0.0, until - time.monotonic()))

    def _run(self, path: str) -> None:
        pause = AGAIN_AFTER
        try:
            while os.path.lexists(path):
                try:
                    if self._serve(path):
                        pause = AGAIN_AFTER
                except (OSError, frames.FrameError) as error:
                    if isinstance(error, PermissionError):
                        self._say(path, f"no metrics for {path}: {error}")
                    logger.debug("metrics for %s: %s", path, error)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        except Exception:  # a fault of ours, which must not end an app
            logger.exception("the app's metrics are not sent to %s", path)
        finally:
            self._dialled.discard(path)

    def _serve(self, path: str) -> bool:
        """Serves one connection to its end. Returns whether anything was asked. Raises OSError and
        FrameError."""
        sock = keep_from_children(Socket(fileno=connect(path).detach()))
        connection = _Connection(sock, self._say)
        try:
            connection.send(frames.hello(self._who))
            self._connections.append(connection)
            return connection.serve()
        finally:
            if connection in self._connections:
                self._connections.remove(connection)
            sock.close()

    def _say(self, topic: str, sentence: str) -> None:
        """Logs a sentence, once in a while for each topic."""
        now = time.monotonic()
        last = self._said.get(topic)
        if last is not None and now < last + SAID_AGAIN_AFTER:
            return
        if last is None and len(self._said) >= MOST_TOPICS:
            return
        self._said[topic] = now
        logger.warning("%s", sentence)


class _Connection:
    def __init__(self, sock: Socket, say: Say) -> None:
        sock.setblocking(True)
        sock.setsockopt(SOL_SOCKET, SO_SNDTIMEO, pack("ll", TAKEN_WITHIN, 0))
        self._sock = sock
        self._say = say
        self._families = b""
        """Those that the supervisor knows."""
        self._answering = allocate_lock()
        """Held from the reading of the counters until they are sent: an older answer that came
        behind a newer one would look as if the app had counted anew."""

    def serve(self) -> bool:
        """Answers until the supervisor is gone. Returns whether it has asked anything."""
        asked = False
        reader = frames.Frames()
        while True:
            data = self._sock.recv(4_096)
            if not data:
                return asked
            for kind, payload in reader.feed(data):
                if kind == frames.ASK_FRAME:
                    asked = True
                    self._answer(frames.read_ask(payload))

    def send(self, data: bytes) -> None:
        """Raises OSError, also if the supervisor does not take it in time."""
        self._sock.sendall(data)

    def send_last(self, done: LockType) -> None:
        try:
            self._answer(0)
        except OSError:
            pass  # the supervisor has gone
        finally:
            done.release()

    def _answer(self, number: int) -> None:
        with self._answering:
            snapshot = RegistrySnapshot(self._say)
            families = snapshot.families
            data = frames.answer(number, snapshot.values, snapshot.left_out)
            if families != self._families:
                data = frames.frame(frames.FAMILIES_FRAME, families) + data
                self._families = families
            self.send(data)
