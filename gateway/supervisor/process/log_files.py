"""Log files of children that run as another user (--user)."""

import os
import stat
from typing import Final

from ...config.config import Config
from ...config.log_config import files_of

_OPEN: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def give_logs(config: Config) -> None:
    """Children write to the logs' files, and open them again after a rotation, in directories
    where they may not make any: so the files are made here, and become theirs. nginx's master
    does the same. Whatever cannot be done here is said by who opens the file."""
    who = config.identity
    if who is None:
        return
    paths = {config.log.error_log, config.log.access_log} - {"", "-"}
    if config.log.config:
        paths |= files_of(config.log.config)
    for path in paths:
        try:
            fd = os.open(path, _OPEN, 0o644)
        except OSError:
            continue  # /dev/stdout, a FIFO: not ours to give away
        try:
            status = os.fstat(fd)
            # Of several names of a file one may be a trap: the directory may be the user's.
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                os.fchown(fd, who.uid, who.gid)
        except OSError:
            pass
        finally:
            os.close(fd)
