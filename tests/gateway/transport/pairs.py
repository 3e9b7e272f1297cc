"""A client and a transport to it, with and without TLS."""

import socket
import ssl
from pathlib import Path

from propylon.gateway.settings import CertificateFiles, TlsSettings
from propylon.gateway.tls.certificates import Certificates
from propylon.gateway.tls.session import TlsSession
from propylon.gateway.transport.client_socket import ClientSocket, TransportContext
from propylon.gateway.transport.min_rate import RateLimit
from propylon.gateway.transport.poller import Poller
from propylon.gateway.transport.tls_transport import TlsTransport

from ..tls.issued import issue, trusting
from .exam import SEND_TIMEOUT, Pair


class PlainPair(Pair):
    def __init__(self, *, tcp: bool = False, send_rate: RateLimit | None = None) -> None:
        """A Unix socket has no more room than it is given, and what was sent is there at once; only
        `tcp` shows a reset."""
        self.now = 100.0
        self.poller = Poller()
        self.ours, self.client = tcp_pair() if tcp else socket.socketpair()
        self.client.setblocking(False)
        self.ours.setblocking(False)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        context = TransportContext(self.poller, lambda: self.now, SEND_TIMEOUT, send_rate)
        self.transport = self.below = ClientSocket(self.ours, context)

    def client_sends(self, data: bytes) -> None:
        self.client.sendall(data)

    def client_reads(self, most: int = 1 << 20) -> bytes | None:
        try:
            return self.client.recv(most) or None
        except BlockingIOError:
            return b""

    def client_shuts(self) -> None:
        self.client.shutdown(socket.SHUT_WR)

    def client_leaves(self) -> None:
        self.client.close()

    def close(self) -> None:
        self.transport.close()
        self.ours.close()
        self.client.close()


class TlsPair(PlainPair):
    def __init__(self, session: TlsSession, *, tcp: bool = False) -> None:
        super().__init__(tcp=tcp)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.peer = trusting().wrap_bio(self.incoming, self.outgoing, server_hostname="a.test")
        complete = False
        while not complete:
            try:
                self.peer.do_handshake()
            except ssl.SSLWantReadError:
                pass
            complete = session.handshake(self.outgoing.read())
            self.incoming.write(session.output)
        self.transport = TlsTransport(self.below, session, None)

    def client_sends(self, data: bytes) -> None:
        self.peer.write(data)
        self.client.sendall(self.outgoing.read())

    def client_reads(self, most: int = 1 << 20) -> bytes | None:
        """Reads on while what has come is not a whole record."""
        plain = b""
        while not plain:
            data = super().client_reads(most)
            if data:
                self.incoming.write(data)
            try:
                while piece := self.peer.read(1 << 20):
                    plain += piece
                break
            except ssl.SSLWantReadError:
                if data is None:
                    raise ConnectionResetError("no close_notify") from None
                if not data:
                    return plain
        return plain or None

    def client_shuts(self) -> None:
        try:
            self.peer.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.client.sendall(self.outgoing.read())


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client


def certificates(folder: Path) -> Certificates:
    one = issue(folder, "a.test")
    files = CertificateFiles(certfile=one.paths[0], keyfile=one.paths[1])
    return Certificates(TlsSettings(certificates=(files,)))
