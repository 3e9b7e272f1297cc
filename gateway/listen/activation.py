"""Sockets that systemd has opened: LISTEN_FDS and its companions (sd_listen_fds(3)). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .address import InheritedAddress, NamedSocket

FIRST_FD: Final = 3
LISTEN_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""Variables that are meant for this process only. They are taken out of its children's
environment."""

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Activation:
    """The sockets that systemd has opened for this process, in its order."""

    sockets: tuple[InheritedAddress, ...] = ()
    names: tuple[str, ...] = ()
    """A name for each socket, or no names at all."""
    note: str = ""
    """Why sockets that are open are not used, as a sentence; "" if none are left out."""

    def called(self, named: NamedSocket) -> tuple[InheritedAddress, ...]:
        """Every socket of that name; several may share one. Raises ValueError if none has it."""
        pairs = zip(self.sockets, self.names, strict=False)
        found = tuple(address for address, name in pairs if name == named.name)
        if not found:
            known = ", ".join(dict.fromkeys(self.names))
            there = f"those handed over are called {known}" if known else "none was handed over"
            raise ValueError(f"no socket is called {named.name} (LISTEN_FDNAMES): {there}")
        return found


def read_activation(environ: Mapping[str, str], pid: int) -> Activation:
    """Reads the variables; `pid` is our own. Raises ValueError with a sentence if they make no
    sense."""
    count, owner = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_PID", "")
    if not count or not owner:
        return Activation()
    if not _NUMBER.fullmatch(count) or not _NUMBER.fullmatch(owner) or int(count) > 4096:
        raise ValueError(f"LISTEN_FDS={count!r} and LISTEN_PID={owner!r} are not two numbers")
    if int(owner) != pid:
        return Activation(
            note=f"systemd's sockets are for process {owner}, and this is {pid}; "
            "if a shell starts it, let it exec"
        )
    sockets = tuple(InheritedAddress(FIRST_FD + index) for index in range(int(count)))
    names = environ.get("LISTEN_FDNAMES", "")
    return Activation(sockets, tuple(names.split(":")) if names else ())
