"""The shutdown, which ends everything: a policy, which tells replicas what to do. Pure.

Gateways and workers cannot simply be asked to end together. A gateway finishes what its clients
have under way, and needs its workers for that. A worker that drains is let go by its gateways only
when they need it no more. And an app has to hear early that it will end, since its streams and
WebSockets may have to say goodbye. So the gateways drain first. As soon as each of them has
reported that it accepts no more workers, the workers drain too, with a deadline beyond the
gateways'. A process that is still starting has nothing to finish. When the gateways' time is over
they stop now, and then no client is left that a worker could serve.
"""

from typing import Literal

from .replica import APP_SHUTDOWN, FAILED_GRACE, MARGIN, Fleet


class Shutdown:
    def __init__(self, fleet: Fleet) -> None:
        self.stop_now_at: float | None = None
        """When the gateways' time is over."""
        self._fleet = fleet
        self._draining: set[int] = set()
        """Gateways that accept no more workers."""

    def gateway_drains(self, gateway: int) -> None:
        self._draining.add(gateway)

    def begin(self, now: float) -> None:
        self._end_replicas()
        self.stop_now_at = now + self._fleet.context.settings.graceful_timeout + MARGIN
        for process in list(self._fleet.processes.values()):
            if process.replica_id.kind == "gateway":
                process.replica.drain(process, None)
            elif process.state == "starting":
                process.replica.drain(process, now + FAILED_GRACE)

    def advance(self, now: float) -> bool:
        """Takes the step that is due. Returns whether all processes have ended."""
        processes = list(self._fleet.processes.values())
        if not processes:
            self.stop_now_at = None
            return True
        if all(p.replica_id.kind == "worker" or p.id in self._draining for p in processes):
            for process in processes:
                if process.state == "ready":
                    process.replica.drain(process, (self.stop_now_at or now) + APP_SHUTDOWN)
        return False

    def stop_now(self, now: float, kind: Literal["gateway", ""] = "") -> None:
        """Has all processes, or all gateways, stop now."""
        self._end_replicas()
        self.stop_now_at = None
        for process in list(self._fleet.processes.values()):
            if not kind or process.replica_id.kind == kind:
                process.replica.stop_now(process, now)

    def is_over(self, now: float) -> bool:
        """Whether the gateways' time is over."""
        return self.stop_now_at is not None and now >= self.stop_now_at

    def _end_replicas(self) -> None:
        for replica in self._fleet.replicas.values():
            replica.end()
