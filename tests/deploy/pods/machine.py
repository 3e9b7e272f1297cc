"""podman: whether it is here, and how it is run on a machine without networks.

A configuration of our own (CONTAINERS_CONF) gives every container the host's network, because a
machine that is itself a container may have no other. The pod's pause process is an image of ours:
podman's own needs `catatonit`, which not every distribution's podman brings along.
"""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from .. import images

FAMILY = "propylon-pods-"
PREFIX = f"{FAMILY}{os.getpid()}"
"""Every pod, container and volume of this process begins with it: several may run these tests."""
PATIENCE = 120
"""Seconds that one command of podman may take."""


def missing() -> str:
    """What these tests need and do not find, and the command that brings it; "" if all is here."""
    if why := images.missing():
        return why
    if not (shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/sbin")):
        return "needs haproxy: apt-get install haproxy"
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
        return await self.run("podman", *words, check=check)

    async def run(self, *command: str, check: bool = True, **variables: str) -> str:
        """What a command wrote that may call podman: to stdout, and to stderr if it shows logs.
        Raises RuntimeError if it fails and `check`."""
        process = await asyncio.create_subprocess_exec(
            *command, env=_environment(self.config) | variables,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        if check and process.returncode:
            said = (out + err).decode(errors="replace")
            raise RuntimeError(f"{' '.join(command)}: {process.returncode}\n{said}")
        return (out + (err if "logs" in command else b"")).decode(errors="replace").strip()

    def remove_all(self) -> None:
        """Our pods and their volumes, whatever state they are in, and those of processes that were
        killed before they could."""
        for pod in _names("pod", "{{.Name}}"):
            containers = run("podman", "ps", "-aq", "--filter", f"pod={pod}", check=False)
            run("podman", "stop", "-t", "0", *containers.stdout.split(), check=False)
            run("podman", "pod", "rm", "-f", "-t", "0", pod, check=False)
        for volume in _names("volume", "{{.Name}}"):
            run("podman", "volume", "rm", "-f", volume, check=False)


def _names(kind: str, name: str) -> list[str]:
    """Of the pods or volumes of this process, and of processes that have ended."""
    listed = run("podman", kind, "ls", "--filter", f"name={FAMILY}", "--format", name, check=False)
    return [each for each in listed.stdout.split() if each.startswith(FAMILY) and _ours(each)]


def _ours(name: str) -> bool:
    pid = name.removeprefix(FAMILY).partition("-")[0]
    return pid == str(os.getpid()) or not os.path.exists(f"/proc/{pid}")
