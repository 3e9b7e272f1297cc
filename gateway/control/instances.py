"""Finds the running instance that a command is meant for. It takes no lock and makes no file.

An instance runs if a process listens at its control socket. Several containers may share a run
directory; an instance with a pid that can be seen from here is preferred to the others.
"""

import errno
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..config.faults import ConfigError, Fault, shown
from ..config.sources import DEFAULT_FILE, from_toml
from ..directories import user_name
from ..transport.credentials import credentials, peer_groups
from .run_dir import control_sockets, own_run_dirs

CONNECT_TIMEOUT: Final = 5.0
LOOK_TIMEOUT: Final = 0.5
"""Seconds that each of the instances that may be meant has to take a connection."""


class NoInstance(Exception):
    """No instance was found that may be asked. The message is a sentence."""


class Strangers(PermissionError):
    """A process of an untrusted user listens at a control socket."""


class SeveralInstances(Exception):
    """Several instances run, and the operator has to choose one."""

    def __init__(self, instances: "list[Instance]") -> None:
        self.instances = instances
        super().__init__("several instances run")


@dataclass(frozen=True, slots=True)
class Instance:
    run_dir: str
    socket: str
    """The path of its control socket."""
    pid: int
    """The pid of its supervisor; 0 if it runs in another container, or takes no connection."""
    answers: bool = True
    """Whether it takes connections. One that does not has been stopped, or hangs."""

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.pid else f"the instance at {self.run_dir}"


def wanted_run_dir(
    flag: str | None, config_file: str | None, environ: Mapping[str, str]
) -> str | None:
    """The run directory that the instance was given, from the same flag, variable or file; None if
    none of them names one. Raises ConfigError.

    Of the file only the run directory is read: a mistake elsewhere in it must not prevent a `stop`.
    """
    named = config_file or environ.get("PROPYLON_CONFIG", "")
    if flag or environ.get("PROPYLON_RUN_DIR"):
        return flag or environ["PROPYLON_RUN_DIR"]
    if not named and not os.path.exists(DEFAULT_FILE):
        return None
    faults: list[Fault] = []
    toml = from_toml(named or DEFAULT_FILE, faults)
    if toml.broken:
        hint = Fault("", "name the instance with --run-dir or --pid to do without this file")
        raise ConfigError([*faults, hint])
    found = toml.values.get("run_dir")
    if found is None:
        return None
    if not isinstance(found.value, str) or not found.value:
        problem = f"found {shown(found.value)}; expected a directory"
        raise ConfigError([Fault(found.origin, problem)])
    return found.value


def find(run_dir: str | None, pid: int | None = None) -> Instance:
    """Returns the only instance with this run directory and pid; None means any. Raises NoInstance
    and SeveralInstances.

    Of one that takes no connection the pid is not known. It does not matter to a command about
    another one, but without a pid nobody can know whether it is meant."""
    places = own_run_dirs() if run_dir is None else [os.path.abspath(run_dir)]
    there = [one for place in places for one in _at(place, alone=run_dir is not None)]
    silent = [one for one in there if not one.answers]
    found = [one for one in there if one.answers]
    found = [one for one in found if one.pid] or found
    if pid is not None:
        found = [one for one in found if one.pid == pid]
    if not found and silent:
        raise NoInstance(f"{silent[0]} does not answer; is it stopped?")
    if pid is None:
        found += silent
    if len(found) > 1:
        raise SeveralInstances(found)
    if not found:
        raise NoInstance(_nothing(run_dir, pid))
    return found[0]


def _nothing(run_dir: str | None, pid: int | None) -> str:
    which = "no instance of Propylon" if pid is None else f"no instance of Propylon with pid {pid}"
    if run_dir is not None:
        return f"{which} runs with the run directory {os.path.abspath(run_dir)}"
    user = user_name(os.getuid())
    return f"{which} of user {user} was found; if it was given a --run-dir, name that here too"


def _at(run_dir: str, *, alone: bool) -> list[Instance]:
    """The instances that listen in a run directory. One that may not be asked is passed over; it
    raises NoInstance if the operator named this directory (`alone`)."""
    found: list[Instance] = []
    try:
        for path in control_sockets(run_dir):
            try:
                found.append(Instance(run_dir, path, _listener(path)))
            except (FileNotFoundError, ConnectionRefusedError):
                pass  # a killed instance has left it behind
            except BlockingIOError:  # the backlog is full: it has not accepted for a while
                found.append(Instance(run_dir, path, 0, answers=False))
    except Strangers as error:
        if alone and not found:
            raise NoInstance(str(error.strerror)) from None
    except PermissionError as error:
        if alone and not found:
            raise NoInstance(_forbidden(error.filename or run_dir)) from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise NoInstance(f"run directory {run_dir}: {error.strerror or error}") from None
    return found


def _listener(path: str) -> int:
    """The pid of the process that listens at a path. Raises OSError."""
    with connect(path, LOOK_TIMEOUT) as sock:
        return credentials(sock).pid


def _forbidden(path: str) -> str:
    try:
        owner = user_name(os.stat(path).st_uid)
    except OSError:
        return f"permission denied: {path}; only who runs the instance may ask it, and root"
    return f"permission denied: {path} is of user {owner}; ask as that user, or as root"


def connect(path: str, timeout: float = CONNECT_TIMEOUT) -> socket.socket:
    """Connects to a control socket, within `timeout` seconds. Raises OSError; among them
    PermissionError, which has the path as its filename, BlockingIOError if it takes no connection,
    and Strangers."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not settimeout(), which connects without waiting: a full backlog answers that with EAGAIN.
    wait = struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
        sock.connect(path)
        _check_listener(sock, path)
    except Strangers:
        sock.close()
        raise
    except PermissionError as error:
        sock.close()
        raise PermissionError(error.errno, error.strerror, path) from None
    except BaseException:  # nobody else will close it
        sock.close()
        raise
    return sock


def _check_listener(sock: socket.socket, path: str) -> None:
    """Raises Strangers unless the process that listens is trusted: every user who may write to the
    run directory could have put a socket there.

    Our own user and root are trusted. Root may ask the instance of any user; then the listener has
    to be the directory's owner or in its group.
    """
    peer = credentials(sock)
    if peer.uid in (0, os.geteuid()):
        return
    if os.geteuid() == 0:
        directory = os.lstat(os.path.dirname(path))
        if peer.uid == directory.st_uid or directory.st_gid in (peer.gid, *peer_groups(sock)):
            return
    problem = (
        f"{path} is not the socket of an instance of yours: user {user_name(peer.uid)} listens "
        "there, and is told nothing"
    )
    raise Strangers(errno.EPERM, problem, path)
