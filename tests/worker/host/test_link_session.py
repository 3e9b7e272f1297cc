"""A session and its host: whose calls are ended, and whose are left to their work."""

import socket
from collections.abc import Iterator

import pytest
from propylon.protocol.calls import Call
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import CLIENT_GONE, SHUTDOWN, TIMED_OUT, Open, Scope
from propylon.worker.host.link_session import LOST, HostedCall, LinkSession

from ..gateway_peer import scope


class IdleCall(HostedCall):
    """Its app does nothing by itself."""

    def opened(self, message: Open) -> None: ...

    def body_arrived(self, body: bytes, more: bool) -> None: ...

    def wake(self) -> None: ...


class RecordingHost:
    """A session's owner that runs nothing and notes what it is asked for."""

    def __init__(self) -> None:
        self.greeting = Greeting(who={})
        self.about: dict[str, object] = {}
        self.started: list[HostedCall] = []
        self.to_be_ended: list[int] = []

    def new_call(self, session: LinkSession, scope: Scope) -> HostedCall:
        return IdleCall(session)

    def start(self, call: HostedCall) -> None:
        self.started.append(call)

    def abandoned(self, call: HostedCall, code: int) -> None:
        self.to_be_ended.append(code)

    def schedule_flush(self, session: LinkSession) -> None: ...

    def watch_writable(self, session: LinkSession) -> None: ...

    def closing(self, session: LinkSession) -> None: ...

    def left(self, call: HostedCall) -> None: ...

    def slots_for(self, session: LinkSession) -> int:
        return 1

    def vitals(self) -> dict[str, object]:
        return {}


class Pair:
    """A session with one call in its app, and the gateway at the other end."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        for end in (ours, self.sock):
            end.setblocking(False)
        self.host = RecordingHost()
        self.gateway = GatewayLink(Greeting(who={}), lambda: None)
        self.session = LinkSession(ours, "", self.host)
        self.session.flush()
        self.gateway.greet()
        self.carry()
        assert self.gateway.state == "open"
        self.call = Call()
        self.gateway.open(self.call, scope(), b"", False, 0)
        self.carry()
        (self.hosted,) = self.host.started

    def carry(self) -> None:
        if data := self.gateway.take_output():
            self.sock.sendall(data)
            self.session.readable()
        self.session.flush()
        try:
            list(self.gateway.receive(self.sock.recv(65_536)))
        except BlockingIOError:
            pass

    def end(self, code: int) -> None:
        """Ends it as the gateway does, by a RESET, or by going away."""
        if code == LOST:
            self.sock.close()
        else:
            self.gateway.reset(self.call, code, "")
            self.sock.sendall(self.gateway.take_output())
        self.session.readable()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.sock.close()
    pair.session.close()


@pytest.mark.parametrize("code", [CLIENT_GONE, LOST, TIMED_OUT, SHUTDOWN])
def test_an_app_that_still_answers_is_ended(pair: Pair, code: int) -> None:
    pair.end(code)
    assert pair.hosted.disconnected
    assert pair.host.to_be_ended == [code]


@pytest.mark.parametrize("code", [CLIENT_GONE, LOST, TIMED_OUT, SHUTDOWN])
def test_work_behind_a_complete_response_is_ended_for_no_client(pair: Pair, code: int) -> None:
    pair.session.link.respond(pair.hosted, 202, (), b"accepted")
    pair.carry()
    pair.end(code)
    assert pair.hosted.disconnected
    assert pair.host.to_be_ended == ([] if code in (CLIENT_GONE, LOST) else [code])
