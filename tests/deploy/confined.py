"""`python confined.py ALLOWED COMMAND…`: becomes the command, with system calls refused to it
as by a unit's SystemCallFilter= and RestrictSUIDSGID= (EPERM, seccomp(2)).

ALLOWED is a file with the names of system calls, one a line, or with "-setgid" for a mode that has
that bit. Names that this machine's libseccomp does not know are passed over, as systemd does.
"""

import ctypes
import ctypes.util
import errno
import os
import stat
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
MASKED_EQ = 7
MODE_AT = {b"chmod": 1, b"fchmod": 1, b"fchmodat": 2, b"mkdir": 1, b"mkdirat": 2}
"""A call that sets a mode -> which of its arguments that is."""


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def confine(names: set[bytes]) -> None:
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"), use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE)))
    add = library.seccomp_rule_add_array
    no_setgid = b"-setgid" in names
    for name in sorted(names - {b"-setgid"}):
        number = library.seccomp_syscall_resolve_name(name)
        if number < 0:
            continue
        if no_setgid and name in MODE_AT:
            wanted = Comparison(MODE_AT[name], MASKED_EQ, stat.S_ISGID, 0)
            done = add(context, ctypes.c_uint32(ALLOW), number, 1, ctypes.byref(wanted))
        else:
            done = add(context, ctypes.c_uint32(ALLOW), number, 0, None)
        if done:
            raise OSError(-done, f"{name!r} is not allowed: {os.strerror(-done)}")
    if done := library.seccomp_load(context):
        raise OSError(-done, os.strerror(-done))


if __name__ == "__main__":
    confine(set(Path(sys.argv[1]).read_bytes().split()))
    os.execv(sys.argv[2], sys.argv[2:])
