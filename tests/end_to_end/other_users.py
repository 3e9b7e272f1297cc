"""Propylon as other users, for tests that run as root: setpriv(1), and a Python that everybody may
start (that of a virtual environment may lie in somebody's home)."""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .server import DEADLINE, environment

NOBODY = 65_534
ROOT = Path(__file__).parents[2]

LAUNCHER = """
import site, sys
for folder in {folders!r}:
    site.addsitedir(folder)
sys.path.insert(0, {root!r})
"""


@cache
def why_not() -> str:
    """Why nobody else can be had; "" where they can."""
    if os.geteuid() != 0:
        return "only root can become somebody else"
    if not shutil.which("setpriv"):
        return "setpriv (util-linux) is not installed"
    return "" if _python() else "no Python that everybody may start"


def as_user(uid: int, gid: int, *groups: int) -> list[str]:
    """What stands in front of a command."""
    of_groups = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", "--reuid", str(uid), "--regid", str(gid), *of_groups, "--"]


@contextmanager
def everybodys_folder() -> Iterator[Path]:
    """pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def propylon(folder: Path, *arguments: str) -> list[str]:
    """The command for another user; what it needs is put into the folder."""
    python = _python()
    start = folder / "start.py"
    if not start.exists():
        _write_start(folder)
    return [python, str(start), *arguments]


def for_others(folder: Path, **changes: str) -> dict[str, str]:
    """The environment that goes with `propylon`: children find the packages too."""
    path = [str(folder), os.environ.get("PYTHONPATH", "")]
    return environment(PYTHONPATH=os.pathsep.join(path), HOME=str(folder), **changes)


def _write_start(folder: Path) -> None:
    text = LAUNCHER.format(folders=_folders(), root=str(ROOT))
    (folder / "usercustomize.py").write_text(text)
    (folder / "start.py").write_text(
        "import sys\nfrom propylon.gateway.cli import main\nmain(sys.argv[1:])\n"
    )


def _folders() -> list[str]:
    return site.getsitepackages()


@cache
def _python() -> str:
    """One of the same version that another user can start, or ""."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"]
    with everybodys_folder() as folder:
        _write_start(folder)
        for python in candidates:
            probe = [*as_user(NOBODY, NOBODY), python, str(folder / "start.py"), "--version"]
            try:
                ended = subprocess.run(
                    probe,
                    capture_output=True,
                    cwd="/",
                    env=for_others(folder),
                    timeout=DEADLINE,
                )
            except OSError:
                continue
            # One that is not to be read finds another's library, and does not start twice.
            executable = [*as_user(NOBODY, NOBODY), "test", "-x", os.path.realpath(python)]
            if ended.returncode == 0 and subprocess.run(executable).returncode == 0:
                return python
    return ""
