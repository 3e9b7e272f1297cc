"""Pieces of files between bytes, to a client that takes little at a time."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.file_buffer import CHECKED_AT_ONCE, FileBuffer, FileFaultError
from propylon.protocol.send_buffer import MOST_BUFFERS, SendBuffer

from .exam import SEND_TIMEOUT, Owner
from .pairs import PlainPair

CONTENT = os.urandom(1_500_000)


class HeldFile:
    """A file, and how many are open."""

    held = 0

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.name = str(path)
        self.is_there = True
        """Whether it is in memory."""
        self.brought: list[tuple[int, int, Callable[[], None]]] = []
        HeldFile.held += 1

    def is_in_memory(self, offset: int, count: int) -> bool:
        return self.is_there

    def bring(self, offset: int, count: int, then: Callable[[], None]) -> None:
        self.brought.append((offset, count, then))

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


def test_a_piece_of_nothing_is_no_piece(scene: Scene) -> None:
    """As of the answer to a HEAD. It would be brought to memory for ever."""
    transport, file = scene.transport, HeldFile(scene.path)
    file.is_there = False
    transport.gather((b"head",))
    transport.gather_file(file, 5, 0)
    transport.gather_file(file, len(CONTENT), 0)
    transport.send(b" behind")
    assert not transport.kept
    assert not file.brought
    assert scene.pair.client_reads_all() == b"head behind"


class Counting(socket.socket):
    sends = 0

    def sendmsg(self, *args: Any) -> int:
        self.sends += 1
        return super().sendmsg(*args)


def test_many_small_ones_behind_a_piece_are_joined(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(CONTENT[:10])
    pair = socket.socketpair()
    with closing(pair[0]), closing(pair[1]):
        sock = Counting(fileno=os.dup(pair[0].fileno()))
        with closing(sock):
            waiting, small = FileBuffer(SendBuffer(), lambda: None), bytes(bytearray(b"ab"))
            waiting.add_file(HeldFile(tmp_path / "it"), 0, 10)
            before = sys.getrefcount(small)
            for _ in range(5_000):
                waiting.add(small)
            assert sys.getrefcount(small) - before <= MOST_BUFFERS
            assert (waiting.size, waiting.in_memory) == (10_010, 10_000)
            assert waiting.send_to(sock) == 10_010
            assert sock.sends == 1
            assert pair[1].recv(10_010, socket.MSG_WAITALL) == CONTENT[:10] + b"ab" * 5_000
            assert not waiting.size


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


def test_what_has_left_memory_meanwhile_is_brought_back(scene: Scene) -> None:
    """It is not waited for, nor is the client to blame for it."""
    pair, transport, file = scene.pair, scene.transport, HeldFile(scene.path)
    transport.gather_file(file, 0, len(CONTENT))
    transport.send_kept()
    assert transport.blocked
    assert transport.send_by == pair.now + SEND_TIMEOUT
    file.is_there = False
    heard = pair.client_reads_all()
    pair.turn()
    (offset, count, came) = file.brought[0]
    assert (offset, count) == (len(heard), CHECKED_AT_ONCE)
    assert (transport.blocked, transport.send_by) == (True, 0.0)
    assert not transport.takes_too_little(pair.now + 1_000.0)
    for _ in range(3):
        pair.turn()
    assert len(file.brought) == 1, "the poller tells nobody meanwhile"
    assert pair.client_reads_all() == b""
    came()
    pair.turn()
    assert len(pair.client_reads_all()) > 0
    while transport.kept:  # what is left is brought piece by piece
        heard = pair.client_reads_all()
        pair.turn()
        file.is_there = True
        for _, _, then in file.brought[1:]:
            then()
        del file.brought[1:]
    assert transport.send_by == 0.0
    file.brought.clear()


def test_a_socket_that_closes_while_a_file_is_brought(scene: Scene) -> None:
    file = HeldFile(scene.path)
    scene.transport.gather_file(file, 0, len(CONTENT))
    scene.transport.send_kept()
    file.is_there = False
    scene.pair.client_reads_all()
    scene.pair.turn()
    scene.transport.close()
    file.brought.pop()[2]()
    del file
    assert HeldFile.held == 0
