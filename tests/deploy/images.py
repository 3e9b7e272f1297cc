"""The images of deploy/images, built of this working tree, and images of an app on top of them.

Each image is built once for what it is made of: its tag is a hash of the files that go into it, so
an image that is there is taken. All have names of their own, and older ones are removed.
"""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/images"
BASE = "localhost/propylon-test-base:bookworm"
TARGETS = ("all-in-one", "gateway", "worker")
APPS = {"app-all-in-one": "all-in-one", "app-worker": "worker"}
"""Image of the example app -> the image that it is made on."""
PREFIX = "localhost/propylon-test-"
SOURCES = ("package", "protocol", "worker", "gateway", "deploy/images")
TOP = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md")
BUILD_TIMEOUT = 900
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def missing() -> str:
    """What has to be installed before images can be built here, as a sentence; "" if nothing."""
    tools = [tool for tool in ("buildah", "podman", "runc") if not shutil.which(tool)]
    if tools:
        return f"needs {' and '.join(tools)}: apt-get install {' '.join(tools)}"
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode:
        return f"needs the image {BASE}: tests/deploy/base_image makes it"
    return ""


@cache
def built_images() -> dict[str, str]:
    """Target or app -> the name of its image: all-in-one, gateway, worker, app-all-in-one and
    app-worker. Skips the test if they cannot be built here."""
    if reason := missing():
        pytest.skip(reason)
    tag = _hash()
    images = {name: f"{PREFIX}{name}:{tag}" for name in (*TARGETS, *APPS)}
    for target in TARGETS:
        if not exists(images[target]):
            build(images[target], FOLDER / "Dockerfile", f"--target={target}", context=ROOT)
    example = FOLDER / "example-app"
    for app, base in APPS.items():
        if not exists(images[app]):
            argument = f"--build-arg=PROPYLON_IMAGE={images[base]}"
            build(images[app], example / "Dockerfile", argument, context=example)
    _remove_others(tag)
    return images


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


def _hash() -> str:
    """A hash of all that goes into the images, and of the base image."""
    base = ["podman", "image", "inspect", "--format", "{{.Id}}", BASE]
    found = hashlib.sha256(subprocess.run(base, capture_output=True, check=True).stdout)
    files = [ROOT / name for name in TOP]
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md":
                files.append(path)
    for path in files:
        found.update(f"{path.relative_to(ROOT)} {path.stat().st_mode:o}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _remove_others(tag: str) -> None:
    """Removes images of ours that nothing has been made of for a day, so that they do not pile
    up; another working tree may be using a younger one."""
    for name in (*APPS, *TARGETS):
        listed = subprocess.run(
            [
                "podman",
                "images",
                "--noheading",
                "--filter",
                "until=24h",
                "--filter",
                f"reference={PREFIX}{name}",
                "--format",
                "{{.Tag}}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        for other in listed.stdout.split():
            if other != tag:
                subprocess.run(
                    ["podman", "rmi", f"{PREFIX}{name}:{other}"], capture_output=True, check=False
                )
