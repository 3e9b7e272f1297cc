"""Runs checks against a server. What comes of one is a word and a sentence."""

import itertools
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .check import Check, Failed, NotApplicable, NotOffered, Word, all_checks
from .launch import DidNotStart, Interface, Launch
from .target import Target, Visit

READY = 20.0
"""Seconds until a server that accepts connections answers."""

_NUMBERS = itertools.count()
AT_ONCE, STARTS_AT_ONCE = 4, 3


@dataclass(frozen=True)
class Outcome:
    word: Word
    detail: str = ""


Outcomes = dict[str, Outcome]


def outcome(check: Check, visit: "Visit | StartVisit") -> Outcome:
    found = tried(check, visit)
    if check.level == "may" and found.word == "fail":
        return Outcome("not offered", found.detail)
    return found


def tried(check: Check, visit: "Visit | StartVisit") -> Outcome:
    try:
        check.ask(visit)  # type: ignore[arg-type]
    except NotOffered as error:
        return Outcome("not offered", str(error))
    except NotApplicable as error:
        return Outcome("not applicable", str(error))
    except DidNotStart:
        return Outcome("fail", "it does not start")
    except Failed as error:
        return Outcome("fail", one_line(str(error)))
    except (OSError, ValueError, SyntaxError, IndexError, KeyError) as error:
        return Outcome("fail", one_line(f"{type(error).__name__}: {error}"))
    return Outcome("pass")


def one_line(text: str) -> str:
    """Without what is different each time."""
    text = re.sub(
        r"(127\.0\.0\.1['\"]?[,:] ?['\"]?|_PORT'?: ?'?)\d+", r"\1…", " ".join(text.split())
    )
    return text[:300]


def visits(checks: Iterable[Check], target: Target) -> Outcomes:
    """Of the checks that need no start of their own. Some wait for what shall not come; so a few
    run at once, but for those that look at the log, which is everybody's."""
    checks = list(checks)
    apart = [check for check in checks if check.alone]
    others = [check for check in checks if not check.alone]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        words = pool.map(lambda check: outcome(check, Visit(target, check)), others)
        found = dict(zip((check.name for check in others), words, strict=True))
    return found | {check.name: outcome(check, Visit(target, check)) for check in apart}


def wait_until_ready(target: Target) -> None:
    until = time.monotonic() + READY
    while True:
        try:
            Visit(target, next(iter(all_checks().values()))).notes()
            return
        except (Failed, OSError, ValueError, SyntaxError):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def wanted(interface: Interface, names: Iterable[str] = ()) -> list[Check]:
    """The interface's checks, all or those."""
    names = set(names)
    return [
        check
        for check in all_checks().values()
        if (check.family == "wsgi") == (interface == "wsgi") and (not names or check.name in names)
    ]


@dataclass
class Starter:
    """How a server is started, for checks that need it started in a way of their own."""

    interface: Interface
    command: str
    tls: str
    folder: Path
    faulty: bool = False

    def launch(self, app: str = "", *, tls: bool = False) -> Launch:
        folder = self.folder / f"{next(_NUMBERS)}"  # short, since sockets' paths are bounded
        return Launch(folder, self.interface, self.command, app, self.tls if tls else "")


@dataclass
class StartVisit:
    """What a check with `start` has to hand."""

    starter: Starter
    check: Check

    def launch(self) -> Launch:
        name = self.check.name.replace("-", "_") + ("__faulty" if self.starter.faulty else "")
        return self.starter.launch(f"tests.conformance.starts:{name}")


def run(starter: Starter, checks: list[Check]) -> Outcomes:
    """All of them: one start for most, one with TLS, and one for each that needs its own."""
    found: Outcomes = {}
    for tls in (False, True):
        some = [check for check in checks if not check.start and check.tls == tls]
        if not some:
            continue
        if tls and not starter.tls:
            found |= {check.name: Outcome("not applicable", "it does no TLS") for check in some}
            continue
        try:
            with starter.launch(tls=tls) as launch:
                launch.wait_for_port()
                target = launch.target(faulty=starter.faulty)
                wait_until_ready(target)
                found |= visits(some, target)
        except (DidNotStart, Failed):
            found |= {check.name: Outcome("fail", "it does not start") for check in some}
    own = [check for check in checks if check.start]
    with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
        words = pool.map(lambda check: outcome(check, StartVisit(starter, check)), own)
        found |= zip((check.name for check in own), words, strict=True)
    return {check.name: found[check.name] for check in checks}
