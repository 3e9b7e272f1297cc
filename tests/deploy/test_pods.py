"""Containers and pods are replaced under load, in real pods of the chart's manifest, and no request
is lost: `python -m tests.deploy.pods` prints the same as a table."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("helm_python", reason="needs Helm's library: pip install -e '.[deploy]'")

from .images import LoadImages, load_images
from .pods import machine, speed
from .pods.machine import Podman
from .pods.replacements import KINDS, Counts, play

pytestmark = pytest.mark.slow
KILLS = {"app killed", "gateway killed"}


@dataclass
class Tools:
    podman: Podman
    images: LoadImages


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    if why := machine.missing():
        pytest.skip(why)
    images = load_images()
    podman = Podman(tmp_path_factory.mktemp("podman"), images.pause)
    try:
        yield Tools(podman, images)
    finally:
        podman.remove_all()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(kind: str, tools: Tools, tmp_path: Path) -> None:
    counts: Counts = asyncio.run(play(kind, tools.podman, tools.images, tmp_path))
    assert counts.answers > 300, "hardly any load"
    assert not counts.failures, f"{counts.failures}\n{counts.logs}"
    for container, code in counts.exits.items():
        assert code == 0, f"{container} exited with {code}\n{counts.logs}"
    if kind not in KILLS:
        told = counts.tally.notes["websocket: closed with 1012"]
        assert told, "the replacement reached no WebSocket"


def test_containers_are_compared_with_the_same_programs_without(
    tools: Tools, tmp_path: Path
) -> None:
    """`--speed` works. Its figures are for a quiet machine, and no test judges them."""
    if why := speed.missing():
        pytest.skip(why)
    found = speed.compare("hello", tools.podman, tools.images, tmp_path, rounds=1, seconds=1)
    assert found.plain[0] > 0
    assert found.contained[0] > 0
