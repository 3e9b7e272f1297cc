"""The lock files of the images have whatever Propylon depends on: an image that lacks a package
does not start."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[A-Za-z0-9._-]+")


def names(requirements: list[str]) -> set[str]:
    found = [NAME.match(one) for one in requirements]
    return {match[0].lower().replace("_", "-") for match in found if match}


@pytest.mark.parametrize("image", ["all-in-one", "gateway", "worker"])
def test_a_lock_has_every_dependency(image: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = names(project["dependencies"])
    if image != "worker":
        needed |= names(project["optional-dependencies"]["otel"])
    if image == "gateway":
        needed.discard("uvloop")  # it hosts no app
    lock = (ROOT / "deploy/images" / f"{image}.lock").read_text()
    locked = names([line for line in lock.splitlines() if "==" in line and line[0] not in " #"])
    assert not needed - locked, "run deploy/images/lock"
