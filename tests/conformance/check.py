"""What a check is, and what can come of it.

A check is one sentence of a specification and two programs that hold a server to it: `app` runs
inside the server, as the application, and `ask` runs outside, as the client. Both stand in one
class, since neither means anything without the other. A third part, `fault`, is what a server that
breaks the sentence would have done; `test_detection.py` puts it between server and app, or between
server and client, and wants to see the check fail. So no check passes by accident.
"""

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .faults import Fault

if TYPE_CHECKING:
    from .calls import AsgiCall, WsgiCall
    from .target import Visit

Level = Literal["must", "should", "may"]
"""`must`: the sentence says must, or states what a server does. `should`: it says should, or
"it is expected". `may`: it recommends, or says itself that not every server will do it."""
Word = Literal["pass", "fail", "not offered", "not applicable"]
Family = Literal["asgi", "http", "websocket", "extensions", "tls", "lifespan", "wsgi"]

EXTENSIONS, CORE, LIFESPAN, TLS = "extensions.rst", "asgi.rst", "lifespan.rst", "tls.rst"
WWW, PEP = "www.rst", "pep-3333"


class Failed(Exception):
    """The server breaks the sentence; the text says how."""


class NotOffered(Exception):
    """The sentence is about something optional that this server has not."""


class NotApplicable(Exception):
    """The sentence does not concern this server, or cannot be tried on it from here."""


class Check:
    """One sentence. A subclass that has `says`, and a public name, is one of `all_checks`."""

    family: ClassVar[Family]
    text: ClassVar[str]
    """The specification's file."""
    start: ClassVar[bool] = False
    """Whether it needs a start of its own: `ask` then gets a `Launch`, not a `Visit`."""
    tls: ClassVar[bool] = False
    """Whether the server has to speak TLS."""
    alone: ClassVar[bool] = False
    """Whether no other check may run meanwhile."""
    name: str
    level: Level
    section: str
    says: str
    """The sentence, word for word, where it is left out with "…"."""
    fault: Fault | None = None

    def __init_subclass__(cls, **_: Any) -> None:
        if hasattr(cls, "says") and not cls.__name__.startswith("_"):
            words = re.sub(r"(?<!^)(?=[A-Z])|(?<=[a-z])(?=\d)", " ", cls.__name__).lower()
            one = cls()
            one.name = f"{cls.family}-{words.replace(' ', '-')}"
            register(one)

    async def app(self, call: "AsgiCall") -> None:
        """The application's side, in the server."""
        raise NotImplementedError

    def wsgi(self, call: "WsgiCall") -> Any:
        """The application's side of a check of WSGI. Returns the iterable."""
        raise NotImplementedError

    def ask(self, visit: "Visit") -> None:
        """The client's side. Raises Failed, NotOffered or NotApplicable."""
        raise NotImplementedError


_CHECKS: dict[str, Check] = {}


def register(check: Check) -> None:
    assert check.name not in _CHECKS, check.name
    _CHECKS[check.name] = check


def all_checks() -> dict[str, Check]:
    """Of every family, by name, in the order in which the specifications have them."""
    from .checks import load

    load()
    return _CHECKS


def expect(condition: object, otherwise: str) -> None:
    if not condition:
        raise Failed(otherwise)
