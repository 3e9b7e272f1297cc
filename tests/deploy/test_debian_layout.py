"""deploy/debian/: what it puts in place is complete, right, and goes away again; what an operator
has changed stays."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ..end_to_end.server import command, environment

DEBIAN = Path(__file__).parents[2] / "deploy/debian"
SYSUSERS = shutil.which("systemd-sysusers")
TMPFILES = shutil.which("systemd-tmpfiles")


def install(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["sh", DEBIAN / "install.sh", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_install_again_and_remove(tmp_path: Path) -> None:
    install(tmp_path)
    first = files(tmp_path)
    assert {path.partition("/")[0] for path in first} == {"etc", "usr"}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in map(tmp_path.joinpath, first))
    (mine := tmp_path / "etc/propylon/propylon.toml").write_text("mine")
    (unit := tmp_path / "usr/lib/systemd/system/propylon.service").write_text("old")
    assert f"Kept {mine}\n" in install(tmp_path)
    assert mine.read_text() == "mine"
    assert unit.read_text() != "old"
    install("--remove", tmp_path)
    assert files(tmp_path) == {path for path in first if path.startswith("etc/")}


def test_every_file_of_the_folder_is_put_in_place() -> None:
    script = (DEBIAN / "install.sh").read_text()
    for folder in (DEBIAN, DEBIAN.with_name("systemd")):
        for path in folder.iterdir():
            if path.is_file() and path.name not in ("README.md", "install.sh"):
                assert f"\n{folder.name}/{path.name} " in script, path


def configuration(text: str, folder: Path) -> str:
    """An example, for an app that is there, with every line that is commented out but for TLS."""
    text = re.sub(r"^#(?! )(?!ssl_)", "", text, flags=re.M)
    return text.replace("/srv/app", str(folder)).replace("/var/log/propylon", str(folder))


@pytest.mark.parametrize("name", ["propylon", "gateway", "worker"])
def test_the_examples_are_right(name: str, tmp_path: Path) -> None:
    """`check` finds no fault. It wants an app, which a gateway alone has not."""
    (tmp_path / "app.py").write_text("async def app(scope, receive, send): ...\n")
    text = configuration((DEBIAN / f"{name}.toml").read_text(), tmp_path)
    if name == "gateway":
        text = text.replace('"api"', f'"api"\napp = "app:app"\napp_dir = "{tmp_path}"', 1)
    (toml := tmp_path / "some.toml").write_text(text)
    done = subprocess.run(
        command("check", "-c", str(toml)),
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "drain_delay" not in text or re.search(r"drain-delay\W+5\b", done.stdout), done.stdout


@pytest.mark.skipif(SYSUSERS is None, reason="needs systemd-sysusers: apt-get install systemd")
def test_the_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        [SYSUSERS or "", "--dry-run", f"--root={tmp_path}", DEBIAN / "propylon.sysusers"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Creating user 'propylon' (Propylon)" in done.stderr, done.stderr


@pytest.mark.skipif(TMPFILES is None, reason="needs systemd-tmpfiles: apt-get install systemd")
def test_the_shared_directory(tmp_path: Path) -> None:
    """Its line is made for a user that is there: whoever runs this."""
    line = (DEBIAN / "propylon.tmpfiles").read_text().replace("propylon propylon", "- -")
    (rules := tmp_path / "rules.conf").write_text(line.replace("/run/", f"{tmp_path}/"))
    subprocess.run([TMPFILES or "", "--create", rules], check=True)
    assert (tmp_path / "propylon-gateway").stat().st_mode & 0o7777 == 0o2770
