"""Whether the volume of a directory is full. It is asked before anybody is hindered by it: the
sockets there are, and the next gateway process, which makes new ones, may come in the night.
"""

import os
from collections.abc import Iterator

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import Recurring


class FullVolume:
    def __init__(self, name: str, path: str) -> None:
        """`name` is how a sentence calls the directory at `path`."""
        self._name = name
        self._path = path
        self._problem = Recurring("full volume", path)

    def at(self, now: float) -> Iterator[Problem]:
        """Looks, and yields the problem, if there is one at this moment."""
        if left := self._nothing_left():
            self._problem.met(f"{self._name}: its volume has no {left} left", now)
        yield from self._problem.at(now)

    def _nothing_left(self) -> str:
        """What there is none of: "space", "inodes", or "" if there is some of both."""
        try:
            volume = os.statvfs(self._path)
        except OSError:
            return ""  # it is gone, or out of reach, which is another problem
        free = volume.f_bfree if os.geteuid() == 0 else volume.f_bavail
        if volume.f_blocks and not free:
            return "space"
        return "inodes" if volume.f_files and not volume.f_favail else ""
