"""No test, and no process that a test starts, writes outside temporary folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OUTSIDE = Path(__file__).parent / "apps" / "written_by_a_test"
ATTEMPTS = {
    "open": f"open({str(OUTSIDE)!r}, 'w')",
    "os.open": f"os.open({str(OUTSIDE)!r}, os.O_CREAT | os.O_WRONLY)",
    "mkdir": f"os.mkdir({str(OUTSIDE)!r})",
    "replace": f"os.replace({str(Path(__file__).with_name('nobody'))!r}, {str(OUTSIDE)!r})",
    "replace what is no file": "os.replace('{tmp}/new', '/sys/written_by_a_test')",
    "remove": f"os.unlink({str(OUTSIDE)!r})",
    "symlink": f"os.symlink('/', {str(OUTSIDE)!r})",
    "by a link": "open('{tmp}/link/written_by_a_test', 'w')",
    "by a descriptor": (
        f"os.chmod('/proc/self/fd/' + str(os.open({str(OUTSIDE.parent)!r}, 0)), 0o755)"
    ),
    "touch": f"pathlib.Path({str(OUTSIDE)!r}).touch()",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "new").write_text("")
    (tmp_path / "link").symlink_to(OUTSIDE.parent)
    return tmp_path


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_test_does_not_write_elsewhere(attempt: str, folder: Path) -> None:
    code = ATTEMPTS[attempt].replace("{tmp}", str(folder))
    with pytest.raises(PermissionError, match="a test may not write there"):
        exec(code, {"os": os, "pathlib": __import__("pathlib")})
    assert not OUTSIDE.exists()
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nor_does_what_it_starts(attempt: str, folder: Path) -> None:
    code = "import os, pathlib; " + ATTEMPTS[attempt].replace("{tmp}", str(folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a test may not write there" in done.stderr
    assert not OUTSIDE.exists()


def test_what_tests_need_is_allowed(folder: Path) -> None:
    (folder / "x").write_text("1")
    os.replace(folder / "x", folder / "y")
    (folder / "y").unlink()
    with open(os.devnull, "w") as nowhere:
        nowhere.write("x")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.close(os.open("z", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.unlink("z", dir_fd=descriptor)
        os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
    finally:
        os.close(descriptor)
