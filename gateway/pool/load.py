"""How busy a pool is, for a status, a metric or an autoscaler. Pure.

One number would blur what these four keep apart. `running` against `slots` is the part of the
workers that is in use. `queued` says that they are not enough at this moment, which a burst may
explain. `oldest_waiter` says for how long they have not been enough. It grows only while work comes
faster than it is done, and is the number that an autoscaler should heed.
"""

from dataclasses import dataclass

from .queue import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLoad:
    """The load of one pool in one gateway process, at one moment."""

    queued: int
    """Requests that wait for a slot."""
    running: int
    """Calls that workers run. It may exceed `slots`: a worker that drains offers no slots and
    finishes its calls."""
    slots: int
    """Calls that the workers are willing to run at once, for all gateway processes together, hung
    workers left out."""
    oldest_waiter: float
    """Seconds that the oldest queued request has waited; 0.0 while none waits."""
    order: Order = "oldest-first"
    """Which of the queued requests is next."""
