"""deploy/systemd/: systemd accepts the units, their exposure is low, and their times add up."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from propylon.gateway.config.options import Options

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES = ("propylon.service", "propylon-gateway.service", "propylon-worker@.service")
ANALYZE = shutil.which("systemd-analyze")
SYSTEM_UNITS = Path("/lib/systemd/system")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd: apt install systemd")


def settings(name: str) -> dict[str, list[str]]:
    """Of a unit's [Service]: name -> its values, in order."""
    found: dict[str, list[str]] = {}
    text = (DEPLOY / "systemd" / name).read_text()
    for line in text.partition("[Service]")[2].partition("[Install]")[0].splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """As deploy/debian/install.sh puts them in place, beside the system's own targets."""
    done = subprocess.run(
        ["sh", DEPLOY / "debian/install.sh", tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    units = tmp_path / "usr/lib/systemd/system"
    for target in SYSTEM_UNITS.glob("*.*"):
        if target.suffix in (".target", ".slice") and not target.is_symlink():
            shutil.copy(target, units / target.name)
    for folder in ("opt/propylon/bin", "srv/app/.venv/bin"):
        (program := tmp_path / folder / "propylon").parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    override = tmp_path / "etc/systemd/system/propylon.service.d"
    override.mkdir(parents=True)
    for names in (
        ["propylon.socket", "propylon.service"],
        ["propylon-gateway.socket", "propylon-gateway.service", "propylon-worker@api.service"],
    ):
        assert verify(tmp_path, *names) == ""
    shutil.copy(DEPLOY / "systemd/propylon.service.d/override.conf", override)
    assert verify(tmp_path, "propylon.service") == ""


def verify(root: Path, *units: str) -> str:
    """What systemd finds wrong with units below another root."""
    done = subprocess.run(
        [ANALYZE or "", "verify", "--man=no", f"--root={root}", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_is_low(name: str) -> None:
    """Below 2.5; systemd counts in tenths."""
    done = subprocess.run(
        [ANALYZE or "", "security", "--offline=true", "--threshold=24", DEPLOY / "systemd" / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_times_add_up(name: str) -> None:
    """After TimeoutStopSec= systemd kills what is left: later than Propylon does it itself."""
    unit = settings(name)
    defaults = {one.name: one.default for one in Options.__dataclass_fields__.values()}
    graceful, startup = defaults["timeout_graceful_shutdown"], defaults["startup_timeout"]
    assert float(unit["TimeoutStopSec"][0]) >= graceful + 10
    assert float(unit["TimeoutStartSec"][0]) > startup
    assert unit["KillMode"] == ["mixed"]  # the supervisor ends its children, in their order
    assert unit["Type"] == ["notify"]
    for toml in ("propylon.toml", "gateway.toml", "worker.toml"):
        text = (DEPLOY / "debian" / toml).read_text()
        assert f"\ntimeout_graceful_shutdown = {graceful:g}\n" in text
    drop_in = (DEPLOY / "systemd/propylon.service.d/override.conf").read_text()
    longer = re.search(r"GRACEFUL_SHUTDOWN=(\d+)\n#TimeoutStopSec=(\d+)\n", drop_in)
    assert longer
    assert int(longer[2]) - int(longer[1]) == 15
