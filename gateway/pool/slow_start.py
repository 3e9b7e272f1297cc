"""The slow start of a fresh worker: its weight grows to what it should be (`--slow-start`). Pure.

A worker that has just become ready runs nothing. So it is the least loaded one, and under load the
next calls all go to it, until it runs as many as the others. But it is cold: connections to the
database are not open, caches are empty, modules are imported by the first call that needs them.
Those calls are slow together, and may queue for a lock that one call would hold for a moment.

nginx, HAProxy and Envoy let the weight of such a server grow in a straight line. So does this: from
a tenth, over the seconds of the option, in steps of a tenth. A tenth and not nothing: a worker
without calls stays cold. With the least load a weight is a share of what runs at once, and rounds
up: at first the fresh worker runs one call while each of the others runs ten.

It is off by default (0), for two reasons. A worker is not ready before its lifespan startup and its
warm-up requests (`--warm-up`) are done, and these can do all of that without any client. And what a
proxy fears, a flood, cannot happen: calls wait in the gateway, and a worker gets no more at once
than it has announced. It is for apps that warm up by traffic only.

A worker that hung and comes round starts slowly once more. When all workers are fresh, as at the
start, their weights grow together and nobody gets less.
"""

from typing import Final

LEAST_PART: Final = 0.1
"""The part of its weight that a fresh worker has at once (Envoy's `min_weight_percent`, HAProxy's
first step)."""
STEPS: Final = 10


def ramp(age: float, seconds: float) -> float:
    """The part of its weight that a worker has when it is ready since `age` seconds, from
    LEAST_PART to 1.0."""
    if age >= seconds:
        return 1.0
    return max(LEAST_PART, int(STEPS * age / seconds) / STEPS)
