"""What the chart puts into the containers' arguments is what the program takes: the real command
line reads every rendered container, with everything optional switched off and on."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from .render import SHAPES, render
from .test_traps import VALUES
from .traps import Release

CHECK = [sys.executable, "-m", "propylon", "check", "--no-app"]
SIDE = {"all-in-one": "serve", "app": "worker", "gateway": "gateway"}
"""The verb that the image of a container has as its entry point."""


def mounted(folder: Path, objects: list[dict[str, Any]], words: list[str]) -> list[str]:
    """The arguments with the paths of the pod's mounts below `folder`, where the files are."""
    (folder / "config").mkdir()
    for config in [each for each in objects if each["kind"] == "ConfigMap"]:
        for name, text in config["data"].items():
            (folder / "config" / name).write_text(text)
    (folder / "admin").mkdir()
    (folder / "admin/token").write_text("a-token-of-32-characters-for-tests")
    (folder / "tls").mkdir()
    leaf = trustme.CA().issue_cert("app.example.com")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls/tls.crt")
    leaf.private_key_pem.write_to_path(folder / "tls/tls.key")
    return [word.replace("/etc/propylon", str(folder)) for word in words]


def known_options(verb: str) -> set[str]:
    """Every option that the verb has, as its help writes them."""
    ran = subprocess.run(
        [sys.executable, "-m", "propylon", verb, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"--[a-z][a-z0-9-]+", ran.stdout))


def checked(folder: Path, objects: list[dict[str, Any]], container: dict[str, Any]) -> str:
    """What `propylon check` says of the container's arguments and variables; "" if all is well."""
    words = mounted(folder, objects, container["args"])
    if container["name"] == "gateway":
        words.append("main:app")  # a gateway has none, but `check` asks for one
    variables = {
        each["name"]: each["value"]
        for each in container["env"]
        if each["name"] != "PROPYLON_RUN_DIR"
    }
    ran = subprocess.run(
        [*CHECK, *words],
        env={"PATH": os.environ["PATH"], **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr if ran.returncode else ""


@pytest.mark.slow
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_container_takes_its_arguments(tmp_path: Path, shape: str, values: str) -> None:
    objects = render(VALUES[values], shape=shape)
    for container in Release(objects).ours:
        verb = SIDE.get(shape) or SIDE[container["name"]]
        given = {word.partition("=")[0] for word in container["args"] if word.startswith("--")}
        assert given <= known_options(verb)
        folder = tmp_path / container["name"]
        folder.mkdir()
        assert checked(folder, objects, container) == ""


@pytest.mark.slow
def test_an_unknown_option_is_seen(tmp_path: Path) -> None:
    objects = render({"gateway": {"args": ["--drain-dely=5"]}}, shape="native-sidecar")
    assert "--drain-dely" in checked(tmp_path, objects, Release(objects).gateway)
