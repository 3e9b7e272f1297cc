"""The tables of a call: what the code has is what SPEC.md says, and every pair of state and move
has its defined answer on both ends."""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from propylon import protocol
from propylon.protocol.calls import ENDS, LAST, REQUEST_TABLE, RESPONSE_TABLE, Call, Table
from propylon.protocol.errors import LocalProtocolError, RemoteProtocolError
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.link import LinkMachine
from propylon.protocol.messages import (
    BYE,
    CREDIT,
    DRAIN,
    END,
    EVENT,
    FILE,
    HELLO,
    KIND_NAMES,
    NOT_READY,
    OPEN,
    PING,
    PONG,
    READY,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_FILE,
    RESPONSE_START,
    SLOTS,
    STARTED,
    WS_MESSAGE,
    Message,
)
from propylon.protocol.worker_link import WorkerLink

from .pair import SCOPE, Bell, exchange, greeting, hear, opened, output, pair

MESSAGES: dict[int, Message] = {
    STARTED: (STARTED, (1,)),
    EVENT: (EVENT, 1, {"type": "x"}),
    REQUEST_BODY: (REQUEST_BODY, 1, b"x", True),
    REQUEST_BODY | LAST: (REQUEST_BODY, 1, b"x", False),
    RESPONSE_START: (RESPONSE_START, 1, 200, ()),
    RESPONSE_BODY: (RESPONSE_BODY, 1, b"x", True, False),
    RESPONSE_BODY | LAST: (RESPONSE_BODY, 1, b"x", False, False),
    RESPONSE_BODY | LAST | ENDS: (RESPONSE_BODY, 1, b"x", False, True),
    RESPONSE_BODY | ENDS: (RESPONSE_BODY, 1, b"x", True, True),
    RESPONSE | LAST: (RESPONSE, 1, 200, (), b"x", False),
    RESPONSE | LAST | ENDS: (RESPONSE, 1, 200, (), b"x", True),
    WS_MESSAGE: (WS_MESSAGE, 1, b"x", False),
    CREDIT: (CREDIT, 1, 1),
    RESET: (RESET, 1, 3, ""),
    END: (END, 1),
    FILE | LAST: (FILE, 1, 1, 0, 9, False),
    FILE | LAST | ENDS: (FILE, 1, 1, 0, 9, True),
    RESPONSE_FILE | LAST: (RESPONSE_FILE, 1, 200, (), 1, 0, 9, False),
    RESPONSE_FILE | LAST | ENDS: (RESPONSE_FILE, 1, 200, (), 1, 0, 9, True),
}
"""Every move about a call, as the message that makes it."""


# -- the specification -----------------------------------------------------------------------


def spec_table(heading: str) -> Table:
    """A table of SPEC.md, section 6, read as the code has it."""
    text = (Path(protocol.__file__).parent / "SPEC.md").read_text("utf-8")
    rows = re.findall(
        r"^\| (.+) \| (.+) \| (.*) \|$",
        text.split(f"**{heading}")[1].split("\n\n")[1],
        re.M,
    )[1:]
    named = {state for row in rows for state in (*row[0].split(", "), row[2])}
    states = {state for state in named if state.isalpha()}
    table: Table = {state: {} for state in states}
    for where, what, after in rows:
        moves: list[int] = []
        for word in re.findall(r"\w+", what):
            if word in ("last", "ended"):
                moves[-1] |= LAST if word == "last" else ENDS
            else:
                number = {name: kind for kind, name in KIND_NAMES.items()}[word]
                moves.append(number | LAST if number in (RESPONSE, FILE, RESPONSE_FILE) else number)
        befores = states - {"ended"} if where == "every state but ended" else where.split(", ")
        for before, move in product(befores, moves):
            table[before][move] = before if after == "as it was" else after
    return table


def test_the_code_s_tables_are_the_specification_s() -> None:
    assert spec_table("Request half") == REQUEST_TABLE
    assert spec_table("Response half") == RESPONSE_TABLE


# -- hearing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("move", MESSAGES)
@pytest.mark.parametrize("state", REQUEST_TABLE)
def test_a_worker_hears_every_move_in_every_state(state: str, move: int) -> None:
    _, _, worker, call = opened(more=True)
    call.request = state
    after = REQUEST_TABLE[state].get(move)
    if after is None:
        with pytest.raises(RemoteProtocolError):
            hear(worker, MESSAGES[move])
    else:
        assert hear(worker, MESSAGES[move]) == [MESSAGES[move]]
        assert call.request == after


@pytest.mark.parametrize("move", MESSAGES)
@pytest.mark.parametrize("state", [state for state in RESPONSE_TABLE if state != "ended"])
@pytest.mark.parametrize("request_state", REQUEST_TABLE)
def test_a_gateway_hears_every_move_in_every_state(
    request_state: str, state: str, move: int
) -> None:
    gateway, call, _, _ = opened(more=True)
    call.request, call.response = request_state, state
    after = RESPONSE_TABLE[state].get(move)
    if after is None:
        with pytest.raises(RemoteProtocolError):
            hear(gateway, MESSAGES[move])
        return
    heard = hear(gateway, MESSAGES[move])
    assert call.response == after
    assert (1 in gateway.calls) == (after != "ended")
    if request_state != "reset" or MESSAGES[move][0] in (FILE, RESPONSE_FILE):
        assert heard == [MESSAGES[move]]  # the descriptor of a file has to be closed
    else:  # it was on its way: only the end is told
        assert heard == ([(END, 1)] if after == "ended" else [])


@pytest.mark.parametrize("move", MESSAGES)
def test_after_its_end_a_call_is_forgotten_by_the_worker_only(move: int) -> None:
    gateway, _, worker, call = opened(more=True)
    worker.end(call)
    if move in {move for row in REQUEST_TABLE.values() for move in row}:
        assert hear(worker, MESSAGES[move]) == []
    list(gateway.receive(worker.take_output()))
    with pytest.raises(RemoteProtocolError):
        hear(gateway, MESSAGES[move])


@pytest.mark.parametrize("move", MESSAGES)
@pytest.mark.parametrize("end", [0, 1])
def test_a_call_that_was_never_opened(end: int, move: int) -> None:
    link = pair()[end]
    with pytest.raises(RemoteProtocolError):
        hear(link, MESSAGES[move])
    assert not link.calls


@pytest.mark.parametrize("call_id", [1, 0, -1])
def test_ids_only_rise(call_id: int) -> None:
    _, _, worker, call = opened()
    worker.end(call)
    with pytest.raises(RemoteProtocolError):
        hear(worker, (OPEN, call_id, SCOPE, b"", False, 0))


# -- saying ----------------------------------------------------------------------------------

GATEWAY_SAYS: dict[int, Callable[[GatewayLink, Call], None]] = {
    REQUEST_BODY: lambda link, call: link.send_body(call, b"x", True),
    REQUEST_BODY | LAST: lambda link, call: link.send_body(call, b"x", False),
    EVENT: lambda link, call: link.event(call, {"type": "x"}),
    WS_MESSAGE: lambda link, call: link.send_ws_message(call, b"x", False),
    RESET: lambda link, call: link.reset(call, 3, ""),
}
WORKER_SAYS: dict[int, Callable[[WorkerLink, Call], None]] = {
    STARTED: lambda link, call: link.started([call]),
    EVENT: lambda link, call: link.event(call, {"type": "x"}),
    WS_MESSAGE: lambda link, call: link.send_ws_message(call, b"x", False),
    RESPONSE_START: lambda link, call: link.start_response(call, 200, ()),
    RESPONSE_BODY: lambda link, call: link.send_body(call, b"x", True),
    RESPONSE_BODY | LAST: lambda link, call: link.send_body(call, b"x", False),
    RESPONSE | LAST: lambda link, call: link.respond(call, 200, (), b"x"),
    RESET: lambda link, call: link.reset(call, 3, ""),
    END: lambda link, call: link.end(call),
}


@pytest.mark.parametrize("move", GATEWAY_SAYS)
@pytest.mark.parametrize("state", REQUEST_TABLE)
@pytest.mark.parametrize("ended", [False, True])
def test_a_gateway_makes_every_move_in_every_state(ended: bool, state: str, move: int) -> None:
    gateway, call, _, _ = opened(more=True)
    call.request = state
    if ended:
        call.response = "ended"
    after = REQUEST_TABLE[state].get(move)
    if after is None or ended:
        with pytest.raises(LocalProtocolError):
            GATEWAY_SAYS[move](gateway, call)
        assert call.request == state
        assert output(gateway) == []
    else:
        GATEWAY_SAYS[move](gateway, call)
        assert call.request == after
        assert output(gateway) == [MESSAGES[move]]


@pytest.mark.parametrize("move", WORKER_SAYS)
@pytest.mark.parametrize("state", RESPONSE_TABLE)
def test_a_worker_makes_every_move_in_every_state(state: str, move: int) -> None:
    _, _, worker, call = opened()
    call.response = state
    after = RESPONSE_TABLE[state].get(move)
    if after is None:
        with pytest.raises(LocalProtocolError):
            WORKER_SAYS[move](worker, call)
        assert call.response == state
        assert output(worker) == []
    else:
        WORKER_SAYS[move](worker, call)
        assert call.response == after
        assert output(worker) == [MESSAGES[move]]


@pytest.mark.parametrize("state", REQUEST_TABLE)
def test_a_gateway_grants_only_where_credit_is_lawful(state: str) -> None:
    gateway, call, worker, worker_call = opened(more=True)
    worker.start_response(worker_call, 200, ())
    worker.send_body(worker_call, bytes(40_000), True)
    list(gateway.receive(worker.take_output()))
    call.request = state
    gateway.taken(call, 40_000)
    lawful = CREDIT in REQUEST_TABLE[state]
    assert output(gateway) == ([(CREDIT, 1, 40_000)] if lawful else [])


@pytest.mark.parametrize("state", RESPONSE_TABLE)
def test_a_worker_grants_only_where_credit_is_lawful(state: str) -> None:
    gateway, call, worker, worker_call = opened(more=True)
    gateway.send_body(call, bytes(40_000), True)
    list(worker.receive(gateway.take_output()))
    worker_call.response = state
    worker.taken(worker_call, 40_000)
    lawful = CREDIT in RESPONSE_TABLE[state]
    assert output(worker) == ([(CREDIT, 1, 40_000)] if lawful else [])


# -- the link's own messages -----------------------------------------------------------------

LINK_MESSAGES: dict[int, Message] = {
    HELLO: greeting().message(),
    READY: (READY, {}),
    NOT_READY: (NOT_READY, "import", "", ""),
    SLOTS: (SLOTS, 1),
    PING: (PING, 1),
    PONG: (PONG, 1, {}),
    DRAIN: (DRAIN, ""),
    BYE: (BYE, 0, ""),
}
LAWFUL: dict[tuple[type[LinkMachine], str], set[int]] = {
    (GatewayLink, "greeting"): {HELLO, BYE},
    (GatewayLink, "open"): {READY, NOT_READY, SLOTS, PING, PONG, DRAIN, BYE},
    (WorkerLink, "greeting"): {HELLO, BYE},
    (WorkerLink, "open"): {PING, PONG, DRAIN, BYE},
}


@pytest.mark.parametrize("kind", [*LINK_MESSAGES, OPEN, *{move & 31 for move in MESSAGES}])
@pytest.mark.parametrize(("end", "state"), LAWFUL)
def test_every_message_in_every_state_of_the_link(
    end: type[GatewayLink | WorkerLink], state: str, kind: int
) -> None:
    link = end(greeting(), Bell())
    if state == "open":
        hear(link, greeting().message())
    message: Message = (
        LINK_MESSAGES.get(kind)
        or MESSAGES.get(kind)
        or MESSAGES.get(kind | LAST)
        or (OPEN, 1, SCOPE, b"", False, 0)
    )
    lawful = LAWFUL[end, state] | ({OPEN} if (end, state) == (WorkerLink, "open") else set())
    if kind in lawful:
        assert hear(link, message) == [message]
        after = {HELLO: "open", BYE: "closed"}.get(kind, state)
        assert link.state == after
    else:
        with pytest.raises(RemoteProtocolError):
            hear(link, message)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_nothing_is_heard_behind_the_end(end: int, whose: str) -> None:
    gateway, call, worker, _ = opened(more=True)
    link: LinkMachine = (gateway, worker)[end]
    if whose == "ours":
        link.bye(0, "")
        rest = b""
    else:
        rest = b"\x93\x13\x00\xa0"
    everything = [*MESSAGES.values(), *LINK_MESSAGES.values()]
    heard = list(link.receive(rest))
    assert [message for _, message in heard] == ([(BYE, 0, "")] if rest else [])
    for message in everything:
        assert hear(link, message) == []
    assert list(link.receive(b"\xc1 neither messages nor lawful")) == []
    assert call.response == "opened"
    # Nor in the same batch.
    gateway, _, worker, _ = opened(more=True)
    assert hear((gateway, worker)[end], (BYE, 1, "x"), *everything) == [(BYE, 1, "x")]


def test_slots_are_no_negative_number() -> None:
    gateway, _ = pair()
    with pytest.raises(RemoteProtocolError):
        hear(gateway, (SLOTS, -1))


@pytest.mark.parametrize("ids", [(1.5,), ("1",), ((1,),), (True,), (None,), (1, 1), (2,)])
def test_started_carries_ids_of_open_calls_once(ids: tuple[object, ...]) -> None:
    gateway, _, _, _ = opened()
    with pytest.raises(RemoteProtocolError):
        hear(gateway, (STARTED, ids))  # pyright: ignore[reportArgumentType]


# -- a request that never ends ---------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False])
def test_a_call_ends_though_its_request_does_not(at_once: bool) -> None:
    """The gateway may stop to send the body of a request that was answered, or be about to send
    more of it: both sides forget the call."""
    gateway, call, worker, answering = opened(more=True)
    gateway.send_body(call, b"sent before it knew", True)
    crossing = gateway.take_output()
    worker.respond(answering, 200, (), b"done")
    if not at_once:
        exchange(gateway, worker)
        assert (call.request, call.response) == ("body", "complete")
    worker.end(answering)
    exchange(gateway, worker)
    assert (call.request, call.response) == ("body", "ended")
    assert not gateway.calls
    assert not worker.calls
    assert list(worker.receive(crossing)) == []
    assert not worker.has_output
    assert not gateway.has_output
