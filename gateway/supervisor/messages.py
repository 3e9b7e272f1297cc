"""What the children table is told, and what it decides. Plain values, no I/O."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One process that there shall be."""

    kind: Literal["gateway", "worker"]
    number: int
    pool: str = ""
    """Of a worker."""

    def __str__(self) -> str:
        return self.called("")

    def called(self, detail: str) -> str:
        """ "worker 1 (pid 17) of pool default", with what goes into the brackets."""
        inserted = f" ({detail})" if detail else ""
        of_pool = f" of pool {self.pool}" if self.pool else ""
        return f"{self.kind} {self.number}{inserted}{of_pool}"


# Told.


@dataclass(frozen=True, slots=True)
class Start:
    """Fill every place."""


@dataclass(frozen=True, slots=True)
class Spawned:
    child: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker's app has started; a gateway accepts."""

    child: int


@dataclass(frozen=True, slots=True)
class NotReady:
    """The child says why it cannot do its work; it is about to exit."""

    child: int
    error: str
    detail: str = ""
    """A traceback of the app, or ""."""


@dataclass(frozen=True, slots=True)
class Exited:
    child: int
    how: str
    """`exited with code 1`, `was killed by SIGKILL`."""
    hint: str = ""
    clean: bool = False
    """Code 0: somebody has asked it to end."""


@dataclass(frozen=True, slots=True)
class Linked:
    """How many workers of a pool the gateways are linked to and may use."""

    pool: str
    least: int
    """At the gateway that has the fewest."""
    most: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Reload:
    """New code: replace every worker, each when its successor is ready."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Once: finish what is under way, then end. Twice: now."""


Told = Start | Spawned | Ready | NotReady | Exited | Linked | Tick | Reload | Stop


# Decided.


@dataclass(frozen=True, slots=True)
class Spawn:
    child: int
    place: Place
    generation: int


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM: drain and exit; to a gateway that has had one: at once."""

    child: int


@dataclass(frozen=True, slots=True)
class Kill:
    child: int


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the log."""

    level: Literal["info", "warning", "error"]
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """Every child has ended."""

    code: int


Decision = Spawn | Terminate | Kill | Say | Finish
