"""The vectors that belong to SPEC.md, walked in both directions and cut at every byte."""

import json
import re
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from propylon import protocol
from propylon.protocol.calls import Call
from propylon.protocol.codec import Decoder, encode
from propylon.protocol.errors import RemoteProtocolError
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import KIND_NAMES, OPEN
from propylon.protocol.worker_link import WorkerLink

HERE = Path(protocol.__file__).parent
VECTORS = json.loads((HERE / "vectors.json").read_text("utf-8"))


def from_json(value: Any) -> Any:
    match value:
        case {"hex": str(digits)} if len(value) == 1:
            return bytes.fromhex(digits)
        case dict():
            return {key: from_json(inner) for key, inner in value.items()}
        case list():
            return tuple(from_json(inner) for inner in value)
    return value


MESSAGES = [
    pytest.param(bytes.fromhex(row["hex"]), from_json(row["message"]), id=row["name"])
    for row in VECTORS["messages"]
]
REFUSED = [pytest.param(bytes.fromhex(row["hex"]), id=row["name"]) for row in VECTORS["refused"]]


@pytest.mark.parametrize(("data", "message"), MESSAGES)
def test_both_directions(data: bytes, message: Any) -> None:
    assert encode(message) == data
    assert list(Decoder().feed(data)) == [message]


@pytest.mark.parametrize(("data", "message"), MESSAGES)
def test_cut_at_every_byte(data: bytes, message: Any) -> None:
    for cut in range(len(data) + 1):
        decoder = Decoder()
        early = list(decoder.feed(data[:cut]))
        assert early == ([message] if cut == len(data) else [])
        # What comes behind the message on the wire is not lost with the cut.
        assert early + list(decoder.feed(data[cut:] + data)) == [message, message]


@pytest.mark.parametrize("data", REFUSED)
def test_refused_whole_and_byte_by_byte(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(Decoder().feed(data))
    decoder = Decoder()
    with pytest.raises(RemoteProtocolError):
        deque((list(decoder.feed(bytes([byte]))) for byte in data), maxlen=0)


@pytest.mark.parametrize("data", REFUSED)
@pytest.mark.parametrize("end", [GatewayLink, WorkerLink])
def test_refused_by_both_ends(end: type[GatewayLink | WorkerLink], data: bytes) -> None:
    link = end(Greeting(who={}), lambda: None)
    list(link.receive(encode(Greeting(who={}).message())))
    with pytest.raises(RemoteProtocolError) as caught:
        list(link.receive(data))
    assert caught.value.code == 1


def test_every_kind_has_a_vector() -> None:
    assert {row["message"][0] for row in VECTORS["messages"]} == set(KIND_NAMES)


def test_the_specification_numbers_every_kind() -> None:
    section = (HERE / "SPEC.md").read_text("utf-8").split("\n## 5. ")[1].split("\n### ")[0]
    table = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", section, re.M)
    assert {int(number): name for number, name in table} == KIND_NAMES


def test_the_specification_s_example_is_a_conversation() -> None:
    """SPEC.md, section 11, said by two links to each other."""
    text = (HERE / "SPEC.md").read_text("utf-8")
    lines = re.findall(r"^(gateway|worker) +([A-Z]+) +([0-9a-f]+)$", text, re.M)
    assert len(lines) == 7
    gateway = GatewayLink(Greeting(who={"gateway": 1, "pid": 70}), lambda: None)
    who = {"pool": "default", "worker": "w1", "pid": 71, "generation": 1, "interface": "asgi"}
    worker = WorkerLink(Greeting(who=who), lambda: None)
    gateway.greet()
    worker.greet()
    for side, name, digits in lines:
        data = bytes.fromhex(digits)
        speaker, hearer = (gateway, worker) if side == "gateway" else (worker, gateway)
        (message,) = Decoder().feed(data)
        assert KIND_NAMES[message[0]] == name
        match name:
            case "READY":
                worker.ready({"app": "app:app"})
            case "SLOTS":
                worker.slots(100)
            case "OPEN":
                assert message[0] == OPEN
                gateway.open(Call(), message[2], message[3], message[4], message[5])
            case "STARTED":
                worker.started(worker.calls.values())
            case "RESPONSE":
                call = worker.calls[1]
                worker.respond(call, 200, ((b"content-type", b"text/plain"),), b"ok")
                worker.end(call)
        assert speaker.take_output() == data
        assert [heard for _, heard in hearer.receive(data)] == [message]
    assert not gateway.calls
    assert not worker.calls
