"""The state that a supervisor hands over to the newer code that takes its place in the same
process.

An upgrade is an exec(2): the pid stays, children stay children, and open sockets stay open. What is
known of them goes along as JSON, in an unnamed file. The next version reads this format, so it only
grows: new fields have defaults, a missing field is an error that the check before the exec finds,
and a field that is renamed here travels under its first name.
"""

import os
import socket
import tempfile
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from ....protocol.supervision.messages import LinkedWorker
from ... import json_texts
from ...listen.address import Address, InheritedAddress, TcpAddress, UnixAddress
from ...listen.sockets import Listener, Listeners

VARIABLE: Final = "_PROPYLON_HANDOVER"
"""The environment variable with the file's descriptor. With `check:` in front the state is only
read and nothing begins."""
CHECK: Final = "check:"


class HandoverError(Exception):
    """The handed-over state cannot be understood. The message is a sentence."""


class SavedChild(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    kind: Literal["gateway", "worker"]
    number: int
    pool: str = ""
    generation: int
    pid: int
    channel: int = msgspec.field(name="leash")
    """The channel's descriptor."""
    unread: bytes = b""
    """The beginning of a line that has not come to its end."""
    state: Literal["starting", "ready", "stopping"]
    age: float
    """Seconds since it was started, or since it was ready."""
    time_left: float | None = None
    """Seconds until its deadline."""
    role: Literal["holder", "successor", "none"] = msgspec.field(name="seat")
    """Of its replica the current process, the replacement, or one that leaves."""
    why: str = ""
    """Why it leaves."""
    recycle_why: str = msgspec.field(name="wish", default="")
    recycle_kind: str = "asked"
    """One of `RecycleKind`; another version may have more of them."""
    listener_name: str = msgspec.field(name="door", default="")
    """Of a gateway: the name of its worker listeners' sockets."""
    links: dict[str, list[int]] = {}
    """Of a gateway: pool -> the workers that it may use."""


class SavedLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The workers of other supervisors that a gateway is linked to, in one pool."""

    gateway: int
    """The gateway's process."""
    pool: str
    workers: tuple[LinkedWorker, ...]


class SavedListener(msgspec.Struct, frozen=True, kw_only=True):
    tcp: TcpAddress | None = None
    unix: UnixAddress | None = None
    inherited: InheritedAddress | None = None
    sockets: list[int]
    inode: tuple[int, int] | None = None


class SavedMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted. Snapshots are read with the care that those of a child need, since another
    version has made them (`metrics.totals`): what is not understood must not end an upgrade."""

    ended: Any = {}
    """A snapshot: the sums of the processes that have ended."""
    last: dict[int, Any] = {}
    """Process -> its last snapshot."""
    failed: Any = ()
    """The last failed requests of processes that have ended, each as a `FailedRequest`."""
    own: Any = {}
    """A snapshot: what the supervisor has counted itself."""
    began: float = 0.0
    """When the instance began, in seconds since the epoch; 0.0 if the older code does not say."""
    reloaded: float = 0.0
    """When the last reload ended, in seconds since the epoch; 0.0 if there was none."""
    reload_failed: bool = False
    """Whether the last reload was aborted."""


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    generation: int
    last_generation: int
    workers: dict[str, int]
    next_id: int
    starts: dict[int, int]
    """Gateway's number -> how often such a gateway was started."""
    run_dir: str
    control_socket: str
    control: int | None = None
    """The control socket's descriptor."""
    lock: int | None
    temporary: bool
    listeners: list[SavedListener]
    admin: list[SavedListener] = []
    """The sockets of the admin listener."""
    children: list[SavedChild]
    uptime: float
    metrics: SavedMetrics = SavedMetrics()
    elsewhere: list[SavedLinks] = []
    secret: str = ""
    """What replicas' names are made with; "" if the older code has none."""
    scaled: list[str] = []
    """The pools whose number of workers an operator has set."""
    scalers: Any = {}
    """Pool -> what its autoscaler has done last; read with the same care as metrics."""
    signals: int | None = None
    """A pipe with the signals of the last moment, each as a byte (`exec`)."""
    app_metrics: Any = {}
    """What the apps have counted, as `metrics.app_merge` saves it; read with the same care."""


def save_listeners(listeners: Listeners) -> list[SavedListener]:
    return [_save(item) for item in listeners.items]


def _save(item: Listener) -> SavedListener:
    sockets, inode = [sock.fileno() for sock in item.sockets], item.inode
    match item.address:
        case TcpAddress() as address:
            return SavedListener(tcp=address, sockets=sockets, inode=inode)
        case UnixAddress() as address:
            return SavedListener(unix=address, sockets=sockets, inode=inode)
        case InheritedAddress() as address:
            return SavedListener(inherited=address, sockets=sockets, inode=inode)


def listeners_of(saved: Iterable[SavedListener]) -> Listeners:
    """The listeners of a handover. Their sockets are open in this process already."""
    listeners = Listeners()
    for item in saved:
        address: Address | None = item.tcp or item.unix or item.inherited
        assert address is not None, "each has one of the three"
        sockets = [socket.socket(fileno=number) for number in item.sockets]
        for sock in sockets:
            sock.set_inheritable(False)
            sock.setblocking(False)  # as it is; Python takes it for blocking
        listeners.items.append(Listener(address, sockets, item.inode))
    return listeners


def write(handover: Handover, *, inheritable: bool) -> int:
    """Writes a handover into an unnamed file and returns its descriptor. `inheritable` lets it
    survive an exec."""
    with tempfile.TemporaryFile() as file:
        file.write(json_texts.encode(handover))
        file.flush()
        number = os.dup(file.fileno())
    os.lseek(number, 0, os.SEEK_SET)
    os.set_inheritable(number, inheritable)
    return number


def take() -> tuple[Handover | None, bool]:
    """Returns the handover that this process was started with, or None, and whether it is only
    checked. Raises HandoverError."""
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None, False
    with open(int(text.removeprefix(CHECK)), "rb") as file:
        try:
            handover = json_texts.decode(file.read(), Handover)
        except ValueError as error:
            raise HandoverError(f"what the older code hands over is not read: {error}") from None
    if handover.lock is not None and not text.startswith(CHECK):
        os.set_inheritable(handover.lock, False)
    return handover, text.startswith(CHECK)
