"""Real containers with limits: a read-only root, a stranger's uid, a tiny /dev/shm, little memory,
a part of the CPUs. Two containers with pids of their own that share a run directory."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.server import DEADLINE, wait_for

from .containers import Container, Containers, containers

pytestmark = pytest.mark.slow
MB = 2**20
APP = """
import os

kept = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    if scope["path"] == "/eat":
        kept.append(bytearray(b"x") * 400_000_000)
    if scope["path"] == "/grow":
        kept.append(bytearray(b"x") * 5_000_000)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d %d" % (os.getuid(), os.getpid())})
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Containers]:
    (tmp_path / "app.py").write_text(APP)
    with containers() as run:
        yield run


def url(container: Container) -> str:
    container.says("Serving on")
    return str(container.status()["addresses"][0])


@pytest.mark.parametrize(
    "options",
    [
        "--read-only --user 12345 --shm-size 64k --cap-drop all",
        # No run directory is mounted: the one place that is left is /dev/shm.
        "--read-only --read-only-tmpfs=false --user 12345:12345 --shm-size 64k "
        "--env=PROPYLON_RUN_DIR=/dev/shm/propylon",
    ],
)
def test_a_stranger_in_a_sealed_container_is_served(
    run: Containers, tmp_path: Path, options: str
) -> None:
    container = run.start("all-in-one", tmp_path, "app:app", "--workers=2", options=options)
    assert httpx.get(url(container)).text.startswith("12345 ")
    assert container.propylon("healthcheck").endswith("ok\n")
    assert container.stop() == 0, container.log()
    assert "Traceback" not in container.log()


def test_a_run_directory_of_somebody_else_is_refused_with_its_remedy(
    run: Containers, tmp_path: Path
) -> None:
    options = "--read-only --user 12345:12345"
    container = run.start("all-in-one", tmp_path, "app:app", options=options)
    assert container.exit_code() == 1
    (line,) = container.log().splitlines()
    assert "run directory /run/propylon belongs to user propylon" in line
    assert "chgrp" in line


def test_workers_auto_counts_the_container_s_cpus(run: Containers, tmp_path: Path) -> None:
    container = run.start("all-in-one", tmp_path, "app:app", "-w", "auto", options="--cpus 0.5")
    container.says("(1 worker, 1 gateway")


def test_a_worker_that_the_kernel_kills_is_named_and_replaced(
    run: Containers, tmp_path: Path
) -> None:
    container = run.start("all-in-one", tmp_path, "app:app", options="--memory 256m")
    served = url(container)
    assert httpx.post(f"{served}/eat", timeout=DEADLINE).status_code == 502
    container.says("was killed by the kernel for memory (OOM)")
    container.says("(the limit is 256 MB")
    assert httpx.get(served, timeout=DEADLINE).status_code == 200
    assert container.status()["memory_limit"] == 256 * MB
    assert container.stop() == 0, container.log()


def test_one_that_grows_is_replaced_in_time(run: Containers, tmp_path: Path) -> None:
    words = ("app:app", "--workers=1", "--workers-max-rss=auto")
    container = run.start("all-in-one", tmp_path, *words, options="--memory 384m")
    served = url(container)
    grown = {httpx.get(f"{served}/grow").text for _ in range(22)}
    assert len(grown) == 1
    wait_for(lambda: httpx.get(served).text not in grown, "another worker", 2 * DEADLINE)
    assert "is replaced: uses" in container.log()
    assert "OOM" not in container.log()


def test_two_containers_with_pids_of_their_own(run: Containers, tmp_path: Path) -> None:
    shared = tmp_path / "run"
    shared.mkdir()
    shared.chmod(0o777)
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(APP)
    mount = f"--volume={shared}:/run/propylon --user 65532:0"
    gateway = run.start("gateway", app, options=mount)
    workers = run.start("worker", app, "app:app", "--workers=2", options=mount)
    served = url(gateway)
    linked = _linked(gateway, "ready")
    assert httpx.get(served, timeout=DEADLINE).status_code == 200
    ours = {worker["pid"] for worker in workers.status()["pools"][0]["workers"]}
    assert linked == ours, "pids are those of the worker's own container"

    # A container that is frozen gives no sign of life, and is told from one that has gone.
    workers.podman("pause")
    assert _linked(gateway, "late") == ours
    workers.podman("unpause")
    assert _linked(gateway, "ready") == ours

    workers.podman("kill", "--signal=KILL")
    wait_for(lambda: not gateway.status()["linked"], "the gateway forgets the dead")
    workers.podman("start")
    assert len(_linked(gateway, "ready")) == 2
    gateway.podman("kill", "--signal=KILL")
    gateway.podman("start")
    # Not its `ready`: as long as it is not there, a status is that of the workers' instance, which
    # has the same run directory.
    assert len(_linked(gateway, "ready")) == 2
    assert gateway.stop() == workers.stop() == 0, gateway.log() + workers.log()


def _linked(gateway: Container, state: str) -> set[int]:
    """The pids of the two linked workers, once both are in a state."""

    def look() -> set[int] | None:
        linked = gateway.status().get("linked", ())
        found = [worker["pid"] for worker in linked if worker["state"] == state]
        return set(found) if len(found) == len(linked) == 2 else None

    pids = wait_for(look, f"two workers that are {state}", 2 * DEADLINE)
    assert pids is not None
    return pids
