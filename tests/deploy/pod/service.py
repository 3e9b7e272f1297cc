"""The Service: which pods a new connection can be sent to, as those see it who send it."""

import asyncio
from dataclasses import dataclass, field

from ...nothing_dropped.scene import Scene
from .kubelet import Pod
from .timeline import until

LOOK_EVERY = 0.02


@dataclass
class Service:
    """A pod becomes an endpoint when it is ready, and stops being one `lag` seconds after it became
    unready or was deleted: so long the news takes to whoever sends connections."""

    lag: float
    pods: list[Pod] = field(default_factory=list)
    endpoints: list[Pod] = field(default_factory=list)
    _turn: int = 0

    async def run(self) -> None:
        """For ever."""
        while True:
            for pod in self.pods:
                wanted = pod.ready and not pod.terminating
                if wanted and pod not in self.endpoints:
                    self.endpoints.append(pod)
                    pod.timeline.say("service", "sends new connections")
                elif not wanted and pod in self.endpoints:
                    await asyncio.sleep(self.lag)
                    self.endpoints.remove(pod)
                    pod.timeline.say("service", "sends no more connections")
            await asyncio.sleep(LOOK_EVERY)

    async def until(self, count: int) -> None:
        """Until there are so many endpoints."""
        await until(lambda: len(self.endpoints) == count, f"{count} endpoints")

    def connect_to(self) -> tuple[str, int]:
        """The next endpoint in turn. Without one kube-proxy refuses: port 1 does."""
        if not self.endpoints:
            return "127.0.0.1", 1
        self._turn += 1
        pod = self.endpoints[self._turn % len(self.endpoints)]
        pod.timeline.saw("service", "new connection")
        return "127.0.0.1", pod.port


class ServiceScene(Scene):
    """A scene whose clients go through a Service."""

    service: Service | None = None

    @property
    def address(self) -> tuple[str, int]:  # type: ignore[override]
        assert self.service is not None
        return self.service.connect_to()

    @address.setter
    def address(self, value: tuple[str, int]) -> None:
        """The scene's constructor says an address, which is not used."""
