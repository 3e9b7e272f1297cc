"""A large file goes out by credit, and its end is the end that was promised or visibly none."""

import os
from pathlib import Path
from threading import Thread

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.files import file_response, file_source
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.protocol.messages import WINDOW

from ...end_to_end.server import wait_for
from ...fakes.exchange_sides import FakeClient
from ..handlers.static.files import Site

SIZE = 3 * WINDOW + 17


def nothing_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the page cache has nothing of a file, or the file system can't tell."""
    monkeypatch.setattr(file_source, "is_in_memory", lambda *_: False)
    for module in (file_source, file_response):
        monkeypatch.setattr(module, "read_from_memory", lambda *_: None)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "big").write_bytes(os.urandom(SIZE))
    return Site(tmp_path)


def test_it_is_never_ahead_by_more_than_its_window(site: Site) -> None:
    client, exchange = site.begin(site.handler(), "/s/big")
    content = (site.folder / "big").read_bytes()
    while not client.over:
        before = len(client.data)
        client.take(exchange)
        assert len(client.data) - before <= WINDOW
    assert client.data == content
    assert exchange.end_code == "gateway_file"


def test_a_client_that_leaves_leaves_no_descriptor(site: Site) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(50):
        client, exchange = site.begin(site.handler(), "/s/big")
        client.leave(exchange)
        assert exchange.end_code == "client_left_response"
    # A thread that reads of one has it open until it has read.
    wait_for(lambda: not set(os.listdir("/proc/self/fd")) - before, "the files to be closed")


def test_a_file_that_becomes_shorter_is_cut_visibly(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    client, exchange = site.begin(site.handler(), "/s/big")
    os.truncate(site.folder / "big", WINDOW + 5)
    while not client.over:
        client.take(exchange)
    assert client.failed is not None
    assert len(client.data) == WINDOW + 5
    assert exchange.end_code == "gateway_file_broke"
    assert f"the file {site.folder / 'big'} became shorter" in caplog.text


def test_a_file_that_grows_or_is_replaced_is_sent_as_it_was(site: Site) -> None:
    content = (site.folder / "big").read_bytes()
    client, exchange = site.begin(site.handler(), "/s/big")
    (site.folder / "new").write_bytes(b"new")
    with (site.folder / "big").open("ab") as big:
        big.write(b"more")
    (site.folder / "new").rename(site.folder / "big")
    while not client.over:
        client.take(exchange)
    assert client.data == content


@pytest.mark.parametrize("what", ["big", "small"])
def test_what_is_not_in_memory_is_read_in_a_thread(
    site: Site, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_in_memory(monkeypatch)
    (site.folder / "small").write_bytes(b"small")
    before = set(os.listdir("/proc/self/fd"))
    client, exchange = site.begin(site.handler(), f"/s/{what}")
    assert client.status == 200
    assert not client.data
    while not client.over:
        site.hear()
        client.take(exchange)
    assert client.data == (site.folder / what).read_bytes()
    assert not set(os.listdir("/proc/self/fd")) - before


def test_a_client_that_leaves_while_a_thread_reads(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_in_memory(monkeypatch)
    before = set(os.listdir("/proc/self/fd"))
    client, exchange = site.begin(site.handler(), "/s/big")
    client.leave(exchange)
    site.hear()
    assert not client.data
    assert not set(os.listdir("/proc/self/fd")) - before


def test_where_no_thread_can_be_started(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container at its limit of processes."""

    def fails(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    nothing_is_in_memory(monkeypatch)
    handler = site.handler()
    site.ask(handler, "/s/missing")
    disk = DiskThreads(site.calls.append)
    monkeypatch.setattr(handler, "_disk", disk)
    monkeypatch.setattr(Thread, "start", fails)
    before = set(os.listdir("/proc/self/fd"))
    client, exchange = site.begin(handler, "/s/big")
    site.hear()
    assert client.failed is not None
    assert exchange.end_code == "gateway_file_broke"
    assert not set(os.listdir("/proc/self/fd")) - before


def test_what_fails_behind_a_thread_cuts_the_response(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(client: FakeClient, exchange: Exchange, data: bytes) -> None:
        raise ValueError("a fault of ours")

    nothing_is_in_memory(monkeypatch)
    monkeypatch.setattr(FakeClient, "body", fails)
    client, exchange = site.begin(site.handler(), "/s/big")
    site.hear()
    assert client.failed is not None
    assert exchange.end_code == "gateway_failed"
    assert "a fault of ours" in caplog.text
