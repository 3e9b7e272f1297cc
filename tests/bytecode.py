"""Compiles what every worker of pytest-xdist would compile for itself.

pytest rewrites the assertions of a test's source before it compiles it, which takes longer than all
else of the collection: some 10 s of CPU for all of our tests. It keeps the result in `__pycache__`,
but four workers that begin at the same moment in a fresh checkout find nothing there, and where
PYTHONDONTWRITEBYTECODE is set they never do. So whoever starts the workers does it, once, on all
cores. What lies there is taken only if it is of the source as it is now (pytest compares a hash or
the time of its last change).
"""

import compileall
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

ROOT = Path(__file__).parent.parent
PACKAGE = ("gateway", "package", "protocol", "worker")


def compile_package() -> None:
    """The hundreds of processes that tests start may not write bytecode (an app that is written
    twice within a second would be taken for the first one), so each of them would compile all that
    it imports."""
    for part in PACKAGE:
        compileall.compile_dir(ROOT / part, quiet=2)


def compile_tests(config: pytest.Config) -> None:
    """Those below the paths that pytest was given. pytest has no public call for it: with one that
    does it in another way, every worker compiles for itself again."""
    try:
        missing = [file for file in _tests(config.args) if not _is_compiled(file)]
        _on_all_cores(config, missing)
    except (AttributeError, TypeError, ValueError):
        pass


def _tests(arguments: Iterable[str]) -> list[Path]:
    found: set[Path] = set()
    for argument in arguments:
        path = Path(argument.partition("::")[0]).absolute()
        found.update(path.rglob("test_*.py") if path.is_dir() else [path])
    return sorted(file for file in found if file.is_file() and file.is_relative_to(ROOT))


def _cached(file: Path) -> Path:
    return rewrite.get_cache_dir(file) / (file.name[:-3] + rewrite.PYC_TAIL)


def _is_compiled(file: Path) -> bool:
    return rewrite._read_pyc(file, _cached(file)) is not None


def _on_all_cores(config: pytest.Config, files: list[Path]) -> None:
    """Each core has every nth file. A child that fails leaves its files to the workers."""
    children: list[int] = []
    cores = min(len(os.sched_getaffinity(0)), len(files))
    for number in range(cores):
        if (pid := os.fork()) == 0:
            try:
                for file in files[number::cores]:
                    _compile(config, file)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)


def _compile(config: pytest.Config, file: Path) -> None:
    version, code = rewrite._rewrite_test(file, config)
    target = _cached(file)
    if rewrite.try_makedirs(target.parent):
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, version, target)
