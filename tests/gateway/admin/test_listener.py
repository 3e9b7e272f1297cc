"""The admin listener on real sockets, in this process; the instance that it shows is a stand-in."""

import gzip
import json
import logging
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import pytest
import trio
from propylon.gateway.admin import events
from propylon.gateway.admin.connections import MOST_ADMIN_CONNECTIONS
from propylon.gateway.admin.events import MOST_VIEWERS
from propylon.gateway.admin.health import HealthFacts, PoolHealth
from propylon.gateway.admin.listener import AdminListener
from propylon.gateway.control.status import EndedStatus, StatusReport, read_report
from propylon.gateway.listen.address import Address, TcpAddress, UnixAddress
from propylon.gateway.listen.sockets import open_listeners
from propylon.gateway.metrics.exposed import ExposedFamily, Sample
from propylon.gateway.settings import AdminSettings

TOKEN = "a-token-that-is-long-enough"
LOOPBACK: Sequence[Address] = (TcpAddress("127.0.0.1", 0),)


@dataclass
class Instance:
    """An `AdminInstance` that is as a test wants it."""

    admin_settings: AdminSettings = field(default_factory=AdminSettings)
    facts: HealthFacts = field(
        default_factory=lambda: HealthFacts(
            phase="serving",
            accepting=1,
            pools=(PoolHealth(name="web", usable=True),),
            has_started=True,
        )
    )
    report: StatusReport = field(default_factory=lambda: StatusReport(phase="serving"))
    shown: list[ExposedFamily] = field(default_factory=list[ExposedFamily])
    collections: int = 0
    """How often the metrics were asked for."""
    collect: trio.Event | None = None
    """What a collection waits for."""
    samples: int = 0
    """How often the status was asked for."""

    def health(self) -> HealthFacts:
        return self.facts

    async def status(self) -> StatusReport:
        self.samples += 1
        return self.report

    async def families(self) -> list[ExposedFamily]:
        self.collections += 1
        if self.collect is not None:
            await self.collect.wait()
        return self.shown


@dataclass
class Running:
    listener: AdminListener
    instance: Instance
    address: tuple[str, int]

    @property
    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url="http://{}:{}".format(*self.address), timeout=5, trust_env=False
        )

    async def connect(self, head: str = "") -> trio.SocketStream:
        stream = await trio.open_tcp_stream(*self.address)
        await stream.send_all(head.encode())
        return stream


@asynccontextmanager
async def running(
    instance: Instance | None = None, addresses: Sequence[Address] = LOOPBACK
) -> AsyncIterator[Running]:
    instance = instance or Instance()
    listeners = open_listeners(addresses, 1024, 1)
    listener = AdminListener(listeners, instance)
    address = listeners.items[0].sockets[0].getsockname()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            yield Running(listener, instance, address)
            await listener.end()
            nursery.cancel_scope.cancel()
    listeners.close()


async def test_what_every_response_says_and_what_none_does() -> None:
    async with running() as there, there.client as client:
        for path in ("/", "/livez", "/readyz", "/startupz", "/status", "/none?secret=1"):
            for method in ("GET", "HEAD", "POST", "DELETE"):
                response = await client.request(method, path)
                assert response.headers["cache-control"] == "no-store", (method, path)
                assert response.headers["x-content-type-options"] == "nosniff"
                assert response.headers["x-frame-options"] == "DENY"
                assert response.headers["referrer-policy"] == "no-referrer"
                policy = response.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; ")
                assert "frame-ancestors 'none'" in policy
                assert "secret" not in response.text
                status = 405 if method in ("POST", "DELETE") else 404 if "none" in path else 200
                assert response.status_code == status, (method, path)
                assert response.headers.get("allow") == ("GET, HEAD" if status == 405 else None)
                assert (response.content == b"") == (method == "HEAD")
        again = await client.get("/livez", headers={"range": "bytes=0-0"})
        assert (again.status_code, again.text) == (200, "ok\n")
        refused = await client.get("/livez", headers={"x": "y" * 20_000})
        assert (refused.status_code, refused.headers["cache-control"]) == (431, "no-store")
        assert (await client.post("/status", content=b"x" * 1_000)).status_code == 405
        refused = await client.post("/status", content=b"x" * 20_000)
        assert refused.status_code == 413
        assert "--" not in refused.text  # no option sets the limits of this listener


async def test_health_is_plain_text_and_names_what_has_failed() -> None:
    async with running() as there, there.client as client:
        assert (await client.get("/readyz")).text == "ok\n"
        verbose = "[+]ping ok\n[+]accepting ok\n[+]pool web ok\n[+]queue of pool web ok\n"
        for query in ("verbose", "x=1&verbose=true"):
            response = await client.get(f"/readyz?{query}")
            assert response.text == f"{verbose}readyz check passed\n"
        pools = (PoolHealth(name="web", usable=False, oldest_waiter=12.0),)
        there.instance.facts = HealthFacts(
            phase="serving", accepting=1, pools=pools, hung=("gateway 2 (pid 5)",)
        )
        response = await client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.text.splitlines() == [
            "[-]pool web: no worker is ready",
            "[-]queue of pool web: overloaded, a request has waited 12.0 s for a worker "
            "(--admin-max-queue-time 10)",
        ]
        response = await client.get("/livez")
        assert (response.status_code, response.text) == (
            503,
            "[-]gateways: gateway 2 (pid 5) hangs\n",
        )


async def test_the_status_is_compressed_if_the_client_takes_it() -> None:
    instance = Instance()
    ended = tuple(EndedStatus(what=f"worker {n} \ud800 é", how="x" * 5_000) for n in range(20))
    async with running(instance) as there, there.client as client:
        for report in (StatusReport(ended=ended[:1]), StatusReport(ended=ended)):
            instance.report = report
            plain = await client.get("/status", headers={"accept-encoding": "identity"})
            assert "content-encoding" not in plain.headers
            assert plain.headers["content-type"] == "application/json"
            assert read_report(plain.json()) == report
            async with client.stream("GET", "/status") as packed:
                raw = b"".join([part async for part in packed.aiter_raw()])
            assert packed.headers["content-encoding"] == "gzip"
            assert "accept-encoding" in packed.headers["vary"]
            assert gzip.decompress(raw) == plain.content
            assert len(raw) == int(packed.headers["content-length"]) < len(plain.content) / 2
            assert int((await client.head("/status")).headers["content-length"]) == len(raw)


async def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    sample = Sample("x_total", {"pool": 'a"b\\c\nd'}, 3.0)
    instance = Instance(shown=[ExposedFamily("x", "counter", "Some.", [sample])])
    async with running(instance) as there, there.client as client:
        plain = await client.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'x_total{pool="a\\"b\\\\c\\nd"} 3.0\n' in plain.text
        accept = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        openmetrics = await client.get("/metrics", headers=accept)
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text;")
        assert openmetrics.text.endswith("# EOF\n")
        assert (await client.head("/metrics")).content == b""


async def test_whoever_asks_during_a_collection_gets_what_it_brings() -> None:
    instance = Instance(collect=trio.Event())
    async with running(instance) as there:
        asking = [
            await there.connect("GET /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n") for _ in range(20)
        ]
        async with there.client as client:  # all else goes on meanwhile
            assert (await client.get("/readyz")).status_code == 200
        assert instance.collections == 1
        await asking.pop().aclose()  # one gives up
        instance.collect.set()  # type: ignore[union-attr]
        for stream in asking:
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")
            await stream.aclose()
        async with there.client as client:
            assert (await client.get("/metrics")).status_code == 200
        assert instance.collections == 2


async def test_what_cannot_be_made_is_a_500_and_harms_nothing_else(caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("propylon"), "propagate", True)
    broken = cast("list[ExposedFamily]", [None])
    async with running(Instance(shown=broken)) as there, there.client as client:
        response = await client.get("/metrics")
        assert (response.status_code, "Traceback" in response.text) == (500, False)
        assert (await client.get("/status")).status_code == 200
    assert "/metrics could not be answered" in caplog.text


async def test_a_token_guards_all_but_health(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    instance = Instance(AdminSettings(token_file=str(path)))
    async with running(instance) as there, there.client as client:
        for name in ("/livez", "/readyz", "/startupz"):
            assert (await client.get(name)).status_code in (200, 503)
        for name in ("/", "/status", "/events", "/metrics"):
            response = await client.get(name)
            assert response.status_code == 401
            challenges = response.headers.get_list("www-authenticate")
            assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]
            wrong = {"authorization": f"Bearer {TOKEN}x"}
            assert (await client.head(name, headers=wrong)).status_code == 401
            right = {"authorization": f"Bearer {TOKEN}", "host": "any.name.example"}
            assert (await client.head(name, headers=right)).status_code == 200
            assert (await client.head(name, auth=("me", TOKEN))).status_code == 200
        instance.admin_settings = AdminSettings()  # a reload has taken it away
        assert (await client.get("/status")).status_code == 200


async def test_a_web_page_cannot_read_it_by_a_name_of_its_own() -> None:
    async with running() as there, there.client as client:
        for name in ("/status", "/metrics", "/events", "/"):
            response = await client.get(name, headers={"host": "attacker.example:9180"})
            assert response.status_code == 421
        probe = await client.get("/livez", headers={"host": "any.name.example"})
        assert probe.text == "ok\n"  # of a proxy on this machine, perhaps
        for host in ("localhost", "[::1]:9", f"{socket.gethostname()}:1", "127.0.0.1:9"):
            assert (await client.get("/status", headers={"host": host})).status_code == 200


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with running(addresses=[UnixAddress(str(path))]):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://any.example") as client:
            assert (await client.get("/livez")).text == "ok\n"


# -- events ------------------------------------------------------------------------------------


async def next_status(stream: trio.SocketStream, known: bytes = b"") -> tuple[bytes, bytes]:
    """The next event "status" of a stream, and what has come behind it."""
    while b"\n\n" not in known or b"event: status" not in known.split(b"\n\n")[0]:
        if b"\n\n" in known:
            known = known.partition(b"\n\n")[2]
            continue
        data = await stream.receive_some()
        assert data, known
        known += data
    event, _, rest = known.partition(b"\n\n")
    return event, rest


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SAMPLE_EVERY", 0.05)


@pytest.mark.usefixtures("_often")
async def test_a_viewer_that_does_not_read_is_skipped_and_holds_nobody_up() -> None:
    instance = Instance()
    async with running(instance) as there:
        slow, fast = [
            await there.connect("GET /events HTTP/1.1\r\nHost: [::1]\r\n\r\n") for _ in range(2)
        ]
        _, rest = await next_status(fast)
        instance.report = StatusReport(run_dir="x" * 3_000_000)
        with memory_growth() as growth:
            before = instance.samples
            while instance.samples < before + 10:  # 30 MB for each of them
                _, rest = await next_status(fast, rest)
        assert growth.peak < 25_000_000
        instance.report = StatusReport(phase="the newest")
        received, event, rest = 0, b"", b""
        while b"the newest" not in event:
            event, rest = await next_status(slow, rest)
            received += 1
        assert received <= 4  # of a dozen: what was under way when it stopped to read
        await slow.aclose()
        await fast.aclose()


@dataclass
class Growth:
    peak: int = 0


@contextmanager
def memory_growth() -> Iterator[Growth]:
    """The most memory that Python has had in the block, beyond what it had before."""
    growth = Growth()
    tracemalloc.start()
    try:
        yield growth
        growth.peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("_often")
async def test_events_come_from_one_sampling_and_end_with_the_listener() -> None:
    async with running() as there:
        viewers = [await there.connect("GET /events HTTP/1.1\r\nHost: x.localhost\r\n\r\n")]
        first, rest = await next_status(viewers[0])
        assert b"event: status" in first
        assert read_report(json.loads(first.split(b"data: ")[1])).phase == "serving"
        for _ in range(4):
            viewers.append(await there.connect("GET /events HTTP/1.1\r\nHost: [::1]\r\n\r\n"))
        before = there.instance.samples
        for viewer in viewers[1:]:
            await next_status(viewer)
        await next_status(viewers[0], rest)
        assert there.instance.samples <= before + 2
        await there.listener.end()
        for viewer in viewers:
            data = b""
            while part := await viewer.receive_some():
                data += part
            assert data.endswith(b"0\r\n\r\n")  # the response is whole
            await viewer.aclose()
    samples = there.instance.samples
    await trio.testing.wait_all_tasks_blocked()
    assert there.instance.samples == samples


async def test_there_are_so_many_viewers_and_no_more() -> None:
    async with running() as there, there.client as client:
        streams = []
        for _ in range(MOST_VIEWERS):
            streams.append(await there.connect("GET /events HTTP/1.1\r\nHost: [::1]\r\n\r\n"))
            assert (await streams[-1].receive_some(15)) == b"HTTP/1.1 200 OK"
        response = await client.get("/events")
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")
        assert (await client.get("/livez")).status_code == 200
        await streams.pop().aclose()
        while response.status_code != 200:
            await trio.sleep(0.01)
            async with client.stream("GET", "/events") as response:
                pass
        for stream in streams:
            await stream.aclose()


# -- many connections --------------------------------------------------------------------------


def is_open(sock: socket.socket) -> bool:
    """Whether the other side has not closed, looked at once."""
    try:
        return sock.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


async def test_whoever_asks_is_answered_behind_any_number_that_does_not() -> None:
    async with running() as there:
        asking = await there.connect()
        idle: list[socket.socket] = []
        for number in range(3 * MOST_ADMIN_CONNECTIONS):
            idle.append(socket.create_connection(there.address))
            idle[-1].sendall(b"GET /livez HTTP/1.1\r\nX: " if number % 2 else b"")
            if number % 8 == 0:  # it stays, since it has asked not long ago
                await asking.send_all(b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")
                assert (await asking.receive_some()).endswith(b"\r\n\r\nok\n")
        async with there.client as client:
            assert (await client.get("/livez")).status_code == 200
        await asking.send_all(b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        assert (await asking.receive_some()).endswith(b"ok\n")
        while sum(map(is_open, idle)) >= MOST_ADMIN_CONNECTIONS:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert is_open(idle[-1])
        assert not is_open(idle[0])
        for sock in idle:
            sock.close()
        await asking.aclose()


async def test_who_has_asked_is_answered_whatever_burst_is_behind_it() -> None:
    async with running() as there:
        for _ in range(10):
            # No task of the listener runs before all of these wait for it.
            asking = socket.create_connection(there.address)
            asking.sendall(b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")
            burst = [
                socket.create_connection(there.address) for _ in range(3 * MOST_ADMIN_CONNECTIONS)
            ]
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(asking))
            try:
                assert (await stream.receive_some()).endswith(b"\r\n\r\nok\n")
            finally:
                for sock in burst:
                    sock.close()
                await stream.aclose()


# -- periods -----------------------------------------------------------------------------------


async def test_between_two_periods_clients_wait_and_none_is_refused() -> None:
    async with running() as there:
        kept = await there.connect("GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        await kept.receive_some()
        there.listener.pause()
        assert await kept.receive_some() == b""
        await kept.aclose()
        waiting = await there.connect("GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        with trio.move_on_after(0.1) as early:
            await waiting.receive_some()
        assert early.cancelled_caught
        while there.listener.state != "paused":  # noqa: ASYNC110
            await trio.sleep(0.01)
        there.listener.resume()
        assert (await waiting.receive_some()).endswith(b"ok\n")
        await waiting.aclose()


async def test_the_end_waits_for_answers_and_not_for_idle_connections() -> None:
    instance = Instance(collect=trio.Event())
    async with running(instance) as there:
        idle = await there.connect("GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        await idle.receive_some()
        asking = await there.connect("GET /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        while not instance.collections:  # noqa: ASYNC110
            await trio.sleep(0.01)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.listener.end)
            assert await idle.receive_some() == b""
            assert there.listener.state == "ending"
            instance.collect.set()  # type: ignore[union-attr]
            assert (await asking.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await asking.receive_some() == b""
        assert there.listener.state == "ended"
        await idle.aclose()
        await asking.aclose()


# -- what the log says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "token", "said"),
    [
        ("127.0.0.1", "", None),
        ("::1", "", None),
        ("0.0.0.0", "", "can read, in plain HTTP, status and metrics without a token"),
        ("0.0.0.0", "t", "whether it is healthy, and with the token status and metrics"),
    ],
)
async def test_the_log_says_who_can_read_it(
    host: str, token: str, said: str | None, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(logging.getLogger("propylon"), "propagate", True)
    instance = Instance(AdminSettings(token_file=token))
    async with running(instance, [TcpAddress(host, 0)]):
        await trio.testing.wait_all_tasks_blocked()
    lines = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    if said is None:
        assert lines == []
    else:
        (line,) = lines
        assert said in line
