"""A server for floods that does the least that a server can: it takes all and says nothing.

    python -m tests.bench.sink [ends]

It prints its port, and goes on until its standard input ends. With "ends" it ends each connection
behind the first large read, as a server does that knows an attack: the client, which opens the next
at once, takes the machine's time in another way then. What clients of another server feel while
this one is flooded is the machine's doing.
"""

import contextlib
import resource
import select
import socket
import sys
from typing import Final

READ: Final = 65_536
AT_ONCE: Final = 16
"""Connections accepted before others are read."""
NO_GREETING: Final = 1_000
"""Bytes of a read that are more than the first words of a client."""
SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
"""Enough for clients that look for the end of a head."""


def serve(server: socket.socket, ends: bool) -> None:
    """Ends with the standard input."""
    poll, clients = select.epoll(), dict[int, socket.socket]()
    poll.register(server, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == sys.stdin.fileno():
                return
            if fd != server.fileno():
                _drop(clients, fd, ends)
                continue
            with contextlib.suppress(OSError):
                for _ in range(AT_ONCE):
                    client, _ = server.accept()
                    client.setblocking(False)
                    clients[client.fileno()] = client
                    poll.register(client, select.EPOLLIN)


def _drop(clients: dict[int, socket.socket], fd: int, ends: bool) -> None:
    """Reads once. It closes a client that is gone, or each of them."""
    client = clients[fd]
    with contextlib.suppress(OSError):
        if data := client.recv(READ):
            if data.startswith(b"GET") and b"Upgrade: websocket" in data[:200]:
                client.send(SWITCHING)
            if not ends or len(data) < NO_GREETING:
                return
    del clients[fd]
    client.close()


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with socket.create_server(("127.0.0.1", 0), backlog=4_096) as server:
        server.setblocking(False)
        print(server.getsockname()[1], flush=True)
        serve(server, "ends" in sys.argv[1:])


if __name__ == "__main__":
    main()
