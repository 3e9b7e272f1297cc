"""A folder of files, a client, and what it is answered."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.files.hot_files import HotFiles
from propylon.gateway.handlers.static.static_files import StaticFiles
from propylon.gateway.settings import StaticSettings

from ....end_to_end.server import wait_for
from ....fakes.exchange_sides import FakeClient


@dataclass
class Answered:
    status: int
    fields: dict[str, str]
    body: bytes
    end_code: str


@dataclass
class Site:
    folder: Path
    calls: deque[Callable[[], None]] = field(default_factory=deque)
    """What threads have handed over for the loop."""
    to_app: list[Exchange] = field(default_factory=list)

    def handler(self, *, app: bool = False, prefix: str = "/s", **settings: object) -> StaticFiles:
        told = StaticSettings(folder=str(self.folder), **settings)  # type: ignore[arg-type]
        disk = DiskThreads(self.calls.append)
        return StaticFiles(told, prefix, disk, HotFiles(), self.to_app.append if app else None)

    def ask(
        self, handler: StaticFiles, path: str, method: str = "GET", **fields: str
    ) -> Answered | None:
        """The whole answer, of a client that takes what it is sent; None if the app was asked."""
        client, exchange = self.begin(handler, path, method, **fields)
        if self.to_app and self.to_app[-1] is exchange:
            return None
        while not client.over:
            before = len(client.data)
            client.take(exchange)
            if len(client.data) == before and not client.over:
                self.hear()
        seen = {name.decode(): value.decode() for name, value in client.fields}
        return Answered(client.status, seen, client.data, exchange.end_code)

    def hear(self) -> None:
        """What a thread has to say, when it has something to say."""
        wait_for(lambda: self.calls, "a thread")
        self.calls.popleft()()

    def begin(
        self, handler: StaticFiles, path: str, method: str = "GET", **fields: str
    ) -> tuple[FakeClient, Exchange]:
        request = Request(method, path.encode(), "1.1")
        request.path, _, request.query = path.encode().partition(b"?")
        request.headers = tuple(
            (name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()
        )
        client = FakeClient()
        exchange = Exchange(request, client)
        handler.answer(exchange)
        while not client.status and exchange not in self.to_app:
            self.hear()
        return client, exchange
