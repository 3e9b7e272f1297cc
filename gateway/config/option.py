"""One row of the options' table."""

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
    """What the table says of one option besides its type and default."""

    help: str
    section: str = ""
    short: str = ""
    aliases: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Environment variables besides PROPYLON_NAME, the name being its own or an alias."""
    verbs: frozenset[Verb] = EVERYWHERE
    words: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Other tools' words for a value: theirs -> ours."""
    read: Callable[[Any], Any] | None = None
    """Makes the final value of what the type let through; ValueError carries a sentence."""
    metavar: str = ""
    """What kind of value it takes, as help shows it; "" where the type says it."""
    example: str = ""
    """A value as help shows it."""
    secret: bool = False
    """Its value is printed nowhere."""
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
    """One row of the table."""
    # To dataclass() a field, which puts the default in its place; to the type checker the default.
    return dataclasses.field(default=default, metadata={"option": Option(help=help, **more)})


def tls_option(default: T, help: str, **more: Any) -> T:
    return option(default, help, section="tls", verbs=GATEWAY_SIDE, **more)
