"""Links: which gateway may use which worker, as gateways report, and how workers answered. Pure."""

from collections.abc import Iterable


class Links:
    def __init__(self) -> None:
        self._workers: dict[int, dict[str, frozenset[int]]] = {}
        self._answered: dict[int, dict[int, tuple[int, int]]] = {}
        """Worker -> gateway -> number of answers, and of errors among them."""

    def told(self, gateway: int, pool: str, workers: frozenset[int]) -> None:
        self._workers.setdefault(gateway, {})[pool] = workers

    def answered(self, gateway: int, worker: int, answers: int, errors: int) -> None:
        self._answered.setdefault(worker, {})[gateway] = (answers, errors)

    def gone(self, child: int) -> None:
        self._workers.pop(child, None)
        self._answered.pop(child, None)

    def linked(self, gateway: int, worker: int, pool: str) -> bool:
        return worker in self._workers.get(gateway, {}).get(pool, ())

    def of_gateway(self, gateway: int) -> dict[str, list[int]]:
        return {pool: sorted(w) for pool, w in self._workers.get(gateway, {}).items()}

    def all(self, gateway: int) -> Iterable[tuple[str, frozenset[int]]]:
        """Each pool with the workers that the gateway may use, our own and others."""
        return self._workers.get(gateway, {}).items()

    def used_by(self, worker: int, gateways: Iterable[int], pool: str) -> bool:
        """Whether any of the gateways may still open calls on the worker."""
        return any(self.linked(gateway, worker, pool) for gateway in gateways)

    def answers(self, worker: int) -> tuple[int, int]:
        """The number of a worker's answers to all gateways, and of errors among them."""
        counts = self._answered.get(worker, {}).values()
        return sum(answers for answers, _ in counts), sum(errors for _, errors in counts)
