"""Warm-up: requests of the worker to its own app before it is ready. What an app does only once, a
first query or the compilation of a template, is then done.

They take the way of all requests, over a link, with a gateway's end in this process. So they are
the same for every interface and loop. The host calls `step` at each tick.
"""

import socket
from collections import deque
from collections.abc import Sequence
from typing import Final

from ...protocol.calls import Call
from ...protocol.codec import RECEIVE_SIZE
from ...protocol.gateway_link import GatewayLink
from ...protocol.hello import Greeting
from ...protocol.messages import (
    FEATURES,
    FILES,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_START,
    Message,
    Scope,
)
from ...protocol.send_buffer import SendBuffer
from ..process.app_children import keep_from_children

USER_AGENT: Final = b"propylon-warm-up"


class _Request(Call):
    __slots__ = ("failed", "path", "status", "whole")

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.status = 0
        self.whole = False
        self.failed = ""
        """The reason that the worker gave, if it reset the call; else ""."""

    def hear(self, message: Message) -> None:
        if message[0] == RESPONSE:
            self.status, self.whole = message[2], True
        elif message[0] == RESPONSE_START:
            self.status = message[2]
        elif message[0] == RESPONSE_BODY:
            self.whole = not message[3]
        elif message[0] == RESET:
            self.failed = message[3]


class WarmUp:
    def __init__(self, paths: Sequence[str], deadline: float) -> None:
        """`deadline` is in monotonic seconds, for all requests together."""
        self._ours, self.sock = socket.socketpair()
        """`sock` is the worker's end."""
        for sock in (self._ours, self.sock):
            keep_from_children(sock).setblocking(False)
        self._paths = deque(paths)
        self._deadline = deadline
        self._request: _Request | None = None
        greeting = Greeting(who={"gateway": 0}, features=FEATURES - {FILES})
        self._link = GatewayLink(greeting, lambda: None)
        self._link.greet()
        self._unsent = SendBuffer()
        self.failure = ""
        """A sentence that says which request failed and how; "" if none did."""

    @property
    def done(self) -> bool:
        return not self._paths and self._request is None

    def step(self, now: float) -> None:
        """Reads the answer, judges it and sends the next request. It never blocks."""
        try:
            self._exchange(now)
        except OSError as error:
            self._lost(str(error))

    def _exchange(self, now: float) -> None:
        try:
            while data := self._ours.recv(RECEIVE_SIZE):
                for call, message in self._link.receive(data):
                    if isinstance(call, _Request):
                        call.hear(message)
                        if message[0] == RESPONSE_BODY and not message[4]:
                            self._link.taken(call, len(message[2]))
            self._lost("its end was closed")
        except BlockingIOError:
            pass
        if self._request is not None:
            self._judge(self._request, now)
        if self._paths and self._request is None and self._link.state == "open":
            self._request = _Request(self._paths.popleft())
            self._link.open(self._request, _scope(self._request.path), b"", False, 0)
        self._flush()

    def _lost(self, why: str) -> None:
        """Fails: the worker's end of the link is gone, and no answer will come."""
        self.failure = self.failure or f"the warm-up lost its link to the app: {why}"

    def close(self) -> None:
        self._ours.close()

    def _judge(self, request: _Request, now: float) -> None:
        if request.failed:
            self.failure = f"GET {request.path} at the warm-up: {request.failed}"
        elif request.status >= 500:
            self.failure = (
                f"the app answered GET {request.path} at the warm-up with {request.status}"
            )
        elif request.whole:
            self._request = None
        elif now > self._deadline:
            so_far = "no whole response" if request.status else "no response"
            self.failure = (
                f"there was {so_far} to GET {request.path} at the warm-up before the startup "
                "timeout ran out"
            )

    def _flush(self) -> None:
        self._unsent.send(self._ours.sendmsg, self._link.take_batch)


def _scope(target: str) -> Scope:
    path, _, query = target.partition("?")
    headers = ((b"host", b"localhost"), (b"user-agent", USER_AGENT), (b"accept", b"*/*"))
    return (
        "http", "1.1", "GET", "http", path.encode(), query.encode(), "", headers,
        ("127.0.0.1", 0), ("127.0.0.1", 80), None,
    )  # fmt: skip
