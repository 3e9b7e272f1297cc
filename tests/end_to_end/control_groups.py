"""Control groups of the kernel, made for a test. Needs root, and controllers that can be used here.

They are changed by a shell: tests/guarded lets no Python process write to them.
"""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
LIMITS: Final = {
    # (controller, version) -> the folder above the group's, and the file of its limit
    ("memory", 1): (ROOT / "memory", "memory.limit_in_bytes"),
    ("memory", 2): (ROOT, "memory.max"),
    ("cpu", 1): (ROOT / "cpu", "cpu.cfs_quota_us"),
    ("cpu", 2): (ROOT, "cpu.max"),
}


@contextmanager
def group(controller: str, limit: int) -> Iterator[list[str]]:
    """A group with a limit, in bytes of memory or microseconds of CPU time in each 100,000. Yields
    the command that starts another command in it. Raises OSError where none can be made."""
    for (name, _), (above, file) in LIMITS.items():
        folder = above / f"propylon-test-{secrets.token_hex(4)}"
        if name != controller or not _made(folder, file, limit):
            continue
        try:
            yield ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(folder)]
        finally:
            subprocess.run(["rmdir", str(folder)], check=False)
        return
    raise OSError("no control group can be made")


def _made(folder: Path, file: str, limit: int) -> bool:
    """Whether the group has been made and has the controller."""
    script = 'mkdir "$0" && test -e "$0/$1" && echo "$2" > "$0/$1" || { rmdir "$0"; exit 1; }'
    words = ["sh", "-c", script, str(folder), file, str(limit)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def why_no(controller: str) -> str:
    """Why no group can be made; "" where one can."""
    try:
        with group(controller, 2**26 if controller == "memory" else 100_000):
            return ""
    except OSError as error:
        return f"{error} with the controller {controller}: it needs root and a writable cgroupfs"
