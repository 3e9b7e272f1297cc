"""Version N against N-1 and N+1, features, limits, and keys that nobody knows."""

import math

import pytest
from propylon.protocol.calls import Call
from propylon.protocol.errors import LocalProtocolError, RemoteProtocolError
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting, negotiate
from propylon.protocol.messages import BYE_VERSION, MAX_MESSAGE, WINDOW
from propylon.protocol.worker_link import WorkerLink

from .pair import SCOPE, Bell, exchange, greeting, hear

VERSIONS = [
    # one side's lowest and highest, the other's, what is spoken
    ((1, 1), (1, 1), 1),
    ((1, 2), (1, 1), 1),
    ((1, 2), (1, 2), 2),
    ((1, 2), (2, 3), 2),
    ((2, 3), (1, 2), 2),
    ((1, 9), (4, 5), 5),
    ((2, 2), (1, 1), None),
    ((3, 4), (1, 2), None),
    ((1, 1), (2, 1), None),
]


@pytest.mark.parametrize(("ours", "theirs", "spoken"), VERSIONS)
def test_the_highest_common_version(
    ours: tuple[int, int], theirs: tuple[int, int], spoken: int | None
) -> None:
    for one, other in ((ours, theirs), (theirs, ours)):
        gateway = GatewayLink(greeting(version_low=one[0], version_high=one[1]), Bell())
        worker = WorkerLink(greeting(version_low=other[0], version_high=other[1]), Bell())
        gateway.greet()
        worker.greet()
        if spoken is None:
            for hearer, speaker in ((gateway, worker), (worker, gateway)):
                with pytest.raises(RemoteProtocolError) as caught:
                    list(hearer.receive(speaker.take_output()))
                assert caught.value.code == BYE_VERSION
        else:
            exchange(gateway, worker)
            assert gateway.version == worker.version == spoken
            assert gateway.state == worker.state == "open"


def test_features_are_the_intersection() -> None:
    gateway = GatewayLink(greeting(features=frozenset({"fd", "zip"})), Bell())
    worker = WorkerLink(greeting(features=frozenset({"zip", "tomorrow"})), Bell())
    gateway.greet()
    worker.greet()
    exchange(gateway, worker)
    assert gateway.features == worker.features == {"zip"}
    assert negotiate(gateway.ours, worker.ours)[1] == {"zip"}


def test_unknown_keys_are_ignored() -> None:
    worker = WorkerLink(greeting(), Bell())
    limits = {"streams": 7, "request_timeout": 2.5}
    future = (0, "propylon", 1, 7, ("x",), limits, {"gateway": 1, "colour": "green"})
    assert hear(worker, future) == [future]
    assert worker.state == "open"
    assert worker.theirs == Greeting(
        who={"gateway": 1, "colour": "green"},
        features=frozenset({"x"}),
        version_high=7,
        max_message=MAX_MESSAGE,
        window=WINDOW,
        request_timeout=2.5,
        extra={"streams": 7},
    )


REFUSED = {
    "magic": (0, "propylom", 1, 1, (), {}, {}),
    "feature": (0, "propylon", 1, 1, (1,), {}, {}),
    "feature in bytes": (0, "propylon", 1, 1, (b"fd",), {}, {}),
    "feature of arrays": (0, "propylon", 1, 1, ((),), {}, {}),
    "window too small": (0, "propylon", 1, 1, (), {"window": 65_535}, {}),
    "window too large": (0, "propylon", 1, 1, (), {"window": 2**31}, {}),
    "window a string": (0, "propylon", 1, 1, (), {"window": "65536"}, {}),
    "request_timeout below 0": (0, "propylon", 1, 1, (), {"request_timeout": -1}, {}),
    "request_timeout no number": (0, "propylon", 1, 1, (), {"request_timeout": math.nan}, {}),
    "request_timeout a string": (0, "propylon", 1, 1, (), {"request_timeout": "60"}, {}),
    "window a boolean": (0, "propylon", 1, 1, (), {"window": True}, {}),
    "window nil": (0, "propylon", 1, 1, (), {"window": None}, {}),
    "messages too small": (0, "propylon", 1, 1, (), {"max_message": 131_071}, {}),
    "messages too large": (0, "propylon", 1, 1, (), {"max_message": 2**40}, {}),
}


@pytest.mark.parametrize("hello", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("end", [GatewayLink, WorkerLink])
def test_refused(end: type[GatewayLink | WorkerLink], hello: object) -> None:
    link = end(greeting(), Bell())
    with pytest.raises(RemoteProtocolError):
        hear(link, hello)  # pyright: ignore[reportArgumentType]
    assert link.state == "greeting"


def test_each_side_keeps_to_the_other_s_limits() -> None:
    gateway = GatewayLink(greeting(max_message=131_072, window=70_000), Bell())
    worker = WorkerLink(greeting(max_message=500_000, window=80_000), Bell())
    gateway.greet()
    worker.greet()
    exchange(gateway, worker)
    call = Call()
    gateway.open(call, SCOPE, b"abc", True, 0)
    exchange(gateway, worker)
    assert call.send_credit == 80_000 - 3
    assert worker.calls[1].send_credit == 70_000
    gateway.event(call, {"type": "x", "data": bytes(400_000)})
    exchange(gateway, worker)
    with pytest.raises(LocalProtocolError):
        worker.event(worker.calls[1], {"type": "x", "data": bytes(131_072)})


def test_nothing_is_opened_before_hello() -> None:
    gateway = GatewayLink(greeting(), Bell())
    with pytest.raises(LocalProtocolError):
        gateway.open(Call(), SCOPE, b"", False, 0)
    assert not gateway.has_output
