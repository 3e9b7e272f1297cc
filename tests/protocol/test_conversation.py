"""A gateway and a worker that say whatever is lawful, over pipes that cut anywhere. Both, one or
neither of them counts WebSocket messages.

After every step: nobody has sent a byte without credit, nobody was accused of breaking the
protocol, what was said about a call is heard in its order and by that call alone (of a response the
bytes, however many messages carry them: the worker holds what is said between two batches), every
call ends once, and the bell has rung when, and only when, there came to be something to take.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from propylon.protocol import outbox, response_batch
from propylon.protocol.calls import LAST, REQUEST_TABLE, RESPONSE_TABLE, Call
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.link import LinkMachine
from propylon.protocol.messages import (
    CONFIRM_START,
    COUNTED_MESSAGES,
    CREDIT,
    END,
    EVENT,
    FEATURES,
    HOLD_BODY,
    MAX_BODY,
    OPEN,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_START,
    STARTED,
    WS_MESSAGE,
    Message,
)
from propylon.protocol.worker_link import WorkerLink

from .pair import SCOPE, Bell, greeting

WINDOW = 65_536
SIZES = st.sampled_from([0, 1, 3, 1_000, 30_000, 65_536])
Word = tuple[str, bytes]
"""What somebody says or hears about a call: of which sort it is, and it."""
BODY_AT = {OPEN: 3, REQUEST_BODY: 2, RESPONSE_BODY: 2, RESPONSE: 4, WS_MESSAGE: 2}
"""Where each kind carries bytes that cost credit."""
SORTS = {RESPONSE: "response", RESPONSE_BODY: "response"}
"""Of words with a body; every other is a piece by itself."""


def joined(words: list[Word]) -> list[Word]:
    """The same with neighbouring pieces of a response's body in one: their borders mean nothing."""
    found: list[Word] = []
    for sort, what in words:
        if sort == "response" and found and found[-1][0] == sort:
            found[-1] = (sort, found[-1][1] + what)
        elif sort != "response" or what:
            found.append((sort, what))
    return found


def begins(heard: list[Word], said: list[Word]) -> bool:
    """Whether what is heard is the beginning of what was said, or all of it."""
    heard, said = joined(heard), joined(said)
    if not heard:
        return True
    last, rest = heard[-1], said[len(heard) - 1 :]
    return (
        heard[:-1] == said[: len(heard) - 1]
        and bool(rest)
        and (
            last == rest[0]
            or (last[0] == rest[0][0] == "response" and rest[0][1].startswith(last[1]))
        )
    )


class Side:
    """One end, its bell, what it wrote that the other has not read, and what it said and heard."""

    def __init__(self, link: LinkMachine, bell: Bell) -> None:
        self.link = link
        self.bell = bell
        self.wire = b""
        self.said: dict[int, list[Word]] = {}
        """Per call: the heads, bodies and events given to the link, in their order."""
        self.heard: dict[int, list[Word]] = {}
        self.untaken: dict[int, int] = {}
        """Per call: bytes that arrived and that the consumer has not taken."""
        self.spent: dict[int, int] = {}
        self.granted: dict[int, int] = {}
        """Per call: credit that the peer has told us of, the initial window left out."""
        self.resets: set[int] = set()
        self.overhead = 0
        """Credit that a piece of a WebSocket message costs beside its bytes."""

    @contextmanager
    def speaking(self) -> Any:
        before, rings = self.link.has_output, self.bell.rings
        yield
        came = self.link.has_output and not before
        assert self.bell.rings - rings == (1 if came else 0)

    def say(self, call: Call, sort: str, what: bytes, costs: int = 0) -> None:
        self.said.setdefault(call.call_id, []).append((sort, what))
        self.spent[call.call_id] = self.spent.get(call.call_id, 0) + costs

    def hear(self, data: bytes) -> list[tuple[Call | None, Message]]:
        rings, before = self.bell.rings, self.link.has_output
        heard = list(self.link.receive(data))
        assert (self.bell.rings == rings) or not before
        for call, message in heard:
            if call is None:
                continue
            call_id = call.call_id
            if message[0] != STARTED:
                assert message[1] == call_id
            if message[0] == CREDIT:
                self.granted[call_id] = self.granted.get(call_id, 0) + message[2]
            words = self.heard.setdefault(call_id, [])
            if message[0] in (RESPONSE_START, RESPONSE):
                words.append(("head", b"%d" % message[2]))  # pyright: ignore
            if message[0] in BODY_AT:
                body = message[BODY_AT[message[0]]]  # pyright: ignore
                words.append((SORTS.get(message[0], "piece"), body))
                cost = len(body) + self.overhead * (message[0] == WS_MESSAGE)
                self.untaken[call_id] = self.untaken.get(call_id, 0) + cost
            elif message[0] == EVENT:
                words.append(("event", message[2]["n"]))  # pyright: ignore
            elif message[0] == RESET:
                self.resets.add(call_id)
        return heard


class Conversation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # Small batches, so that bodies often wait and take turns.
        self.batch, outbox.BATCH = outbox.BATCH, 2_000  # pyright: ignore
        self.most_pieces, response_batch.MOST_PIECES = response_batch.MOST_PIECES, 4  # pyright: ignore
        self.mine: dict[int, Call] = {}
        """The gateway's calls, ended ones too."""
        self.theirs: dict[int, Call] = {}
        self.ends: dict[int, int] = {}
        self.reset_by_gateway: set[int] = set()
        self.held_back: set[int] = set()
        self.uncounted: dict[int, int] = {}
        """Request bodies that were whole in their OPEN: credit for them need not come back."""
        self.count = 0

    @initialize(gateway_counts=st.booleans(), worker_counts=st.booleans())
    def greet(self, gateway_counts: bool, worker_counts: bool) -> None:
        features = {True: FEATURES, False: FEATURES - {COUNTED_MESSAGES}}
        bell = Bell()
        self.gateway = GatewayLink(greeting(features=features[gateway_counts]), bell)
        self.g = Side(self.gateway, bell)
        bell = Bell()
        self.worker = WorkerLink(greeting(features=features[worker_counts]), bell)
        self.w = Side(self.worker, bell)
        self.g.overhead = self.w.overhead = 64 if gateway_counts and worker_counts else 0
        self.gateway.greet()
        self.worker.greet()
        self.deliver_all()

    # -- the wires ---------------------------------------------------------------------------

    def flush(self, side: Side) -> None:
        rings = side.bell.rings
        side.wire += side.link.take_output()
        assert side.bell.rings == rings

    def deliver(self, count: int, to: Side) -> None:
        source = self.w if to is self.g else self.g
        data, source.wire = source.wire[:count], source.wire[count:]
        for call, message in to.hear(data):
            if to is self.w and call is not None:
                if message[0] == OPEN:
                    assert call.call_id not in self.theirs
                    self.theirs[call.call_id] = call
                assert self.theirs[call.call_id] is call
            elif call is not None:
                assert self.mine[call.call_id] is call
                ended = message[0] == END or (
                    message[0] in (RESPONSE, RESPONSE_BODY) and message[-1] is True
                )
                self.ends[call.call_id] = self.ends.get(call.call_id, 0) + ended

    def deliver_all(self) -> None:
        while self.gateway.has_output or self.worker.has_output or self.g.wire or self.w.wire:
            for source, target in ((self.g, self.w), (self.w, self.g)):
                self.flush(source)
                self.deliver(len(source.wire), target)

    @rule(of_gateway=st.booleans())
    def write(self, of_gateway: bool) -> None:
        self.flush(self.g if of_gateway else self.w)

    @rule(to_gateway=st.booleans(), count=st.integers(1, 200) | st.integers(1, 300_000))
    def read(self, to_gateway: bool, count: int) -> None:
        self.deliver(count, self.g if to_gateway else self.w)

    # -- what either side says ---------------------------------------------------------------

    def pick(self, data: st.DataObject, calls: dict[int, Call], lawful: Callable[[Call], bool]):
        choice = [call for call in calls.values() if lawful(call)]
        return data.draw(st.sampled_from(choice)) if choice else None

    def may(self, move: int) -> Callable[[Call], bool]:
        """The gateway may make the move."""
        return lambda call: call.response != "ended" and move in REQUEST_TABLE[call.request]

    def can(self, move: int) -> Callable[[Call], bool]:
        """The worker may make the move."""
        return lambda call: move in RESPONSE_TABLE[call.response]

    def body(self, call: Call, size: int) -> bytes:
        self.count += 1
        size = max(0, min(size, call.send_credit))
        return (b"%d:%d;" % (call.call_id, self.count) * (size // 4 + 1))[:size]

    @rule(more=st.booleans(), flags=st.sampled_from([0, CONFIRM_START, HOLD_BODY]), size=SIZES)
    @precondition(lambda self: len(self.gateway.calls) < 5)
    def open(self, more: bool, flags: int, size: int) -> None:
        call = Call()
        call.send_credit = WINDOW
        body = b"" if flags & HOLD_BODY else self.body(call, size)
        with self.g.speaking():
            self.gateway.open(call, SCOPE, body, more, flags)
        self.mine[call.call_id] = call
        if flags & HOLD_BODY:
            self.held_back.add(call.call_id)
        if not more:
            self.uncounted[call.call_id] = len(body)
        self.g.say(call, "piece", body, len(body))

    @rule(data=st.data(), size=SIZES, last=st.booleans())
    def request_body(self, data: st.DataObject, size: int, last: bool) -> None:
        call = self.pick(data, self.gateway.calls, self.may(REQUEST_BODY))
        if call is not None:
            body = self.body(call, size)
            with self.g.speaking():
                self.gateway.send_body(call, body, not last)
            self.g.say(call, "piece", body, len(body))

    @rule(data=st.data())
    def start_response(self, data: st.DataObject) -> None:
        call = self.pick(data, self.worker.calls, self.can(RESPONSE_START))
        if call is not None:
            with self.w.speaking():
                self.worker.start_response(call, 200, ((b"a", b"b"),))
            self.w.say(call, "head", b"200")

    @rule(data=st.data(), size=SIZES, last=st.booleans(), ends=st.booleans())
    def response_body(self, data: st.DataObject, size: int, last: bool, ends: bool) -> None:
        call = self.pick(data, self.worker.calls, self.can(RESPONSE_BODY))
        if call is not None:
            body = self.body(call, size)
            with self.w.speaking():
                self.worker.send_body(call, body, not last)
            self.w.say(call, "response", body, len(body))
            if last and ends:
                with self.w.speaking():
                    self.worker.end(call)

    @rule(data=st.data(), size=SIZES, ends=st.booleans())
    def respond(self, data: st.DataObject, size: int, ends: bool) -> None:
        call = self.pick(data, self.worker.calls, self.can(RESPONSE | LAST))
        if call is not None:
            body = self.body(call, size)
            with self.w.speaking():
                self.worker.respond(call, 201, (), body)
            self.w.say(call, "head", b"201")
            self.w.say(call, "response", body, len(body))
            if ends:
                with self.w.speaking():
                    self.worker.end(call)

    @rule(data=st.data())
    def started(self, data: st.DataObject) -> None:
        call = self.pick(data, self.worker.calls, self.can(STARTED))
        if call is not None:
            with self.w.speaking():
                self.worker.started([call])

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        call = self.pick(data, self.worker.calls, self.can(END))
        if call is not None:
            with self.w.speaking():
                self.worker.end(call)

    @rule(data=st.data(), by_gateway=st.booleans())
    def event(self, data: st.DataObject, by_gateway: bool) -> None:
        side, calls = (self.g, self.gateway.calls) if by_gateway else (self.w, self.worker.calls)
        call = self.pick(data, calls, (self.may if by_gateway else self.can)(EVENT))
        if call is not None:
            self.count += 1
            number = b"event %d" % self.count
            with side.speaking():
                side.link.event(call, {"type": "x", "n": number})
            side.say(call, "event", number)

    @rule(data=st.data(), by_gateway=st.booleans(), size=SIZES)
    def ws_message(self, data: st.DataObject, by_gateway: bool, size: int) -> None:
        side, calls = (self.g, self.gateway.calls) if by_gateway else (self.w, self.worker.calls)
        may = (self.may if by_gateway else self.can)(WS_MESSAGE)
        least = max(1, side.overhead)
        call = self.pick(data, calls, lambda call: call.send_credit >= least and may(call))
        if call is not None:
            most = min(call.send_credit - side.overhead, MAX_BODY)
            body = (b"%d " % call.call_id * (size // 2 + 1))[: min(size, most)]
            with side.speaking():
                side.link.send_ws_message(call, body, size % 2 == 0)
            side.say(call, "piece", body, len(body) + side.overhead)

    @rule(data=st.data(), by_gateway=st.booleans())
    def reset(self, data: st.DataObject, by_gateway: bool) -> None:
        side, calls = (self.g, self.gateway.calls) if by_gateway else (self.w, self.worker.calls)
        call = self.pick(data, calls, (self.may if by_gateway else self.can)(RESET))
        if call is not None:
            with side.speaking():
                side.link.reset(call, 1, "")
            if by_gateway:
                self.reset_by_gateway.add(call.call_id)

    @rule(
        data=st.data(), of_gateway=st.booleans(), count=st.integers(1, 200_000), waits=st.booleans()
    )
    def take(self, data: st.DataObject, of_gateway: bool, count: int, waits: bool) -> None:
        side, calls = (self.g, self.mine) if of_gateway else (self.w, self.theirs)
        call = self.pick(data, calls, lambda call: True)
        if call is not None:
            count = min(count, side.untaken.get(call.call_id, 0))
            with side.speaking():
                side.link.taken(call, count)
            side.untaken[call.call_id] = side.untaken.get(call.call_id, 0) - count
            if waits:
                with side.speaking():
                    side.link.wanted(call)

    @rule(by_gateway=st.booleans())
    def ping(self, by_gateway: bool) -> None:
        side = self.g if by_gateway else self.w
        with side.speaking():
            side.link.ping(1)

    # -- what is always true -----------------------------------------------------------------

    @invariant()
    def credit_is_neither_lost_nor_made(self) -> None:
        for side, calls in ((self.g, self.gateway.calls), (self.w, self.worker.calls)):
            for call_id, call in calls.items():
                held = side is self.g and call_id in self.held_back
                allowed = (0 if held else WINDOW) + side.granted.get(call_id, 0)
                if call_id not in self.reset_by_gateway:  # else credit is no longer told
                    assert call.send_credit == allowed - side.spent.get(call_id, 0)

    @invariant()
    def what_is_heard_is_what_was_said(self) -> None:
        for speaker, hearer in ((self.g, self.w), (self.w, self.g)):
            for call_id, heard in hearer.heard.items():
                assert begins(heard, speaker.said.get(call_id, []))

    @invariant()
    def no_call_ends_twice(self) -> None:
        assert all(times <= 1 for times in self.ends.values())

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            outbox.BATCH = self.batch  # pyright: ignore
            response_batch.MOST_PIECES = self.most_pieces  # pyright: ignore

    def come_to_rest(self) -> None:
        """Everything arrives, everything is taken, every call ends: nothing is left over."""
        self.deliver_all()
        for side, calls in ((self.g, self.mine), (self.w, self.theirs)):
            for call in calls.values():
                side.link.taken(call, side.untaken.get(call.call_id, 0))
                side.link.settle(call)
        self.deliver_all()
        for call_id, call in self.gateway.calls.items():
            # An account that never was opened by a first body grants nothing.
            if "reset" not in (call.request, self.theirs[call_id].request):
                window = self.theirs[call_id].receive_window
                if window is not None and CREDIT in RESPONSE_TABLE[call.response]:
                    assert 0 <= WINDOW - call.send_credit <= self.uncounted.get(call_id, 0)
        for call in list(self.worker.calls.values()):
            self.worker.end(call)
        self.deliver_all()
        assert self.ends == dict.fromkeys(self.mine, 1)
        assert not self.gateway.calls
        assert not self.worker.calls
        for call_id in self.mine:
            if call_id not in self.reset_by_gateway | self.g.resets:
                heard, said = self.g.heard.get(call_id, []), self.w.said.get(call_id, [])
                assert joined(heard) == joined(said)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


@pytest.mark.slow
class TestConversationsAtLength(Conversation.TestCase):
    settings = settings(max_examples=600, stateful_step_count=60, deadline=None)
