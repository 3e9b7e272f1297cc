"""Pieces of files between bytes, to a client that takes little at a time."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.file_buffer import FileFaultError

from .exam import Owner
from .pairs import PlainPair

CONTENT = os.urandom(1_500_000)


class HeldFile:
    """A file, and how many are open."""

    held = 0

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.name = str(path)
        HeldFile.held += 1

    def __del__(self) -> None:
        os.close(self.fd)
        HeldFile.held -= 1


@dataclass
class Scene:
    pair: PlainPair
    transport: ClientSocket
    path: Path


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    path = tmp_path / "it"
    path.write_bytes(CONTENT)
    with closing(PlainPair()) as pair:
        transport = pair.transport
        assert isinstance(transport, ClientSocket)
        transport.join(Owner(transport))
        yield Scene(pair, transport, path)


def read_all(pair: PlainPair) -> bytes:
    heard = b""
    while pair.transport.kept:
        heard += pair.client_reads(50_000) or b""
        pair.turn()
    return heard + pair.client_reads_all()


def test_bytes_and_pieces_come_in_their_order(scene: Scene) -> None:
    transport, file = scene.transport, HeldFile(scene.path)
    assert transport.gather((b"head ",))
    assert not transport.gather_file(file, 100, 300_000)
    transport.gather_file(file, 300_100, 1_000_000)
    transport.gather((b" between ", b"", b"them "))
    transport.gather_file(file, 0, 10)
    transport.gather_file(file, 1_400_000, 10)
    transport.send(b" behind")
    whole = b"head " + CONTENT[100:1_300_100] + b" between them " + CONTENT[:10]
    whole += CONTENT[1_400_000:1_400_010] + b" behind"
    assert transport.blocked
    assert 0 < transport.kept < len(whole)
    assert read_all(scene.pair) == whole
    assert transport.gather_file(file, 5, 5)
    assert transport.send_kept() == 5
    assert scene.pair.client_reads_all() == CONTENT[5:10]
    transport.send(b"bytes alone")
    assert scene.pair.client_reads_all() == b"bytes alone"


def test_the_file_is_held_until_the_client_has_it(scene: Scene) -> None:
    scene.transport.gather_file(HeldFile(scene.path), 0, len(CONTENT))
    scene.transport.send_kept()
    assert HeldFile.held == 1
    assert read_all(scene.pair) == CONTENT
    assert HeldFile.held == 0


def test_a_close_lets_the_file_go(scene: Scene) -> None:
    scene.transport.gather_file(HeldFile(scene.path), 0, len(CONTENT))
    scene.transport.gather((b"more",))
    scene.transport.send_kept()
    scene.transport.close()
    assert HeldFile.held == 0


def test_a_file_that_becomes_shorter_is_told_from_a_client_that_leaves(scene: Scene) -> None:
    transport = scene.transport
    transport.gather_file(HeldFile(scene.path), 0, len(CONTENT))
    transport.send_kept()
    os.truncate(scene.path, 1_000_000)

    def send_rest() -> None:
        while transport.kept:
            scene.pair.client_reads(50_000)
            transport.send_kept()

    with pytest.raises(FileFaultError):
        send_rest()
    assert f"{scene.path} became shorter while it was sent: 1000000 bytes" in transport.fault
    transport.close()
    assert HeldFile.held == 0


def test_a_folder_is_a_fault_of_the_file(scene: Scene) -> None:
    scene.transport.gather_file(HeldFile(scene.path.parent), 0, 10)
    with pytest.raises(FileFaultError):
        scene.transport.send_kept()
    assert "could not be read" in scene.transport.fault
