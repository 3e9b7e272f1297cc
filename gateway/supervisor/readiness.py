"""Whether all that was asked for is up: what the gateways report, pool by pool. Pure."""

from collections.abc import Iterable, Mapping


class Readiness:
    """Serving: every gateway accepts and is linked to every worker of every pool."""

    def __init__(self, gateways: Iterable[int], workers: Mapping[str, int]) -> None:
        self._linked: dict[int, dict[str, int]] = {number: {} for number in gateways}
        self._listening: set[int] = set()
        self._wanted = dict(workers)

    def listening(self, gateway: int) -> None:
        self._listening.add(gateway)

    def linked(self, gateway: int, pool: str, ready: int) -> None:
        self._linked[gateway][pool] = ready

    def range(self, pool: str) -> tuple[int, int]:
        """Workers of the pool, at the gateway that has the fewest and at that with the most."""
        counts = [pools.get(pool, 0) for pools in self._linked.values()]
        return min(counts, default=0), max(counts, default=0)

    def gone(self, gateway: int) -> None:
        self._listening.discard(gateway)
        self._linked[gateway] = {}

    @property
    def complete(self) -> bool:
        return not any(self.missing())

    def missing(self) -> Iterable[str]:
        """What is still waited for, in words."""
        for gateway, pools in self._linked.items():
            if gateway not in self._listening:
                yield f"gateway {gateway}"
            for pool, wanted in self._wanted.items():
                if (ready := pools.get(pool, 0)) < wanted:
                    yield f"{wanted - ready} of pool {pool}'s workers at gateway {gateway}"
