"""The limit of open files of a process (RLIMIT_NOFILE).

There are two limits. The soft one is in force, and any process may raise its own up to the hard
one. The soft one is 1,024 on most systems, for the sake of programs that use select(2), which
breaks with higher numbers; nothing here does. So a gateway process raises its own, as Go's runtime
and HAProxy do. Workers keep what they were given, because the app's code may use select.
"""

import resource
from contextlib import suppress


def raise_descriptor_limit() -> int:
    """Raises this process's soft limit to the hard one. Returns the limit that is in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(OSError, ValueError):  # above fs.nr_open, or a security module forbids it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def hard_descriptor_limit() -> int:
    """The limit that a child of this process can raise its own to."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
