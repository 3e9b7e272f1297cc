"""Quantiles from a histogram's buckets, estimated as Prometheus does (histogram_quantile). Pure."""

from collections.abc import Sequence


def quantile(part: float, bounds: Sequence[float], counts: Sequence[float]) -> float | None:
    """The value that `part` (0 to 1) of all observations do not exceed; None if there are none.

    `bounds` are the buckets' upper bounds, ascending; `counts` has the observations in each bucket
    alone, and one number more for those above all bounds. Within a bucket observations are taken to
    lie evenly. Beyond the last bound nothing is known, and the last bound is returned.
    """
    total = sum(counts)
    if not total or not bounds:
        return None
    rank, below, lower = part * total, 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * max(rank - below, 0.0) / count
        below += count
        lower = bound
    return bounds[-1]
