"""podman and buildah: whether they are here, and how they are run on a machine without networks.

A configuration of our own (CONTAINERS_CONF) gives every container the host's network, because a
machine that is itself a container may have no other. The pod's pause process is an image of ours:
podman's own needs `catatonit`, which not every distribution's podman brings along.
"""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

PREFIX = "propylon-pods"
"""Every pod, container, volume and image of these tests begins with it."""
BASE = os.environ.get("PROPYLON_TEST_BASE_IMAGE", "localhost/propylon-test-base:bookworm")
INSTALL = {
    "podman": "apt-get install podman runc",
    "buildah": "apt-get install buildah",
    "runc": "apt-get install runc",
    "haproxy": "apt-get install haproxy",
}
MAKE_BASE = (
    "mmdebstrap --variant=minbase --include=python3,python3-venv bookworm base.tar && "
    f"podman import base.tar {BASE.removeprefix('localhost/')}"
)
PATIENCE = 120
"""Seconds that one command of podman may take."""


def missing() -> str:
    """What these tests need and do not find, and the command that brings it; "" if all is here."""
    if os.geteuid() != 0:
        return "pods are run by root"
    for name, command in INSTALL.items():
        if shutil.which(name) is None and shutil.which(name, path="/usr/sbin:/sbin") is None:
            return f"needs {name}: {command}"
    if run("podman", "image", "exists", BASE, check=False).returncode:
        return f"needs the image {BASE}: {MAKE_BASE}"
    return ""


def run(
    *command: str, check: bool = True, config: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A command's end. Raises RuntimeError with what it said if it fails and `check`."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=_environment(config)
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def _environment(config: Path | None) -> dict[str, str]:
    return dict(os.environ) | ({} if config is None else {"CONTAINERS_CONF": str(config)})


class Podman:
    """podman with our configuration, which lies in `folder`."""

    def __init__(self, folder: Path, pause: str) -> None:
        self.config = folder / "containers.conf"
        self.config.write_text(f"""
[containers]
netns = "host"
default_ulimits = ["nofile=20000:20000", "nproc=4000:4000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
infra_image = "{pause}"
""")

    async def __call__(self, *words: str, check: bool = True) -> str:
        """What `podman WORDS` wrote. Raises RuntimeError if it fails and `check`."""
        process = await asyncio.create_subprocess_exec(
            "podman", *words, env=_environment(self.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        if check and process.returncode:
            said = (out + err).decode(errors="replace")
            raise RuntimeError(f"podman {' '.join(words)}: {process.returncode}\n{said}")
        return (out + (err if words[0] == "logs" else b"")).decode(errors="replace").strip()

    def remove_all(self) -> None:
        """Our pods and their volumes, whatever state they are in."""
        pods = run("podman", "pod", "ls", "-q", "--filter", f"name={PREFIX}", check=False)
        for pod in pods.stdout.split():
            run("podman", "pod", "rm", "-f", "-t", "0", pod, check=False)
        volumes = run("podman", "volume", "ls", "-q", "--filter", f"name={PREFIX}", check=False)
        for volume in volumes.stdout.split():
            run("podman", "volume", "rm", "-f", volume, check=False)
