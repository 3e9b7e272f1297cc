"""What a hardened container lacks: a passwd entry, HOME, a writable file system, room in /dev/shm,
names. Propylon serves, or says in a line what to give it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import other_users
from .operating import deploy
from .server import DEADLINE, Output

STRANGER = 12_345
"""A uid without a passwd entry."""
MOUNTS = "mount --make-rprivate / && "
SEALED = MOUNTS + "mount -o remount,bind,ro / && for d in /tmp /var/tmp /run /dev/shm; do "
SEALED += "mountpoint -q $d && mount -o remount,ro,bind $d || mount --bind -o ro $d $d; done; "
TINY = "mount -t tmpfs -o size=64k,noexec,mode=1777 shm /dev/shm && "
NAMELESS = "mount --bind /dev/null /etc/resolv.conf && mount --bind /dev/null /etc/hosts && "


@pytest.fixture
def folder() -> Iterator[Path]:
    if why := other_users.why_not():
        pytest.skip(why)
    if subprocess.run(["unshare", "-mu", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces of our own here")
    with other_users.everybodys_folder() as folder:
        deploy(folder, "one")
        other_users.propylon(folder)
        yield folder


def bare(folder: Path, prepared: str, *arguments: str) -> subprocess.Popen[str]:
    """Propylon as a stranger with an empty environment, in mounts of its own that a script has
    `prepared`."""
    path = other_users.for_others(folder)["PYTHONPATH"]
    few = ["env", "-i", "LC_ALL=C", f"PYTHONPATH={path}", "PYTHONDONTWRITEBYTECODE=1"]
    whole = [*other_users.as_user(STRANGER, STRANGER), *few]
    whole += other_users.propylon(folder, *arguments)
    script = f'{prepared} hostname nowhere-at-all && cd "$0" && exec "$@" <&-'
    return subprocess.Popen(
        ["unshare", "-mu", "sh", "-c", script, str(folder), *whole],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "prepared",
    [
        pytest.param(MOUNTS + TINY + NAMELESS, id="no names, a tiny shm"),
        pytest.param(SEALED + TINY + NAMELESS, id="read-only but for a tiny shm"),
        pytest.param(MOUNTS + "mount -t tmpfs -o ro shm /dev/shm && ", id="no shm"),
    ],
)
def test_it_serves(folder: Path, prepared: str) -> None:
    process = bare(folder, prepared, "serve", "changing:app", "-b", "127.0.0.1:0")
    assert process.stderr is not None
    log = Output(process.stderr)
    try:
        url = log.find(r"Serving on (\S+)", process)[1].rstrip(",")
        got = subprocess.run(["curl", "-s", url], capture_output=True, text=True, timeout=DEADLINE)
        assert got.stdout.startswith("one ")
    finally:
        process.terminate()
        code = process.wait(DEADLINE)
    assert code == 0, log.finish()
    assert "Traceback" not in log.finish()


@pytest.mark.slow
def test_where_nothing_can_be_written_a_line_says_what_to_give_it(folder: Path) -> None:
    process = bare(folder, SEALED, "serve", "changing:app", "-b", "127.0.0.1:0")
    _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode != 0, said
    line = said.splitlines()[-1]  # behind what the tests' own sitecustomize may say
    assert line.count("Read-only file system") == 2
    assert "name a writable directory with --run-dir (PROPYLON_RUN_DIR)" in line
