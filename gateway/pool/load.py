"""How busy a pool is, for whoever wants to show it or to do something about it. Pure.

The four numbers say apart what one would blur. `running` against `slots` is how much of the workers
is in use. `queued` says that it is not enough at this moment, which a burst may explain.
`oldest_waiter` says for how long it has not been enough: that grows only while work comes faster
than it is done, and is what an autoscaler should heed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLoad:
    """Of one pool, in one gateway process, at one moment."""

    queued: int
    """Requests that wait for a slot, without those whose client has left."""
    running: int
    """Calls that a worker has. May be more than `slots`: a worker that drains has none to offer,
    and finishes what it has."""
    slots: int
    """Calls that the workers are willing to run at once, hung workers left out."""
    oldest_waiter: float
    """Seconds that the oldest queued request has waited; 0.0 while none waits."""
