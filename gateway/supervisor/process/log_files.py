"""Log files of children that run as another user (--user)."""

import os
import stat
from typing import Final

from ...config.config import Config
from ...config.log_config import files_of

_OPEN: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def give_logs(config: Config) -> None:
    """Makes the files of the logs and gives them to the children's user, as nginx's master does.
    Children write to these files and open them again after a rotation, but may not make files in
    their directories. What fails here is reported when the file is opened."""
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
            continue  # /dev/stdout, or a FIFO, must not change its owner
        try:
            status = os.fstat(fd)
            # A file with several names may be a trap, since the directory may be the user's.
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                os.fchown(fd, who.uid, who.gid)
        except OSError:
            pass
        finally:
            os.close(fd)
