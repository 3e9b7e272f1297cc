"""Problems: what is wrong around a process, and goes on until somebody mends it. Pure.

A volume with the wrong permissions, an image of another release, a disk that is full: none of them
is a fault of a request, and no process can mend them. So the process goes on, tries again, and says
what is wrong. If each of ten processes logged that at each attempt, the log would be full of one
sentence; if each said it once, nobody who looks an hour later would find it. So a child does not
log a problem but reports it: all that it sees at this moment, about once a second, and the empty
list once when the last one is gone. The supervisor adds up what its children see, logs each problem
when it comes and when it goes, and shows those of this moment in `status`. A report that is lost is
made good by the next one, and an upgrade of the supervisor hands nothing over.

`REMEDIES` has the kinds, each with what an operator does about it; docs/PROBLEMS.md has the same
table, and a test holds both together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from .messages import Problem, ProblemsSeen

REPORT_EVERY: Final = 1.0

_SHARE: Final = (
    "run both containers as one user, or with a group in common that may write there "
    "(Kubernetes: fsGroup; elsewhere chgrp GROUP and chmod 2770)"
)
ROOM: Final = "free space on its volume, or enlarge it (Kubernetes: sizeLimit of the emptyDir)"
REMEDIES: Final[Mapping[str, str]] = {
    "no gateway": (
        "start the gateway's container, and mount the same volume at --run-dir (PROPYLON_RUN_DIR) "
        "in both"
    ),
    "no worker": (
        "start the app's container (propylon worker), and mount the same volume at --run-dir "
        "(PROPYLON_RUN_DIR) in both"
    ),
    "permissions": _SHARE,
    "access denied": (
        "the permissions allow it, so a security module forbids it: give both containers one "
        "SELinux level (Kubernetes: seLinuxOptions.level; podman: mount the volume with :z), or "
        "change the AppArmor profile"
    ),
    "dead socket": "start the gateway again: it removes what a crash has left",
    "certificate": (
        "put both files of one pair there (a Secret needs tls.crt and tls.key); they are looked at "
        "every second"
    ),
    "connection limit": (
        "raise --limit-connections if the memory is there, start more gateway processes "
        "(--gateways) or instances, or find out who opens them (propylon top)"
    ),
    "memory for connections": (
        "give the container more memory, or set --limit-connections if they need less than 32 KiB "
        "each"
    ),
    "memory": (
        "give the container more memory, or find out what fills it (propylon status): workers that "
        "grow (--workers-max-rss), or clients that take or send slowly (--min-send-rate)"
    ),
    "full volume": ROOM,
    "collector": (
        "start it, or mend OTEL_EXPORTER_OTLP_ENDPOINT; what is recorded meanwhile is lost, and no "
        "request notices"
    ),
    "log": "see who reads it; what is logged meanwhile is lost",
    "protocol version": "update the older image; neighbouring releases work together",
    "pool socket": (
        "make its directory writable for the gateway's user again; it is tried once a second, and "
        "without the socket no worker can connect"
    ),
    "control socket": (
        "make the run directory writable again; it is tried once a second, and until then SIGHUP "
        "reloads the instance and SIGTERM stops it, as no command finds it"
    ),
    "open files": (
        "raise the limit on open files (systemd: LimitNOFILE=; containers: --ulimit nofile=; "
        "elsewhere: ulimit -n) and start again; files that are closed meanwhile are used again"
    ),
}
"""Kind -> what to do about it, as the end of a sentence."""


ProblemSource = Callable[[float], Iterable[Problem]]
"""Given the time, in monotonic seconds, returns the problems of this moment."""


def problem(
    kind: str, subject: str, what: str, remedy: str = "", *, logged: bool = False
) -> Problem:
    """Makes a problem with its kind's remedy, unless the caller knows a better one."""
    return Problem(kind, subject, what, remedy or REMEDIES[kind], logged)


class Recurring:
    """A problem that is met whenever something is tried, until it is not met any more.

    Between two attempts nobody knows whether it still is there. So it is over when it was not met
    for `lasts` seconds. Until then it says what it said first, so that causes that take turns make
    no new line each time.
    """

    __slots__ = ("_kind", "_last", "_lasts", "_remedy", "_subject", "_what")

    def __init__(self, kind: str, subject: str, lasts: float = 5.0) -> None:
        self._kind = kind
        self._subject = subject
        self._lasts = lasts
        self._last: float | None = None
        """When it was met last."""
        self._what = self._remedy = ""

    def met(self, what: str, now: float, remedy: str = "") -> None:
        if self._over(now):
            self._what, self._remedy = what, remedy
        self._last = now

    def at(self, now: float) -> Iterator[Problem]:
        """Yields the problem, if there is one at this moment."""
        if not self._over(now):
            yield problem(self._kind, self._subject, self._what, self._remedy)

    def _over(self, now: float) -> bool:
        return self._last is None or now - self._last >= self._lasts


class ProblemReporter:
    """Reports the problems that a child sees, for as long as there are any."""

    __slots__ = ("_next", "_report", "_said", "_sources")

    def __init__(
        self, report: Callable[[ProblemsSeen], None], sources: Iterable[ProblemSource]
    ) -> None:
        self._report = report
        self._sources = tuple(sources)
        self._said = False
        """Whether the last report had problems."""
        self._next = 0.0

    def sweep(self, now: float) -> None:
        if now < self._next:
            return
        self._next = now + REPORT_EVERY
        seen = tuple(one for source in self._sources for one in source(now))
        if seen or self._said:
            self._said = bool(seen)
            self._report(ProblemsSeen(seen))
