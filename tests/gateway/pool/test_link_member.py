"""The driver of a worker's link, over a real socket: its failures, its heartbeat, its goodbye."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.call import PoolCall
from propylon.gateway.pool.link_member import MOST_MESSAGES, MOST_SAID, Member
from propylon.gateway.pool.pool import Pool
from propylon.gateway.transport.poller import Poller
from propylon.protocol.calls import Call
from propylon.protocol.codec import RECEIVE_SIZE
from propylon.protocol.errors import LocalProtocolError
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import (
    BYE_NORMAL,
    CLIENT_GONE,
    DRAIN,
    EVENT,
    HELLO,
    OPEN,
    PING,
    SHUTDOWN,
    Message,
)
from propylon.protocol.worker_link import WorkerLink

from ...fakes.exchange_sides import FakeClient
from .linked import Owner, pool, submit


def test_a_link_that_cannot_be_written_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    p, poller = pool(), Poller()
    ours, worker = socket.socketpair()
    ours.setblocking(False)
    worker.settimeout(20)

    def fails() -> bytes:
        raise RuntimeError("a fault of ours")

    with worker:
        member = Member(p, ours, 1, poller)
        poller._turn()
        assert worker.recv(65_536), "it is greeted"
        monkeypatch.setattr(member.machine, "take_batch", fails)
        member._schedule_flush()  # as the machine does when it has something to send
        poller._turn()
        assert "a fault of ours" in caplog.text
        assert p.members == []
        assert worker.recv(65_536) == b"", "the worker sees the end"


@dataclass
class Worker:
    """The other end of a member's link."""

    member: Member
    link: WorkerLink
    sock: socket.socket
    poller: Poller

    def hear(self) -> list[tuple[Call | None, Message]]:
        """What has come from the gateway."""
        self.poller._turn()
        try:
            return list(self.link.receive(self.sock.recv(RECEIVE_SIZE)))
        except BlockingIOError:
            return []

    def say(self) -> None:
        """What the machine has to say goes out, and the member reads it."""
        while data := self.link.take_output():
            self.sock.sendall(data)
        self.member.readable()
        while self.member._received is not None:
            assert self.poller._turn(), "what is left is forgotten"

    def tokens(self) -> list[int]:
        return [message[1] for _, message in self.hear() if message[0] == PING]


@contextmanager
def worker(of: Pool, number: int = 1, on: Poller | None = None) -> Iterator[Worker]:
    """One that is ready, with eight slots."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with theirs:
        poller = on or Poller()
        member = Member(of, ours, 1, poller)
        who: dict[str, object] = {"worker": number, "pid": 10 + number, "id": number}
        one = Worker(member, WorkerLink(Greeting(who=who), lambda: None), theirs, poller)
        one.link.greet()
        one.hear()
        one.link.ready({})
        one.link.slots(8)
        one.say()
        try:
            yield one
        finally:
            member.cut()


def test_a_worker_that_says_nothing_hangs_until_it_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    owner = Owner()
    p = pool(owner, heartbeat_timeout=5.0)
    start = monotonic()
    with worker(p, 1) as one, worker(p, 2) as two:
        tokens: list[int] = []
        for quarter in range(26):
            p.sweep(start + quarter / 4)
            tokens += one.tokens()
            for token in two.tokens():
                two.link.pong(token, {"lag": 0.01})
                two.say()
        assert tokens == [1], "one PING is enough"
        assert (one.member.grade, two.member.grade) == ("hung", "punctual")
        for _ in range(3):
            submit(p)
        assert (one.member.running, two.member.running) == (0, 3)
        one.link.pong(1, {})
        one.say()
        assert one.member.grade == "late"
        p.sweep(start + 26 / 4)
        one.link.pong(2, {})
        assert one.tokens() == [2]
        one.say()
        submit(p)
        assert (one.member.running, two.member.running) == (1, 3)
    assert [record.message for record in caplog.records][:4] == [
        "worker 1 (pid 11) is late: it has not answered for 1.2 s",
        "worker 1 (pid 11) hangs: it has not answered for 5.0 s",
        "worker 1 (pid 11) is late: it took 6.2 s to answer a PING",
        "worker 1 (pid 11) is punctual again",
    ]
    late = [[line.late for line in workers] for workers in owner.workers if len(workers) == 2]
    assert [True, False] in late


def test_a_worker_that_leaves_is_let_go_and_its_websockets_are_told() -> None:
    p = pool()
    with worker(p, 1) as one, worker(p, 2) as two:
        client = FakeClient()
        request = Request("GET", b"/ws", "1.1")
        request.upgrade = "websocket"
        exchange = Exchange(request, client)
        exchange.offer_websocket(client)
        p.submit(exchange)
        ((call, _),) = [(call, said) for call, said in one.hear() if said[0] == OPEN]
        assert call is not None
        one.link.drain("it stops")
        one.say()
        assert client.left == 1
        assert [said[0] for _, said in one.hear()] == [DRAIN]
        submit(p)
        assert (one.member.running, two.member.running) == (1, 1)


def test_a_gateway_without_new_clients_says_so_with_every_call() -> None:
    """Those that run, and those that the clients it still has begin."""
    p = pool()
    with worker(p) as one:
        submit(p)
        exchange, _ = submit(p)
        ended = one.hear()[0][0]
        assert ended is not None
        one.link.respond(ended, 200, (), b"")
        one.link.end(ended)
        one.say()
        source = exchange.source
        assert isinstance(source, PoolCall)
        source.abandon(CLIENT_GONE, "its client has left")
        submit(p, "POST", more=True)
        p.wind_down()
        submit(p)
        said = [(call.call_id, message) for call, message in one.hear() if call is not None]
        events = [(number, message[2]) for number, message in said if message[0] == EVENT]
        assert events == [(3, {"type": "propylon.wind_down"}), (4, {"type": "propylon.wind_down"})]
        assert one.member.slots == 8, "and goes on"


@pytest.mark.parametrize(("started", "again"), [(False, True), (True, False)])
def test_a_post_that_a_worker_had_no_time_for(started: bool, again: bool) -> None:
    """RESET SHUTDOWN before a head: as if the worker had died, and its slot is free at END."""
    p = pool()
    with worker(p, 1) as one, worker(p, 2) as two:
        client = submit(p, "POST")[1]
        ((call, _),) = [(call, said) for call, said in one.hear() if said[0] == OPEN]
        assert call is not None
        if started:
            one.link.started([call])
        one.link.reset(call, SHUTDOWN, "no time left")
        one.say()
        assert (client.failed is None) is again
        assert two.member.running == (1 if again else 0)
        assert one.member.running == 1
        one.link.end(call)
        one.say()
        assert one.member.running == 0


def test_a_worker_that_says_bye_is_over_though_its_socket_is_held_open() -> None:
    """SPEC.md 9: a child of the worker's may hold the other end for long."""
    p = pool()
    with worker(p) as one:
        one.link.bye(BYE_NORMAL, "drained")
        one.say()
        assert p.members == []
        assert one.sock.recv(RECEIVE_SIZE) is not None  # what was said before
        assert not one.sock.recv(1), "the gateway has closed its end"


def test_what_a_dead_worker_has_said_counts_and_then_it_is_over() -> None:
    """The supervisor knows of its death, and there is no end of file."""
    p = pool()
    with worker(p) as one:
        _, answered = submit(p, "POST")
        _, lost = submit(p, "POST")
        one.member._flush()
        first, second = (call for call, message in one.hear() if message[0] == OPEN)
        assert first is not None and second is not None  # noqa: PT018
        one.link.started([first, second])
        one.link.respond(first, 200, (), b"ok")
        one.link.end(first)
        one.sock.sendall(one.link.take_output())
        p.worker_ended(99)  # another's
        assert p.members == [one.member]
        p.worker_ended(1)
        assert p.members == []
        assert answered.failed is None
        assert lost.failed is not None
        assert lost.failed[0] == 502


def test_a_worker_that_died_before_it_was_heard_is_none() -> None:
    p = pool()
    p.worker_ended(7)
    with worker(p, 7):
        assert p.members == []


def test_words_of_a_worker_forge_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    p = pool()
    with worker(p) as one:
        one.member._hear((HELLO, "propylon", 1, 1, [], {}, {"worker": "x\nerror forged" * 9_000}))
        one.link.bye(5, "y\x1b[2J\nerror forged" * 200)
        one.say()
        assert len(one.member.name) < 120
        submit(p)
    assert "\x1b" not in caplog.text
    assert "\nerror" not in caplog.text


def test_slots_are_looked_at_once_in_a_turn_and_a_flood_ends_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p = pool()
    looks: list[int] = []
    changed, slots_changed = p.changed, p.slots_changed
    monkeypatch.setattr(Pool, "changed", lambda _: (looks.append(1), changed())[1])
    monkeypatch.setattr(Pool, "slots_changed", lambda _: (looks.append(1), slots_changed())[1])
    with worker(p) as one:
        looks.clear()
        for number in range(100):
            one.link.slots(number % 7)
        one.say()
        assert len(looks) == 1
        assert p.members == [one.member]
        for number in range(MOST_SAID):
            one.link.slots(number % 7)
        one.say()
        assert p.members == []


def test_other_slots_of_a_worker_are_used_at_once_and_reported_with_the_numbers() -> None:
    owner = Owner()
    p = pool(owner)
    p.sweep(100.0)
    with worker(p) as one:
        for _ in range(9):
            submit(p)
        reports = len(owner.workers)
        for slots in range(10, 30):
            one.link.slots(slots)
            one.say()
        assert one.member.running == 9, "what waited has its slot"
        assert len(owner.workers) == reports
        p.sweep(101.5)
        assert owner.workers[-1][0].slots == 29
        one.link.slots(0)
        one.say()
        assert owner.workers[-1][0].slots == 0, "it gets no calls any more"


def test_a_part_of_slots_that_gateways_share_stands_for_all() -> None:
    p = pool(gateways=4)
    with worker(p) as one:
        assert p.load().slots == 8
        one.member.who["slots"] = "shared"
        assert p.load().slots == 32


def answers_in_pieces(one: Worker, count: int) -> None:
    """Its call is answered in so many messages behind the head."""
    (call,) = (call for call, message in one.hear() if message[0] == OPEN)
    assert call is not None
    one.link.start_response(call, 200, ())
    said = [one.link.take_output()]
    for _ in range(count):
        one.link.send_body(call, b"x", True)
        said.append(one.link.take_output())  # each by itself
    one.sock.sendall(b"".join(said))


def test_a_worker_that_says_much_has_a_share_of_each_turn() -> None:
    """Another pool's worker is heard in each of them."""
    poller = Poller()
    p, other = pool(), pool()
    with worker(p, 1, poller) as one, worker(other, 2, poller) as two:
        _, flooded = submit(p)
        answers_in_pieces(one, 3 * MOST_MESSAGES - 1)
        for number in range(1, 4):
            _, client = submit(other)
            call = next(call for call, message in two.hear() if message[0] == OPEN)
            assert call is not None
            two.link.respond(call, 200, (), b"ok")
            two.link.end(call)
            two.sock.sendall(two.link.take_output())
            before = len(flooded.data)
            poller._turn()
            assert client.data == b"ok"
            assert len(flooded.data) - before <= MOST_MESSAGES, number
        while len(flooded.data) < 3 * MOST_MESSAGES - 1:
            assert poller._turn(), "what was left is lost"
        assert not poller._turn(), "it turns in circles"


def test_all_that_a_dead_worker_has_said_is_heard() -> None:
    p = pool()
    with worker(p, 1) as one:
        _, client = submit(p)
        answers_in_pieces(one, 3 * MOST_MESSAGES)
        one.poller._turn()
        assert 0 < len(client.data) < 2 * MOST_MESSAGES
        p.worker_ended(1)
        assert len(client.data) == 3 * MOST_MESSAGES
        assert p.members == []
        assert not one.poller._turn(), "nothing is left to do"


def test_a_request_that_the_worker_cannot_take(caplog: pytest.LogCaptureFixture) -> None:
    p = pool()
    with worker(p) as one:
        one.member.machine.open = _too_large  # type: ignore[method-assign]
        request = Request("GET", b"/x", "1.1")
        exchange = Exchange(request, FakeClient(), opened=p.now)
        exchange.identify("r-1")
        p.submit(exchange)
        assert exchange.end_code == "worker_refused"
        assert "cannot take a request: it is too large [request r-1]" in caplog.text
        assert caplog.records[-1].__dict__["request_id"] == "r-1"


def _too_large(*_: object) -> None:
    raise LocalProtocolError("it is too large")


def test_what_a_worker_calls_itself_is_bounded_in_an_account() -> None:
    p = pool()
    with worker(p) as one:
        one.member.who = {"worker": 5_000 * "w\n", "generation": 1}
        exchange, _ = submit(p)
        assert exchange.source is not None
        account = exchange.source.account()
        assert account is not None
        assert account.worker == (32 * "w\\n" + "...")
