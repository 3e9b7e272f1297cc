"""The three questions of health, and how they are answered. Pure.

Whoever asks acts on the answer, so each question has one action behind it, and depends on nothing
else:

- Is it *alive*? If not, the instance is ended and started anew. So only what a new start would mend
  counts: this process answers, and no gateway process hangs. A worker that hangs does not count. It
  is replaced by the supervisor, and an app that is slow today would be killed for it again and
  again, with all the requests that it still answers.
- Is it *ready*? If not, no new requests are sent to it, and it is left in peace. So all counts that
  keeps requests from being answered well: it starts, it drains, a pool that a route needs has no
  worker, or requests wait for too long already.
- Has it *started*? Until then neither of the others is asked. A gateway without workers of its own
  has started when it accepts: where it is a native sidecar, Kubernetes starts the app's container,
  which has the workers, only after that (KEP-753).

The answers look as those of Kubernetes' own processes do (its "API health endpoints"): a line for
each check, `[+]` before what is well and `[-]` before what is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Question = Literal["livez", "readyz", "startupz"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHealth:
    name: str
    usable: bool
    """Whether it has a worker that is ready and does not hang."""
    oldest_waiter: float = 0.0
    """Seconds that the oldest queued request has waited, in any gateway process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFacts:
    """What the answers are made of, at one moment."""

    phase: str
    """The fleet's: idle, starting, serving, stopping, ended."""
    accepting: int | None
    """How many gateway processes accept clients and do not hang; None if there is to be none."""
    hung: tuple[str, ...] = ()
    """The gateway processes that hang, by name: "gateway 1 (pid 17)"."""
    pools: tuple[PoolHealth, ...] = ()
    """The pools that a route needs; without gateways, all pools."""
    waits_for_workers: bool = True
    """Whether its start takes workers; False if others start them, for `propylon gateway`."""
    has_started: bool = False
    problems: tuple[str, ...] = ()
    """What is wrong around the instance, each as a sentence with its remedy. It may explain why a
    check fails, and is no reason to fail one: it may just as well harm nobody yet."""


class Check(NamedTuple):
    name: str
    fault: str = ""
    """What is wrong, as the end of a line; "" for what is well."""


def checks(question: Question, facts: HealthFacts, max_queue_time: float) -> list[Check]:
    """Every check of a question. `max_queue_time` is in seconds; 0 means that nothing waits for too
    long."""
    if question == "livez":
        return [Check("ping"), Check("gateways", _hangs(facts.hung))]
    if question == "readyz":
        return _ready(facts, max_queue_time)
    if facts.has_started:
        return [Check("startup")]
    if not facts.waits_for_workers:
        facts = replace(facts, pools=())
    faults = [f"{check.name}: {check.fault}" for check in _ready(facts, 0) if check.fault]
    if not facts.waits_for_workers and not faults:
        return [Check("startup")]
    return [Check("startup", f"not ready yet ({'; '.join(faults)})")]


def _hangs(names: Iterable[str]) -> str:
    return ", ".join(f"{name} hangs" for name in names)


def _ready(facts: HealthFacts, max_queue_time: float) -> list[Check]:
    found = [Check("ping"), Check("accepting", _not_accepting(facts))]
    if facts.phase in ("stopping", "ended"):
        return found  # its workers leave, and nobody has to look for the reason
    for pool in facts.pools:
        found.append(Check(f"pool {pool.name}", "" if pool.usable else "no worker is ready"))
        if max_queue_time and facts.accepting is not None:
            waited, fault = pool.oldest_waiter, ""
            if waited > max_queue_time:
                fault = (
                    f"overloaded, a request has waited {waited:.1f} s for a worker "
                    f"(--admin-max-queue-time {max_queue_time:g})"
                )
            found.append(Check(f"queue of pool {pool.name}", fault))
    return found


def _not_accepting(facts: HealthFacts) -> str:
    if facts.phase in ("idle", "starting"):
        return "starting"
    if facts.phase != "serving":
        return "draining"
    if facts.accepting == 0:
        return _hangs(facts.hung) or "no gateway process is ready"
    return ""


def health_text(
    question: Question, found: Iterable[Check], *, verbose: bool, problems: Iterable[str] = ()
) -> tuple[int, str]:
    """The status and the text of an answer. Without `verbose` a failure names what has failed. The
    problems follow the checks as lines `warn: ...`, which is Kubernetes' form too."""
    found = list(found)
    failed = [check for check in found if check.fault]
    status = 503 if failed else 200
    if not verbose:
        return status, "".join(map(_line, failed)) or "ok\n"
    outcome = "failed" if failed else "passed"
    warnings = "".join(f"warn: {one}\n" for one in problems if question != "livez")
    return status, "".join(map(_line, found)) + warnings + f"{question} check {outcome}\n"


def _line(check: Check) -> str:
    return f"[-]{check.name}: {check.fault}\n" if check.fault else f"[+]{check.name} ok\n"
