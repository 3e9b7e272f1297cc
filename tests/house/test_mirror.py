"""Where a test stands: where its source stands, under the same name; else it says what it is about.

`tests/gateway/pool/test_retry.py` is about `gateway/pool/retry.py`. What is about more than one
file, or about a property of a whole room, has a docstring that says so; so have the folders that
mirror no room.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from .source import PARTS, ROOT

TESTS = ROOT / "tests"


def mirrored(test: Path, root: Path = ROOT) -> Path:
    """The source file that a test is about, if it mirrors one."""
    folder = test.relative_to(root / "tests").parent
    return root / folder / f"{test.stem.removeprefix('test_')}.py"


def without_a_subject(tests: Iterable[Path], root: Path = ROOT) -> Iterator[str]:
    for test in tests:
        source = ast.parse(test.read_text("utf-8"))
        if not mirrored(test, root).exists() and not ast.get_docstring(source):
            yield str(test.relative_to(root))


def rooms_that_are_not_there(files: Iterable[Path]) -> set[str]:
    """Folders of tests below a part's that are no folder of the part."""
    folders = {path.relative_to(TESTS).parent for path in files}
    return {
        str(folder)
        for folder in folders
        if folder.parts and folder.parts[0] in PARTS and not (ROOT / folder).is_dir()
    }


def test_a_test_mirrors_a_source_or_says_what_it_is_about() -> None:
    assert not list(without_a_subject(TESTS.rglob("test_*.py")))


def test_the_folders_mirror_the_rooms() -> None:
    assert not rooms_that_are_not_there(TESTS.rglob("test_*.py"))


def test_a_test_without_a_subject_is_caught(tmp_path: Path) -> None:
    room = tmp_path / "tests/pool"
    room.mkdir(parents=True)
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/there.py").touch()
    (room / "test_there.py").touch()
    (room / "test_all.py").write_text('"""All that a pool does."""')
    (room / "test_gone.py").write_text("def test_it(): ...")
    assert [*without_a_subject(room.iterdir(), tmp_path)] == ["tests/pool/test_gone.py"]


def test_a_room_that_is_not_there_is_caught() -> None:
    paths = [TESTS / "gateway/sundry/test_x.py", TESTS / "gateway/pool/test_x.py"]
    assert rooms_that_are_not_there([*paths, TESTS / "bench/test_x.py"]) == {"gateway/sundry"}
