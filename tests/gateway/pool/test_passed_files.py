"""Descriptors that a worker passes, asked for or not, over real sockets: none is ever kept."""

import os
import resource
import socket
import tempfile
import threading
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.pool.link_member import Member
from propylon.gateway.pool.passed_files import MOST_UNNAMED
from propylon.gateway.pool.pool import Pool
from propylon.gateway.transport.poller import Poller
from propylon.protocol.calls import Call
from propylon.protocol.codec import RECEIVE_SIZE, encode
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import (
    BYE,
    FEATURES,
    FILES,
    MAX_BODY,
    OPEN,
    RESPONSE_FILE,
    Message,
)
from propylon.protocol.worker_link import WorkerLink
from propylon.worker.host.file_passing import FilePassing

from ...end_to_end.server import wait_for
from ...fakes.exchange_sides import FakeClient
from ...fakes.slow_file_system import slow_files
from .linked import pool, submit

CONTENT = b"0123456789"


@dataclass
class Worker:
    """A worker that may send whatever it likes."""

    member: Member
    link: WorkerLink
    sock: socket.socket
    files: FilePassing
    calls: list[Call] = field(default_factory=list)

    def hear(self, poller: Poller) -> list[Message]:
        poller._turn()
        found: list[Message] = []
        try:
            for call, message in self.link.receive(self.sock.recv(RECEIVE_SIZE)):
                found.append(message)
                if message[0] == OPEN and call is not None:
                    self.calls.append(call)
        except BlockingIOError:
            pass
        return found

    def say(self, data: bytes = b"") -> None:
        data += self.link.take_output()
        if data:
            self.files.send_first(self.sock, [data])
        self.member.readable()

    def say_all(self) -> None:
        """Says more than the socket holds."""
        while data := self.link.take_output():
            for start in range(0, len(data), MAX_BODY):
                self.sock.sendall(data[start : start + MAX_BODY])
                self.member.readable()

    def packet(self, number: int, *fds: int, size: int = 8) -> None:
        """Sends a packet of the descriptor socket as it is given."""
        sock = self.files._ours
        assert sock is not None
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))
        sock.sendmsg([number.to_bytes(size)], [rights] if fds else [])


def threads(poller: Poller) -> DiskThreads:
    """Such that know where the tests' files are."""
    disk = DiskThreads(poller.call_soon_threadsafe)
    with tempfile.TemporaryFile() as there:
        disk.stores.learn(there.fileno())
    return disk


@contextmanager
def worker(poller: Poller, features: frozenset[str] = FEATURES) -> Iterator[tuple[Pool, Worker]]:
    of = pool()
    of.send_files(threads(poller))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with theirs:
        member = Member(of, ours, 1, poller)
        greeting = Greeting(who={"worker": 1, "pid": 7}, features=features)
        one = Worker(member, WorkerLink(greeting, lambda: None), theirs, FilePassing())
        one.link.greet()
        one.hear(poller)
        one.link.ready({})
        one.link.slots(8)
        one.say()
        try:
            yield of, one
        finally:
            member.cut()
            one.files.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a file with ten bytes."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture(scope="module")
def poller() -> Poller:
    return Poller()


@pytest.fixture(autouse=True)
def nothing_stays_open(file: int, poller: Poller) -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


def opened(of: Pool, one: Worker, poller: Poller) -> tuple[Exchange, FakeClient, Call]:
    exchange, client = submit(of)
    one.hear(poller)
    return exchange, client, one.calls[-1]


def test_a_file_is_sent_while_the_worker_is_free(file: int, poller: Poller) -> None:
    with worker(poller) as (of, one):
        exchange, client, call = opened(of, one, poller)
        assert not of.delivers_files
        number = one.files.pass_on(file)
        assert number == 1
        one.link.respond_file(call, 200, ((b"a", b"b"),), (number, 2, 5))
        one.link.end(call)
        one.say()
        assert (client.status, client.data, client.over) == (200, CONTENT[2:7], True)
        assert of.delivers_files
        assert exchange.end_code == ""
        assert one.member.running == 0
        assert one.member.answered == 1
        account = None if exchange.source is None else exchange.source.account()
        assert account is not None
        assert account.worker == 1
        assert os.lseek(file, 0, os.SEEK_CUR) == 0, "its position is the worker's"


def test_what_was_passed_for_responses_that_were_given_up_is_closed(
    file: int, poller: Poller
) -> None:
    with worker(poller) as (of, one):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            one.files.pass_on(file)
        _, client, call = opened(of, one, poller)
        number = one.files.pass_on(file)
        assert number == 6
        one.link.respond_file(call, 200, (), (number, 0, 10))
        one.link.end(call)
        one.say()
        assert client.data == CONTENT
        assert len(os.listdir("/proc/self/fd")) == before + 5, "they may still be named"
        one.member.sweep()
        assert len(os.listdir("/proc/self/fd")) == before, "nobody is left who could"


def test_a_response_that_has_ended_overtakes_that_of_an_app_which_runs_on(
    file: int, poller: Poller
) -> None:
    with worker(poller) as (of, one):
        pairs = [opened(of, one, poller) for _ in range(3)]
        for at, (_, _, call) in enumerate(pairs):
            number = one.files.pass_on(file)
            assert number is not None
            one.link.respond_file(call, 200, (), (number, at, 2))
            if at:
                one.link.end(call)
        one.say()
        assert [client.data for _, client, _ in pairs] == [b"01", b"12", b"23"]
        assert of.members == [one.member]


def test_a_file_that_waits_behind_its_bodies_is_named_late(file: int, poller: Poller) -> None:
    with worker(poller) as (of, one):
        streams = [opened(of, one, poller) for _ in range(3)]
        for _, _, call in streams:
            one.link.start_response(call, 200, ())
            while size := min(call.send_credit, MAX_BODY):
                one.link.send_body(call, bytes(size), True)
            number = one.files.pass_on(file)
            assert number is not None
            one.link.send_file(call, (number, 0, 10))
        _, whole, call = opened(of, one, poller)
        number = one.files.pass_on(file)
        assert number is not None
        one.link.respond_file(call, 200, (), (number, 0, 10))
        one.link.end(call)
        one.say_all()
        assert [client.data[-10:] for _, client, _ in streams] == [CONTENT] * 3
        assert whole.data == CONTENT
        assert of.members == [one.member]


def test_responses_that_clients_give_up_beside_a_call_that_lasts(file: int, poller: Poller) -> None:
    with worker(poller) as (of, one):
        opened(of, one, poller)
        before = len(os.listdir("/proc/self/fd"))
        for ended in [True, False] * 300:
            exchange, client, call = opened(of, one, poller)
            client.leave(exchange)
            number = one.files.pass_on(file)
            assert number is not None, "the socket is full"
            one.link.respond_file(call, 200, (), (number, 0, 10))
            if ended:
                one.link.end(call)
                one.say()
            else:
                one.say()
                one.link.end(call)
                one.say()
            assert len(os.listdir("/proc/self/fd")) <= before  # other tests' may close meanwhile
        assert one.member.running == 1


def test_what_is_never_named_beside_a_call_that_lasts(
    file: int, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    with worker(poller) as (of, one):
        opened(of, one, poller)
        exchange, late, call = opened(of, one, poller)
        oldest = one.files.pass_on(file)
        assert oldest is not None
        before = len(os.listdir("/proc/self/fd"))
        for count in range(3 * MOST_UNNAMED):
            assert one.files.pass_on(file) is not None, "the socket is full"
            if count % 100 == 0:
                one.member.sweep()
        one.member.sweep()
        assert len(os.listdir("/proc/self/fd")) == before + MOST_UNNAMED
        one.link.respond_file(call, 200, (), (oldest, 0, 10))
        one.say()
        assert late.failed == (503, "The server has no room for another open file.")
        assert exchange.end_code == "gateway_file_broke"
        assert "or too many of them were passed" in caplog.text
        assert of.members == [one.member]
        _, client, call = opened(of, one, poller)
        number = one.files.pass_on(file)
        assert number is not None
        one.link.respond_file(call, 200, (), (number, 0, 10))
        one.say()
        assert client.data == CONTENT


def test_a_client_that_has_left_costs_a_closed_descriptor(file: int, poller: Poller) -> None:
    with worker(poller) as (of, one):
        exchange, client, call = opened(of, one, poller)
        client.leave(exchange)
        number = one.files.pass_on(file)
        assert number is not None
        one.link.respond_file(call, 200, (), (number, 0, 10))
        one.link.end(call)
        one.say()
        before = len(os.listdir("/proc/self/fd"))
        assert one.member.running == 0
        one.member.sweep()
        files = one.member._files
        assert files is not None
        with pytest.raises(BlockingIOError):
            files._sock.recv(9, socket.MSG_DONTWAIT)
        assert len(os.listdir("/proc/self/fd")) == before


def test_thousands_that_nobody_asked_for_stay_in_the_kernel_and_are_closed(
    file: int, poller: Poller
) -> None:
    with worker(poller) as (of, one):
        before = len(os.listdir("/proc/self/fd"))
        passed = 0
        for _ in range(5_000):
            passed += one.files.pass_on(file) is not None
        assert 100 < passed < 5_000, "the socket takes so many and no more"
        assert len(os.listdir("/proc/self/fd")) == before
        one.member.sweep()
        assert one.files.pass_on(file) is not None, "it takes some again"
        _, client, call = opened(of, one, poller)
        number = one.files.pass_on(file)
        assert number is not None
        one.link.respond_file(call, 200, (), (number, 0, 10))
        one.say()
        assert client.data == CONTENT
        assert len(os.listdir("/proc/self/fd")) == before + 1, "the one that came before it"


@pytest.mark.parametrize("what", ["never", "twice", "bare", "two", "long", "again", "unread"])
def test_a_worker_that_breaks_the_protocol_loses_its_link(
    file: int, poller: Poller, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    with worker(poller) as (of, one):
        _, client, call = opened(of, one, poller)
        named = 1
        if what == "twice":
            one.packet(1, file)
            one.packet(1, file)
            named = 2
        elif what == "bare":
            one.packet(1)
        elif what == "two":
            one.packet(1, file, file)
        elif what == "long":
            one.packet(1, file, size=9)
        elif what == "again":
            one.packet(2, file)
            one.packet(1, file)
            named = 3
        elif what == "unread":
            one.packet(5, file)
        one.say(encode((RESPONSE_FILE, call.call_id, 200, (), named, 0, 10, True)))
        assert (client.status, client.over) == (502, True)
        assert of.members == []
        assert one.hear(poller)[-1][:2] == (BYE, 1)
        assert "broke the link protocol" in caplog.text


def test_a_file_without_the_feature(file: int, poller: Poller) -> None:
    with worker(poller, FEATURES - {FILES}) as (of, one):
        opened(of, one, poller)
        one.files.pass_on(file)
        one.say(encode((RESPONSE_FILE, 1, 200, (), 1, 0, 10, True)))
        assert of.members == []


@pytest.mark.parametrize(
    ("flags", "part", "fault"),
    [
        (os.O_RDONLY, (0, 11), "has 10 bytes, and not 11"),
        (os.O_RDONLY, (11, 1), "has 10 bytes, and not 12"),
        (os.O_WRONLY, (0, 10), "is not open for reading"),
        (os.O_RDONLY | os.O_DIRECTORY, (0, 10), "is no regular file"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_what_can_not_be_sent_costs_one_response(
    tmp_path: Path, poller: Poller, flags: int, part: tuple[int, int], fault: str, begun: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = tmp_path if flags & os.O_DIRECTORY else tmp_path / "file"
    with worker(poller) as (of, one):
        exchange, client, call = opened(of, one, poller)
        fd = os.open(path, flags)
        number = one.files.pass_on(fd)
        os.close(fd)
        assert number is not None
        if begun:
            one.link.start_response(call, 200, ())
            one.link.send_file(call, (number, *part))
        else:
            one.link.respond_file(call, 200, (), (number, *part))
        one.link.end(call)
        one.say()
        assert client.failed == (500, "The app's file cannot be sent.")
        assert client.status == (200 if begun else 500)
        assert exchange.end_code == "app_bad_response"
        assert f"response to GET /x: its file of worker 1 (pid 7) {fault}" in caplog.text
        assert one.member.running == 0
        assert of.members == [one.member]


@pytest.mark.parametrize("begun", [False, True])
def test_nothing_of_a_file_may_begin_behind_its_end(file: int, poller: Poller, begun: bool) -> None:
    with worker(poller) as (of, one):
        exchange, client, call = opened(of, one, poller)
        number = one.files.pass_on(file)
        assert number is not None
        if begun:
            one.link.start_response(call, 200, ())
            one.link.send_file(call, (number, 11, 0))
        else:
            one.link.respond_file(call, 200, (), (number, 11, 0))
        one.say()
        assert (client.status, client.data, client.over) == (200, b"", True)
        assert (client.failed, exchange.end_code) == (None, "")


def test_a_gateway_without_room_for_another_open_file(
    file: int, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with worker(poller) as (of, one):
        for room in (False, True):
            exchange, client, call = opened(of, one, poller)
            number = one.files.pass_on(file)
            assert number is not None
            one.link.respond_file(call, 200, (), (number, 0, 10))
            if room:
                one.say()
                assert client.data == CONTENT
                break
            lowest = os.dup(file)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            try:
                one.say()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert client.failed == (503, "The server has no room for another open file.")
            assert exchange.end_code == "gateway_file_broke"
            assert "open files: RLIMIT_NOFILE" in caplog.text


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse"
)
def test_a_file_whose_server_does_not_answer_holds_nobody_up(
    file: int, poller: Poller, tmp_path: Path
) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    with ExitStack() as stack:
        try:
            slow = stack.enter_context(slow_files(folder, {b"a": CONTENT}))
        except PermissionError:
            pytest.skip("may not mount")
        of, one = stack.enter_context(worker(poller))
        late = os.open(folder / "a", os.O_RDONLY)
        stack.callback(os.close, late)
        end = threading.Timer(5, slow.let_go)  # else a loop that waits would do so for ever
        end.start()
        stack.callback(end.cancel)
        slow.hold("getattr")
        answers: list[FakeClient] = []
        for fd in (late, file):
            _, client, call = opened(of, one, poller)
            one.link.respond_file(call, 200, (), (one.files.pass_on(fd) or 0, 0, 10))
            one.link.end(call)
            one.say()
            answers.append(client)
        assert [client.data for client in answers] == [b"", CONTENT]
        wait_for(lambda: slow.waiting, "the thread to ask")
        assert end.is_alive()
        slow.let_go()
        wait_for(lambda: (poller._turn(), answers[0].data == CONTENT)[1], "the answer")
        assert (answers[0].status, answers[0].data) == (200, CONTENT)
        assert one.member.answered == 2


@pytest.mark.parametrize("what", ["nothing", "a file", "another socket"])
def test_what_came_instead_of_the_descriptor_socket(file: int, poller: Poller, what: str) -> None:
    """The worker's sends fail, and it reads its files itself."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    of = pool()
    of.send_files(threads(poller))
    with theirs, socket.socket() as other:
        member = Member(of, ours, 1, poller)
        link = WorkerLink(Greeting(who={"worker": 1}, features=FEATURES), lambda: None)
        link.greet()
        fds = {"nothing": [], "a file": [file, file], "another socket": [other.fileno()]}[what]
        socket.send_fds(theirs, [link.take_output()], fds)
        member.readable()
        assert member._files is None
        assert of.members == [member]
        member.cut()
