"""Who the gateway and the workers run as: --user and --group.

The supervisor stays root, so that it can go on doing what only root can: open ports below 1024 and
private keys, start processes as that user, and answer root's `propylon status`. It takes no request
and runs no code of the app's; what does, is started as the user, with the user's groups.
"""

import grp
import os
import pwd
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones, as initgroups(3) has them; the primary among them."""
    name: str = ""
    home: str = ""
    """"": the user is not in the system's list, and stays without."""


def identity(user: str | None, group: str | None) -> Identity | None:
    """None: as who we are. Raises ValueError with a sentence."""
    if user is None and group is None:
        return None
    entry = _user(user) if user is not None else None
    uid = os.geteuid() if user is None else entry.pw_uid if entry else int(user)
    if group is not None:
        gid = _group(group)
    elif entry is not None:
        gid = entry.pw_gid
    else:
        raise ValueError(f"user {user} is not known here, and so not its group: give --group too")
    if (uid, gid) == (os.geteuid(), os.getegid()):
        return None
    if os.geteuid() != 0:
        raise ValueError(
            "only root can start processes as another user or group; leave --user and --group "
            "out, and the gateway and the workers run as who starts Propylon"
        )
    groups = os.getgrouplist(entry.pw_name, gid) if entry is not None else [gid]
    return Identity(
        uid, gid, tuple(groups), entry.pw_name if entry else "", entry.pw_dir if entry else ""
    )


def _user(name: str) -> "pwd.struct_passwd | None":
    """None: a number that the system has no name for."""
    try:
        return pwd.getpwuid(int(name)) if _is_number(name) else pwd.getpwnam(name)
    except KeyError:
        if _is_number(name):
            return None
        raise ValueError(f"there is no user {name}") from None


def _group(name: str) -> int:
    if _is_number(name):
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {name}") from None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 10
