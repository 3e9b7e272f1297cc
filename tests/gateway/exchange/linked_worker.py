"""A worker at the other end of a real link: what is not its app is as in production."""

import socket
from collections.abc import Callable

from propylon.gateway.pool.link_member import Member
from propylon.gateway.pool.pool import Pool
from propylon.gateway.transport.poller import Poller
from propylon.protocol.calls import Call
from propylon.protocol.codec import RECEIVE_SIZE
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import MAX_BODY, OPEN
from propylon.protocol.worker_link import WorkerLink


class LinkedWorker:
    """It answers each call with `size` bytes of body, as its credit goes."""

    def __init__(
        self, pool: Pool, poller: Poller, size: int, piece: Callable[[int], bytes], number: int = 1
    ) -> None:
        """`piece`: the bytes of the body from an offset on, at most MAX_BODY."""
        self.size, self._piece = size, piece
        self.calls: list[Call] = []
        self.sent = 0
        self.most_ahead = 0
        """Bytes of output that waited for the socket at most."""
        ours, self.sock = socket.socketpair()
        for end in (ours, self.sock):
            end.setblocking(False)
        self._output = b""
        self.link = WorkerLink(Greeting(who={"worker": number, "pid": number}), lambda: None)
        self.member = Member(pool, ours, 1, poller)
        self.link.greet()
        self.link.ready({})
        self.link.slots(8)

    def step(self) -> None:
        """Hears what has come, says what it may."""
        try:
            while data := self.sock.recv(RECEIVE_SIZE):
                for call, message in self.link.receive(data):
                    if message[0] == OPEN and call is not None:
                        self.calls.append(call)
        except BlockingIOError:
            pass
        while not self._output and (self._say() or self.link.has_output):
            self._output = self.link.take_output()
            self._send()
        self._send()

    def answer(self) -> None:
        """Begins to answer what it was called with."""
        (call,) = self.calls
        self.link.start_response(call, 200, ((b"content-length", b"%d" % self.size),))

    def _say(self) -> bool:
        for call in self.calls:
            if call.response == "body" and call.send_credit and self.sent < self.size:
                most = min(call.send_credit, MAX_BODY, self.size - self.sent)
                piece = self._piece(self.sent)[:most]
                self.sent += len(piece)
                self.link.send_body(call, piece, self.sent < self.size)
                if self.sent == self.size:
                    self.link.end(call)
                return True
        return False

    def _send(self) -> None:
        try:
            while self._output:
                self._output = self._output[self.sock.send(self._output) :]
        except BlockingIOError:
            self.most_ahead = max(self.most_ahead, len(self._output))

    def die(self) -> None:
        self.sock.close()

    def close(self) -> None:
        """Ends it, on either side."""
        self.die()
        self.member.cut()
