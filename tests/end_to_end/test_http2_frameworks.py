"""The frameworks and their apps again, by HTTP/2: the tests are those of HTTP/1.1, and the client
another one."""

from collections.abc import Iterator

import httpx
import pytest

from .server import Propylon
from .test_frameworks import (
    SERVERS,
    database,
    test_background_task,
    test_client_and_scheme,
    test_cookies,
    test_exception,
    test_form,
    test_head,
    test_json,
    test_query,
    test_redirect,
    test_server_sent_events,
    test_streamed_response,
    test_unknown_path,
    test_upload,
)

__all__ = [
    "database", "test_background_task", "test_client_and_scheme", "test_cookies", "test_exception",
    "test_form", "test_head", "test_json", "test_query", "test_redirect",
    "test_server_sent_events", "test_streamed_response", "test_unknown_path", "test_upload",
]  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[name for name in SERVERS if "h11" not in name])
def server(
    request: pytest.FixtureRequest, database: dict[str, str]
) -> Iterator[tuple[Propylon, str]]:
    app, flags, interface = SERVERS[request.param]
    env = database if "django" in app else {}
    flags = [*flags, "--no-access-log", "--h2c", "prior-knowledge"]
    with Propylon(app, *flags, env=env) as propylon:
        yield propylon, interface


@pytest.fixture
def client(server: tuple[Propylon, str]) -> Iterator[httpx.Client]:
    with server[0].client(http1=False, http2=True) as client:
        yield client
        assert client.get("/json").http_version == "HTTP/2"
