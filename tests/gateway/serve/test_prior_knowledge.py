"""A client that begins with HTTP/2 where HTTP/1.1 is read: it is handed over, or refused."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.http.grammar import HTTP2_PREFACE
from propylon.gateway.serve.http1_connection import Http1Connection
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.transport.transport import Transport

from .http1_framing import Http1Framing
from .stage import Stage, answers, asked, hears, is_over, play, sends, shuts

BEHIND = bytes(9) + b"frames, which are not read here"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Taking(Http1Framing):
    """Has connections that hand over clients of HTTP/2."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []
        self.transport: Transport | None = None

    def begin(self, state: ServiceState, transport: Transport, endpoint: Endpoint) -> None:
        Http1Connection(transport, endpoint, state, self.take).open()

    def take(self, transport: Transport, received: bytes) -> None:
        self.taken.append(received)
        self.transport = transport
        transport.join(Owner(self, transport))


class Owner:
    """What stands for the driver of HTTP/2: it keeps what comes."""

    def __init__(self, kept: Taking, transport: Transport) -> None:
        self._kept = kept
        self._transport = transport

    def readable(self) -> None:
        if data := self._transport.recv():
            self._kept.taken.append(data)

    def writable(self) -> None:
        """Does nothing: nothing is sent."""


@contextmanager
def taking(*, cut: bool = False) -> Iterator[tuple[Stage, Taking]]:
    framing = Taking()
    with closing(Stage(framing, cut=cut)) as stage:
        yield stage, framing
        if framing.transport is not None:
            framing.transport.close()


@pytest.mark.parametrize("cut", [False, True])
def test_all_that_has_come_is_handed_over(cut: bool) -> None:
    with taking(cut=cut) as (stage, framing):
        sent = HTTP2_PREFACE + BEHIND
        stage.open()
        stage.send(sent)
        assert stage.until(lambda: b"".join(framing.taken) == sent)
        assert len(framing.taken) == 1 or cut
        assert not stage.state.connections
        assert not stage.exchanges


@pytest.mark.parametrize("size", range(1, len(HTTP2_PREFACE) + 2))
def test_wherever_the_preface_is_cut(size: int) -> None:
    sent = HTTP2_PREFACE + BEHIND
    with taking() as (stage, framing):
        stage.open()
        stage.send(sent[:size])
        stage.turn()
        stage.send(sent[size:])
        assert stage.until(lambda: b"".join(framing.taken) == sent)
        assert not stage.responses


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n" + HTTP2_PREFACE,
        HTTP2_PREFACE.replace(b"\r\n\r\nSM", b"\r\nHost: h\r\n\r\nSM"),
        HTTP2_PREFACE.replace(b"*", b"/"),
        HTTP2_PREFACE.replace(b"2.0", b"2.1"),
        HTTP2_PREFACE.replace(b"SM", b"XX"),
    ],
)
def test_what_only_looks_like_it_is_refused(sent: bytes) -> None:
    with taking() as (stage, framing):
        play(stage, [sends(sent), hears(505), shuts(), is_over()])
        assert not framing.taken


def test_it_comes_first_or_not_at_all() -> None:
    with taking() as (stage, framing):
        row = [sends(GET + HTTP2_PREFACE), answers(200, b"1"), hears(505)]
        play(stage, [*row, asked(1), shuts(), is_over()])
        assert not framing.taken


def test_where_nobody_takes_it_it_is_refused() -> None:
    with closing(Stage(Http1Framing())) as stage:
        play(stage, [sends(HTTP2_PREFACE), hears(505), shuts(), is_over()])
