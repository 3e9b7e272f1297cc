"""One row of the table of options."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")

Verb = Literal["serve", "check", "worker", "gateway"]
GATEWAY_SIDE: frozenset[Verb] = frozenset({"serve", "check", "gateway"})
WORKER_SIDE: frozenset[Verb] = frozenset({"serve", "check", "worker"})
EVERYWHERE: frozenset[Verb] = GATEWAY_SIDE | WORKER_SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: how it is named, read, and shown. `option` leaves `name`, `type` and `default`
    out; `options.table` fills them in."""

    help: str
    section: str = ""
    short: str = ""
    aliases: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Environment variables besides PROPYLON_NAME, which exists for the name and each alias."""
    verbs: frozenset[Verb] = EVERYWHERE
    words: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Another server's word for a value -> our word."""
    read: Callable[[Any], Any] | None = None
    """Makes the final value of one that has the right type. Raises ValueError with a sentence."""
    metavar: str = ""
    """The kind of value that help shows; "" if the type says enough."""
    example: str = ""
    """A value that help shows as an example."""
    per_pool: Literal["", "supervisor", "workers", "gateways"] = ""
    """Who acts on it, where a [[pools]] entry may set it for itself; "": none may. The supervisor
    finds it in its field of `PoolConfig`. Workers and gateways are told it under its own name, and
    find it in their field of `WorkerSettings` or `PoolSettings`; it is written nowhere between."""
    secret: bool = False
    """Whether the value must be printed nowhere."""
    name: str = ""
    type: Any = str
    default: Any = None

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variables(self) -> tuple[str, ...]:
        own = (f"PROPYLON_{name.replace('-', '_').upper()}" for name in self.names)
        return (*own, *self.env)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


def option(default: T, help: str, **more: Any) -> T:
    """One row of the table, as the default of a field of `options.Options`."""
    # dataclass() sees a field and puts the default in its place; a type checker sees the default.
    return dataclasses.field(default=default, metadata={"option": Option(help=help, **more)})


def tls_option(default: T, help: str, **more: Any) -> T:
    return option(default, help, section="tls", verbs=GATEWAY_SIDE, **more)
