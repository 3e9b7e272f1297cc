"""What is packaged: the sdist holds the tests, and they run from it."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_groups_are_part_of_the_extras() -> None:
    """Whoever's pip knows no groups has the same tools by `.[dev]`."""
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(PROJECT["dependency-groups"]["lint"]) <= set(extras["dev"])


@pytest.mark.slow
def test_an_sdist_holds_the_tests(tmp_path: Path) -> None:
    which = [sys.executable, "-c", "import setuptools; print(setuptools.__version__)"]
    found = subprocess.run(which, check=False, capture_output=True, text=True).stdout
    if int(found.partition(".")[0] or 0) < 77:
        pytest.skip("the build needs setuptools 77")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = "import setuptools.build_meta as m, sys; m.build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("propylon-*/")

    def files(root: Path) -> set[str]:
        found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        return {str(path) for path in found if path.suffix != ".pyc"}

    missing = files(source) - files(unpacked)
    assert {name for name in missing if ".egg-info" not in name} == set()
    run = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*run, "tests/protocol", "tests/gateway/http/test_responses.py"],
        cwd=unpacked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
