"""What lies where: every folder is a package that is installed, every room says what it is for, and
nothing names a path of the machine that it was written on.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .source import PACKAGE, PARTS, ROOT, modules, tree


def test_the_package_list_is_complete() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = {
        name.removeprefix("propylon.") for name in pyproject["tool"]["setuptools"]["packages"]
    } - {"propylon"}
    assert pyproject["tool"]["setuptools"]["package-dir"]["propylon"] == PACKAGE
    packages = {
        name
        for name, path in modules().items()
        if path.name == "__init__.py" and name != "__init__"
    }
    folders = {
        ".".join(path.relative_to(ROOT).parent.parts)
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
    }
    assert listed == packages == folders


@pytest.mark.parametrize(
    "module", [name for name, path in modules().items() if path.name == "__init__.py"]
)
def test_every_room_says_its_purpose(module: str) -> None:
    assert ast.get_docstring(tree(module))


ABSOLUTE = re.compile(r"(?<![\w.:])/(root|work|home/\w+)/[\w.]")


NOT_SOURCE = re.compile(
    r"\.(?!ci$|github$|gitignore$|dockerignore$|gitattributes$).*"
    r"|.*\.egg-info|__pycache__|build|dist|node_modules"
)
"""Files and folders that are made, not written: an archive of the source has no git to ask."""


def source_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if NOT_SOURCE.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from source_files(path)
        elif path.is_file():
            yield path


def paths_of_one_machine(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}: {match.group()}"
        for path in source_files(root)
        if path != Path(__file__)
        for match in ABSOLUTE.finditer(path.read_text("utf-8", errors="replace"))
    ]


def test_no_path_of_one_machine() -> None:
    assert Path(__file__) in source_files(ROOT)
    assert not paths_of_one_machine(ROOT)


def test_the_source_is_looked_through_without_git(tmp_path: Path) -> None:
    for name in (".venv/x.py", ".venv-ci/x.py", ".git/config", "tests/__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("/root/x/y")
    (tmp_path / "tests/x.py").write_text("cd /work/x")
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github/ci.yml").write_text("cd /home/me/x")
    assert paths_of_one_machine(tmp_path) == [".github/ci.yml: /home/me/x", "tests/x.py: /work/x"]


@pytest.mark.parametrize("text", ["x = '/root/x/y'", "cd /work/x", "/home/me/x"])
def test_a_path_of_one_machine_is_caught(text: str) -> None:
    assert ABSOLUTE.search(text)
