"""What a stop says that it waits for."""

import pytest
from propylon.gateway.supervisor.fleet.events import ReplicaId
from propylon.gateway.supervisor.fleet.replica import FleetContext, FleetSettings, Process, Replica
from propylon.gateway.supervisor.fleet.shutdown_waits import HOW_TO_STOP_NOW, waits_for
from propylon.protocol.supervision.messages import StopWaits, Vitals, WaitingCalls


def process(number: int, replica_id: ReplicaId, pid: int) -> Process:
    context = FleetContext(FleetSettings(), number)
    known = Process(Replica(replica_id, context, proven=True), number, 1, "serving", 0.0)
    known.spawned(pid)
    return known


GATEWAYS = [process(number, ReplicaId("gateway", number), number + 100) for number in (1, 2)]
WORKERS = [process(number, ReplicaId("worker", number, "web"), number + 100) for number in (3, 4)]
CALLS = {
    "web": (
        WaitingCalls(3, requests=1, responses=2, websockets=1),
        WaitingCalls(None, requests=4),
    ),
    "idle": (),
}
AGAIN = {"web": (WaitingCalls(3, requests=1),)}


@pytest.mark.parametrize(
    ("children", "said", "vitals", "sentence"),
    [
        ([], {}, {}, ""),
        (
            GATEWAYS + WORKERS,
            {1: StopWaits(9, CALLS), 2: StopWaits(1, AGAIN)},
            {3: Vitals(calls=7)},
            "2 requests, 2 responses and 1 WebSocket of pool web (worker 3); "
            "4 requests of pool web (the queue)",
        ),
        (GATEWAYS, {1: StopWaits(1, {"web": ()})}, {}, "1 connection"),
        (WORKERS, {}, {3: Vitals(calls=1)}, "1 call of worker 3 (pid 103) of pool web"),
        (
            GATEWAYS[:1] + WORKERS[:1],
            {},
            {},
            "gateway 1 (pid 101) to end; worker 3 (pid 103) of pool web to end",
        ),
    ],
)
def test_sentence(
    children: list[Process], said: dict[int, StopWaits], vitals: dict[int, Vitals], sentence: str
) -> None:
    full = f"Stopping waits for {sentence}; {HOW_TO_STOP_NOW}" if sentence else ""
    assert waits_for(children, said, vitals, None) == full


def test_how_long_and_not_everybody() -> None:
    many = [process(n, ReplicaId("worker", n, "web"), n) for n in range(1, 12)]
    text = waits_for(many, {}, {}, 12.0)
    assert text.endswith(f"; 3 more, for 12 s at most; {HOW_TO_STOP_NOW}")
    assert text.count("to end") == 8
