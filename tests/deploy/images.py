"""The images of deploy/images, built of this working tree, and images of an app on top of them.

Each image is built once for what it is made of: its tag is a hash of the files that go into it, so
an image that is there is taken. Test processes that need the same at the same time build it once.
All have names of their own, and older ones are removed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/images"
BASE = os.environ.get("PROPYLON_TEST_BASE_IMAGE", "localhost/propylon-test-base:bookworm")
"""What all is built on: a Debian with python3 and venv, or python:X-slim."""
TARGETS = ("all-in-one", "gateway", "worker")
APPS = {"app-all-in-one": "all-in-one", "app-worker": "worker"}
"""Image of the example app -> the image that it is made on."""
LOADED = {"loaded-all-in-one": "app-all-in-one", "loaded-worker": "app-worker"}
"""Image of the app of tests/nothing_dropped -> the image that it is made on."""
PODS = ROOT / "tests/deploy/pods/Dockerfile"
PREFIX = "localhost/propylon-test-"
LIMITS = ("--ulimit=nofile=20000:20000", "--ulimit=nproc=4000:4000")
"""podman would ask for more than a container has that runs it."""
SOURCES = ("package", "protocol", "worker", "gateway", "deploy/images")
LOAD_SOURCES = (
    "tests/nothing_dropped/apps", "tests/bench/apps/hello.py", "tests/deploy/pods/Dockerfile",
)  # fmt: skip
TOP = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md")
BUILD_TIMEOUT = 900
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@cache
def missing() -> str:
    """What has to be done before containers can be built and run here, as a sentence that names
    the command; "" if nothing."""
    if os.geteuid() != 0:
        # Another user's podman has images of its own, and needs ids and limits that few have.
        return "needs root, who builds and runs the containers: sudo python -m pytest -m slow"
    tools = [tool for tool in ("buildah", "podman", "runc") if not shutil.which(tool)]
    if tools:
        return f"needs {' and '.join(tools)}: apt-get install {' '.join(tools)}"
    if not exists(BASE):
        return f"needs the image {BASE}: apt-get install mmdebstrap && tests/deploy/base_image"
    # A machine that is itself a container may have been left too few rights for others.
    trial = ["podman", "--runtime", "runc", "run", "--rm", "--network=host", *LIMITS, BASE, "true"]
    if (ran := subprocess.run(trial, capture_output=True, text=True, check=False)).returncode:
        return f"no container can be run here (try: {' '.join(trial)}): {ran.stderr.strip()}"
    return ""


@cache
def built_images() -> dict[str, str]:
    """Target or app -> the name of its image: all-in-one, gateway, worker, app-all-in-one and
    app-worker. Skips the test if they cannot be built here."""
    if reason := missing():
        pytest.skip(reason)
    tag = _hash(SOURCES)
    images = {name: f"{PREFIX}{name}:{tag}" for name in (*TARGETS, *APPS)}
    example = FOLDER / "example-app"
    with _one_builder():
        for target in TARGETS:
            if not exists(images[target]):
                build(images[target], FOLDER / "Dockerfile", f"--target={target}", context=ROOT)
        for app, base in APPS.items():
            if not exists(images[app]):
                argument = f"--build-arg=PROPYLON_IMAGE={images[base]}"
                build(images[app], example / "Dockerfile", argument, context=example)
        _remove_others(images)
    return images


@dataclass(frozen=True)
class LoadImages:
    """The names of what runs while clients of tests/nothing_dropped are served."""

    gateway: str
    app: str
    all_in_one: str
    pause: str
    """A pod's first process."""


@cache
def load_images() -> LoadImages:
    """Skips the test if they cannot be built here."""
    images, tag = built_images(), _hash((*SOURCES, *LOAD_SOURCES))
    loaded = {name: f"{PREFIX}{name}:{tag}" for name in (*LOADED, "pause")}
    context = ROOT / "tests"
    with _one_builder():
        for name, base in LOADED.items():
            if not exists(loaded[name]):
                argument = f"--build-arg=PROPYLON_IMAGE={images[base]}"
                build(loaded[name], PODS, "--target=app", argument, context=context)
        if not exists(loaded["pause"]):
            build(loaded["pause"], PODS, "--target=pause", context=context)
        _remove_others(loaded)
    return LoadImages(
        images["gateway"], loaded["loaded-worker"], loaded["loaded-all-in-one"], loaded["pause"]
    )


@contextmanager
def _one_builder() -> Iterator[None]:
    """Test processes build one after the other, so that the second finds what the first has."""
    with open(Path(gettempdir()) / "propylon-test-images.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def exists(image: str) -> bool:
    return not subprocess.run(["podman", "image", "exists", image], check=False).returncode


def build(image: str, dockerfile: Path, *options: str, context: Path) -> None:
    """Builds an image, with the index of packages that pip uses here."""
    with TemporaryDirectory(prefix="propylon-build-") as folder:
        config = Path(folder) / "pip.conf"
        config.write_text(_pip_config())
        volumes = [f"--volume={config}:/etc/pip.conf:ro"]
        if os.path.exists(CERTIFICATES):
            volumes.append(f"--volume={CERTIFICATES}:{CERTIFICATES}:ro")
        ran = subprocess.run(
            [
                "buildah",
                "bud",
                "--isolation=chroot",
                "--format=docker",
                *(() if "--no-cache" in options else ("--layers",)),
                *volumes,
                f"--build-arg=BASE_IMAGE={BASE}",
                f"--file={dockerfile}",
                f"--tag={image}",
                *options,
                str(context),
            ],
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT,
            check=False,
        )
    assert ran.returncode == 0, f"{ran.stdout[-3_000:]}\n{ran.stderr[-3_000:]}"


def _pip_config() -> str:
    lines = ["[global]"]
    if os.path.exists(CERTIFICATES):
        lines.append(f"cert = {CERTIFICATES}")
    for name in ("index-url", "extra-index-url", "trusted-host"):
        if value := os.environ.get(f"PIP_{name.upper().replace('-', '_')}"):
            lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


def _hash(sources: tuple[str, ...]) -> str:
    """A hash of all that goes into the images, and of the base image."""
    base = ["podman", "image", "inspect", "--format", "{{.Id}}", BASE]
    found = hashlib.sha256(subprocess.run(base, capture_output=True, check=True).stdout)
    files = [ROOT / name for name in TOP]
    for source in sources:
        files += [ROOT / source] if (ROOT / source).is_file() else []
        for path in sorted((ROOT / source).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md":
                files.append(path)
    for path in files:
        found.update(f"{path.relative_to(ROOT)} {path.stat().st_mode:o}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _remove_others(images: dict[str, str]) -> None:
    """Removes images of these names that nothing has been made of for a day, so that they do not
    pile up; another working tree may be using a younger one."""
    for name, kept in images.items():
        listing = ["podman", "images", "--noheading", "--filter", "until=24h"]
        listing += ["--filter", f"reference={PREFIX}{name}", "--format", "{{.Tag}}"]
        listed = subprocess.run(listing, capture_output=True, text=True, check=True)
        for other in listed.stdout.split():
            if other != kept.rpartition(":")[2]:
                unused = ["podman", "rmi", f"{PREFIX}{name}:{other}"]
                subprocess.run(unused, capture_output=True, check=False)
