"""Files over HTTP/2, where sendfile cannot send them: static ones, and apps' in each way."""

import os
from pathlib import Path

import httpx
import pytest

from ..gateway.http2.engine_exam import OURS_AND_SLOW_H2
from .server import DEADLINE, Propylon

pytestmark = pytest.mark.slow
SIZE = 3_000_017
WAYS = {
    "static": ("asgi_raw:app", "/s/big", 0),
    "pathsend": ("files_asgi:raw", "/big", 0),
    "zerocopysend": ("files_asgi:raw", "/big?zero-copy", 100),
    "X-Accel-Redirect": ("files_wsgi:application", "/accel/big", 0),
}
"""App, path, and how much of the file's beginning is left out."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "big").write_bytes(os.urandom(SIZE))
    return folder


@pytest.mark.parametrize("engine", OURS_AND_SLOW_H2)
@pytest.mark.parametrize(("app", "path", "left_out"), WAYS.values(), ids=WAYS)
def test_a_file(folder: Path, app: str, path: str, left_out: int, engine: str) -> None:
    content = (folder / "big").read_bytes()[left_out:]
    flags = ["--h2c", "prior-knowledge", "--http2-engine", engine, "--static", f"/s={folder}"]
    flags += ["--internal-files", f"/protected={folder}"]
    with (
        Propylon(app, *flags, env={"FILES_FOLDER": str(folder)}) as propylon,
        httpx.Client(
            base_url=propylon.url, http1=False, http2=True, timeout=DEADLINE, trust_env=False
        ) as client,
    ):
        whole = client.get(path)
        assert (whole.http_version, whole.status_code) == ("HTTP/2", 200)
        assert whole.content == content
        assert "x-accel-redirect" not in whole.headers
        assert client.head(path).content == b""
        part = client.get(path, headers={"range": "bytes=1000000-1999999"})
        assert (part.status_code, part.content) == (206, content[1_000_000:2_000_000])
        with client.stream("GET", path) as given_up:
            next(given_up.iter_raw(100))
        assert client.get(path).content == content, "the connection goes on"
