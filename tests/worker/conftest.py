"""One worker per app and loop for the tests that leave it as they found it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .gateway_peer import GatewayPeer, running

# Plain asyncio differs from uvloop in the loop alone; every day, test_host runs on it.
LOOPS = ("uvloop", "trio", pytest.param("asyncio", marks=pytest.mark.slow))


@pytest.fixture(scope="module", params=LOOPS)
def asgi(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayPeer]:
    run_dir = tmp_path_factory.mktemp(request.param)
    with running("asgi_apps:app", run_dir, "--loop", request.param) as (worker, peer):
        peer.worker = worker
        peer.loop = request.param
        yield peer


@pytest.fixture(scope="module")
def wsgi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayPeer]:
    run_dir = tmp_path_factory.mktemp("wsgi")
    with running("wsgi_apps:application", run_dir, "--threads", "4") as (worker, peer):
        peer.worker = worker
        yield peer


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path
