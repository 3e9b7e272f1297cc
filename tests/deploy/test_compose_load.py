"""deploy/compose/ runs: both files come up healthy, and new code or a new container of the app
takes over under load, without a request that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs PyYAML: pip install -e '.[deploy]'")

from ..nothing_dropped.scene import Scene
from ..nothing_dropped.servers import Ground, trouble
from ..nothing_dropped.trial import records
from .compose_project import PODMAN_COMPOSE, Project
from .images import load_images, missing
from .load import failures, new_ground, new_scene, under_load
from .pods.machine import Podman
from .probes import until, until_linked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    if PODMAN_COMPOSE is None:
        pytest.skip("needs podman-compose: pip install -e '.[deploy]'")
    if why := missing():
        pytest.skip(why)
    return Podman(tmp_path_factory.mktemp("podman"), load_images().pause)


@asynccontextmanager
async def up(podman: Podman, file: str, ground: Ground) -> AsyncIterator[Project]:
    """A project that answers, and whose containers all say that they are healthy. At its end it is
    told to stop, and every container must end well."""
    project = Project(podman, load_images(), file, ground)
    try:
        await project("up", "-d")
        await until(project.admin, 200, project.logs)
        assert await trouble(ground.address) is None
        for container in await project.containers():
            assert await project.is_healthy(container), container
        yield project
        await project("stop")
        for container in await project.containers():
            code = await project.exit_code(container)
            assert code == 0, f"{container} exited with {code}\n{await project.logs()}"
    finally:
        await project.remove()


async def judge(project: Project, scene: Scene, ground: Ground) -> None:
    """New code has served, nobody has failed, and WebSockets were told to come again."""
    records(scene, ground)
    found = failures(scene.tally)
    assert not found, f"{found}\n{await project.logs()}"
    assert scene.tally.answers.total() > 300, "hardly any load"
    assert scene.tally.notes["websocket: closed with 1012"], "no WebSocket was in the way"
    assert scene.versions == {1, 2}


def test_a_second_container_of_the_app_takes_over(podman: Podman, tmp_path: Path) -> None:
    async def play() -> None:
        ground = new_ground(tmp_path / "state")
        scene = new_scene(ground)
        async with up(podman, "sidecar.compose.yaml", ground) as project:
            (old,) = await project.containers("app")

            async def replace() -> None:
                ground.deploy()
                await project("up", "-d", "--scale", "app=2", "--no-recreate")
                await until_linked(project.admin, 4)
                scene.tell()
                await podman("stop", old)
                await until_linked(project.admin, 2)

            await under_load(scene, replace)
            code = await project.exit_code(old)
            assert code == 0, f"{old} exited with {code}\n{await project.logs()}"
            await judge(project, scene, ground)
            # `podman-compose stop` does not know of it.
            _, new = await project.containers("app")
            assert await project.is_healthy(new)
            await podman("stop", new)

    asyncio.run(play())


def test_new_code_takes_over_in_one_container(podman: Podman, tmp_path: Path) -> None:
    async def play() -> None:
        ground = new_ground(tmp_path / "state")
        scene = new_scene(ground)
        async with up(podman, "compose.yaml", ground) as project:

            async def reload() -> None:
                ground.deploy()
                scene.tell()
                await project("exec", "-T", "propylon", "propylon", "reload")

            await under_load(scene, reload)
            await judge(project, scene, ground)

    asyncio.run(play())
