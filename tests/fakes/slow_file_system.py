"""A file system whose server answers when it is told to, as one behind a network does on a bad day.

It speaks the kernel's FUSE protocol (linux/fuse.h) on /dev/fuse, just as much of it as one folder
with files needs. Who mounts it has to be root.
"""

import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 27, 29, 36, 38, 42
UNANSWERED = {FORGET, BATCH_FORGET, INTERRUPT, DESTROY}
MAY_BE_HELD = {
    "lookup": LOOKUP, "open": OPEN, "read": READ, "getattr": GETATTR,
}  # fmt: skip
DETACH = 2
BUFFER = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


class SlowFiles:
    """The server. What is held is answered when it is let go."""

    def __init__(self, device: int, files: dict[bytes, bytes]) -> None:
        self._device = device
        self._names = list(files)
        self._contents = [files[name] for name in self._names]
        self._let_go = threading.Event()
        self._let_go.set()
        self._held: set[int] = set()
        self.waiting = 0
        """Calls that are held."""

    def hold(self, *what: str) -> None:
        """Answers no call of these kinds until `let_go`."""
        self._let_go.clear()
        self._held = {MAY_BE_HELD[each] for each in what}

    def let_go(self) -> None:
        self._held = set()
        self._let_go.set()

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, BUFFER)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return  # it is unmounted
            threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request: bytes) -> None:
        _, code, unique, node = struct.unpack_from("<IIQQ", request)
        if code in self._held:
            self.waiting += 1
            self._let_go.wait()
            self.waiting -= 1
        if code in UNANSWERED:
            return
        try:
            body, fault = self._do(code, node, request[40:]), 0
        except OSError as error:
            body, fault = b"", -(error.errno or errno.EIO)
        try:
            os.write(self._device, struct.pack("<IiQ", 16 + len(body), fault, unique) + body)
        except OSError:
            pass  # nobody waits for it any more

    def _do(self, code: int, node: int, body: bytes) -> bytes:
        if code == INIT:
            return struct.pack("<IIIIHHIIHHIIH22x", 7, 31, 0, 0, 64, 48, 65_536, 1, 0, 0, 0, 0, 0)
        if code == LOOKUP:
            name = body.rstrip(b"\0")
            if name not in self._names:
                raise FileNotFoundError(errno.ENOENT, "")
            node = self._names.index(name) + 2
            return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)
        if code == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if code in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if code == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return self._contents[node - 2][offset : offset + size]
        if code == STATFS:
            return bytes(80)
        if code in (RELEASE, RELEASEDIR, FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "")

    def _attributes(self, node: int) -> bytes:
        is_folder = node == 1
        mode = stat.S_IFDIR | 0o755 if is_folder else stat.S_IFREG | 0o644
        size = 0 if is_folder else len(self._contents[node - 2])
        times = (10**9,) * 3
        return struct.pack("<6Q10I", node, size, 0, *times, 0, 0, 0, mode, 1, 0, 0, 0, 4_096, 0)


@contextmanager
def slow_files(folder: Path, files: dict[bytes, bytes]) -> Iterator[SlowFiles]:
    """Mounts it on the folder. Raises PermissionError for who may not."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    path = os.fsencode(folder)
    if _libc.mount(b"slow", path, b"fuse", 0, options.encode()) != 0:
        os.close(device)
        raise PermissionError(ctypes.get_errno(), "mount")
    server = SlowFiles(device, files)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.let_go()
        _libc.umount2(path, DETACH)
        os.close(device)
