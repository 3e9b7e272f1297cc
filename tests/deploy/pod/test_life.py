"""A pod's life: in which order its containers start, and what their crashes cost."""

import asyncio
import signal
from pathlib import Path

import pytest

from ...nothing_dropped.trial import records
from ...nothing_dropped.variants import DEAD_WORKER
from .kubelet import Pod
from .load import Load, new_scene
from .rollout import cluster
from .shapes import Ground, Manifest
from .timeline import until

PATIENT = 12.0
"""Seconds until an unready pod is no endpoint any more: the chart's probe has to fail three times,
5 seconds apart."""
QUICK = Manifest(shape="native-sidecar", delay=0.5, workers=1, graceful=4.0)

pytestmark = pytest.mark.slow


def test_a_native_sidecar_starts_without_workers_and_is_ready_with_one(tmp_path: Path) -> None:
    """The app's container is started when the gateway's startup probe has succeeded, so that must
    not wait for workers."""

    async def run() -> Pod:
        async with cluster(tmp_path, QUICK, lag=0.0) as (_, service):
            return service.pods[0]

    timeline = asyncio.run(run()).timeline
    assert timeline.when("gateway", "startup probe") <= timeline.when("app", "starts")
    assert timeline.when("app", "starts") < timeline.when("pod", "is ready")


def test_workers_that_come_before_their_gateway_wait_for_it(tmp_path: Path) -> None:
    async def run() -> None:
        pod = Ground(tmp_path).pod(Manifest(shape="classic-sidecar", workers=1))
        gateway, app = pod.containers
        pod.containers = [app]
        try:
            await pod.start()
            await until(lambda: "Working for" in app.log.read_text(), "workers")
            await pod.forget()
            pod.containers = [app, gateway]
            gateway.start(pod.timeline)
            pod.watch_readiness()
            await pod.until_ready()
            assert app.starts == 1
        finally:
            await pod.forget()
            pod.destroy()

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_while_the_app_s_container_is_started_anew_requests_wait(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Killed, it takes with it what it had begun, and no more. Told to end, as after a liveness
    probe of its own, it costs nothing."""

    async def run() -> tuple[dict[tuple[str, str], int], str]:
        async with cluster(tmp_path, QUICK, lag=PATIENT) as (ground, service):
            (pod,) = service.pods
            app = pod.container("app")
            scene = new_scene(service, QUICK.graceful)
            load = Load(scene, "short")
            await asyncio.sleep(0.5)
            if number == signal.SIGKILL:
                app.kill()
            else:
                app.signal(number)
            await until(lambda: app.starts == 2, "another start of the app's container")
            await pod.until_ready()
            before = scene.tally.answers.total()
            await until(lambda: scene.tally.answers.total() > before + 50, "answers")
            await load.end()
            records(scene, ground)
            text = f"{scene.tally.seen}\n{pod.timeline}\n{ground.logs()}"
            return dict(scene.tally.failures), text

    failures, text = asyncio.run(run())
    begun = [one.what for one in DEAD_WORKER] if number == signal.SIGKILL else []
    assert {what for _, what in failures} <= set(begun), text


@pytest.mark.parametrize("how", ["crash", "liveness"])
def test_a_gateway_that_is_started_anew_finds_its_workers(how: str, tmp_path: Path) -> None:
    """It hangs, or is killed; its clients' connections end with it."""
    manifest = Manifest(
        shape="classic-sidecar", delay=0.3, workers=1, graceful=2.0, grace=2.0, liveness=True
    )

    async def run() -> tuple[dict[tuple[str, str], int], str]:
        async with cluster(tmp_path, manifest, lag=0.0) as (ground, service):
            (pod,) = service.pods
            gateway, app = pod.containers
            if how == "crash":
                gateway.kill()
            else:
                gateway.signal(signal.SIGSTOP)
            await until(lambda: gateway.starts == 2, "another start of the gateway")
            await service.until(1)
            await pod.until_ready()
            assert app.starts == 1
            scene = new_scene(service, manifest.graceful)
            load = Load(scene, "short")
            await until(lambda: scene.tally.answers.total() > 50, "answers")
            await load.end()
            records(scene, ground)
            text = f"{scene.tally.seen}\n{pod.timeline}\n{ground.logs()}"
            return dict(scene.tally.failures), text

    failures, text = asyncio.run(run())
    assert not failures, text
