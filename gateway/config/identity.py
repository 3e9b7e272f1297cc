"""The user and group that gateways and workers run as: --user and --group.

The supervisor stays root, because it goes on doing what only root can: it opens ports below 1024
and private keys, starts processes as that user, and answers root's `propylon status`. It takes no
request and runs no code of the app. The processes that do are started as the user, with all of the
user's groups.
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
    """Supplementary groups, as initgroups(3) sets them; the primary group is one of them."""
    name: str = ""
    home: str = ""
    """Name and home directory; "" for a number that has no entry in the system's list of users."""


def identity(user: str | None, group: str | None) -> Identity | None:
    """The identity that children get; None if it is the one that this process has already. Raises
    ValueError with a sentence."""
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
    """The user's entry, by name or number; None for a number that has no entry. Raises ValueError
    for an unknown name."""
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
