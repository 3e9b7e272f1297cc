"""A volume that fills up. A real one, which only root can make."""

from pathlib import Path

from propylon.gateway.supervisor.full_volume import FullVolume

from ...volumes import TmpfsVolume, needs_volumes


def said(volume: FullVolume, now: float) -> list[str]:
    return [one.what for one in volume.at(now)]


@needs_volumes
def test_no_space_is_a_problem_until_there_is_some(tmp_path: Path) -> None:
    with TmpfsVolume(tmp_path / "run") as there:
        volume = FullVolume("the run directory", str(there.path))
        assert said(volume, 0.0) == []
        there.fill()
        (one,) = volume.at(1.0)
        assert (one.kind, one.what) == (
            "full volume", "the run directory: its volume has no space left",
        )  # fmt: skip
        there.make_room()
        assert said(volume, 5.0) != [], "it may be full again in a moment"
        assert said(volume, 7.0) == []


@needs_volumes
def test_so_are_inodes(tmp_path: Path) -> None:
    with TmpfsVolume(tmp_path / "run", "nr_inodes=8") as there:
        for number in range(7):
            (there.path / f"{number}").touch()
        volume = FullVolume("the run directory", str(there.path))
        assert said(volume, 0.0) == ["the run directory: its volume has no inodes left"]


def test_one_that_is_gone_is_no_full_one(tmp_path: Path) -> None:
    assert said(FullVolume("the run directory", str(tmp_path / "none")), 0.0) == []
