"""HTTP/2 as others speak it: curl, nghttp, h2load, httpx, Node, and nginx and HAProxy in front."""

import asyncio
import hashlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..gateway.http2.engine_exam import OURS_AND_SLOW_H2
from ..gateway.tls.issued import Issued, authority, issue, trusting
from .facts import Facts
from .other_proxies import haproxy, needs_haproxy, needs_nginx, nginx
from .server import DEADLINE, Propylon

pytestmark = pytest.mark.slow
H2C = ["--h2c", "prior-knowledge", "--no-access-log"]


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture(scope="module", params=OURS_AND_SLOW_H2)
def engine(request: pytest.FixtureRequest) -> list[str]:
    return ["--http2-engine", request.param]


@pytest.fixture(scope="module")
def plain(engine: list[str]) -> Iterator[Propylon]:
    with Propylon("http2_asgi:app", *H2C, *engine, "-w", "2") as propylon:
        yield propylon


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return issue(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def secure(issued: Issued, engine: list[str]) -> Iterator[Propylon]:
    with Propylon("http2_asgi:app", "--no-access-log", *issued.flags, *engine) as propylon:
        yield propylon


def run(*command: str, **options) -> str:
    """What it writes, both streams, when it has ended well."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        check=False, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


# -- curl ------------------------------------------------------------------------------------------

WAYS = {"plain": "--http2-prior-knowledge", "tls": "--http2", "tls, 1.1": "--http1.1"}


@pytest.fixture(params=WAYS)
def curl(
    request: pytest.FixtureRequest, plain: Propylon, secure: Propylon
) -> tuple[Propylon, list[str]]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    propylon = plain if request.param == "plain" else secure
    return propylon, ["curl", "-sS", "-k", "--fail", "-m", "60", WAYS[request.param]]


def version(command: list[str]) -> str:
    return "1.1" if "--http1.1" in command else "2"


def test_curl_asks(curl: tuple[Propylon, list[str]]) -> None:
    propylon, command = curl
    text = run(*command, "-w", "\n%{http_version}", f"{propylon.url}/facts?a=b")
    facts, _, said = text.rpartition("\n")
    assert said == version(command)
    assert Facts(facts)["http_version"] == repr(version(command))
    assert Facts(facts)["scheme"] == propylon.url.partition(":")[0]
    head = run(*command, "-I", propylon.url)
    assert re.match(r"HTTP/\S+ 200", head)
    assert "content-length: 5" in head.lower()


def test_curl_uploads_and_downloads(curl: tuple[Propylon, list[str]], tmp_path: Path) -> None:
    propylon, command = curl
    file, back = tmp_path / "file", tmp_path / "back"
    file.write_bytes(random.Random(1).randbytes(20_000_000))
    unknown = "Transfer-Encoding: chunked" if "--http1.1" in command else "Content-Length:"
    for more in ([], ["-H", "Expect: 100-continue"], ["-H", unknown]):
        run(*command, "-T", str(file), *more, "-o", str(back), f"{propylon.url}/echo")
        assert digest(back) == digest(file)
    run(*command, "-o", str(back), f"{propylon.url}/stream?n=50000000")
    assert back.stat().st_size == 50_000_000
    assert run(*command, "-d", "@/dev/null", f"{propylon.url}/swallow") == "0"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@needs("curl")
def test_curl_asks_for_many_at_once(secure: Propylon) -> None:
    """Over TLS alone: without it curl 7.88 fails at many streams by itself, whatever the server."""
    text = run(
        "curl", "-sS", "-k", "--http2", "-m", "60", "--stderr", "/dev/null",
        "--parallel", "--parallel-max", "100",
        "-w", "connects %{num_connects} bytes %{size_download}\\n", "-o", "/dev/null",
        f"{secure.url}/stream?n=[100000-100199]",
    )  # fmt: skip
    said = [tuple(map(int, pair)) for pair in re.findall(r"connects (\d+) bytes (\d+)", text)]
    assert sorted(size for _, size in said) == list(range(100_000, 100_200))
    assert sum(count for count, _ in said) <= 3, "streams, not connections"


# -- nghttp and h2load -----------------------------------------------------------------------------


@needs("nghttp")
def test_nghttp(plain: Propylon, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 300_000)
    text = run(
        "nghttp", "-v", "--continuation", "--trailer=x-checksum: 1", f"--data={file}",
        f"{plain.url}/swallow",
    )  # fmt: skip
    assert "recv (stream_id=13) :status: 200" in text
    assert "300000" in text
    text = run("nghttp", "-nv", "-m", "100", "-a", f"{plain.url}/facts")
    assert text.count(":status: 200") == 100
    for said in (text, run("nghttp", "-nv", "-H", "te: trailers", f"{plain.url}/call?hints=yes")):
        assert "GOAWAY" not in re.sub(r"send GOAWAY.*\n(?:.*\n){1,3}", "", said)
        assert "RST_STREAM" not in said
    assert "recv (stream_id=13) :status: 103" in said
    assert "recv (stream_id=13) grpc-status: 0" in said


@needs("h2load")
@pytest.mark.parametrize(("clients", "streams"), [(64, 1), (8, 32), (1, 100)])
@pytest.mark.parametrize("kind", ["plain", "secure"])
def test_h2load(kind: str, clients: int, streams: int, plain: Propylon, secure: Propylon) -> None:
    propylon = {"plain": plain, "secure": secure}[kind]
    text = run("h2load", "-n", "6400", "-c", str(clients), "-m", str(streams), propylon.url)
    assert "6400 succeeded, 0 failed, 0 errored, 0 timeout" in text
    assert "status codes: 6400 2xx" in text


# -- httpx and Node --------------------------------------------------------------------------------


def test_httpx(secure: Propylon, issued: Issued) -> None:
    async def talk() -> None:
        async with httpx.AsyncClient(
            http2=True, verify=trusting(), base_url=secure.url, timeout=DEADLINE, trust_env=False
        ) as client:
            responses = await asyncio.gather(
                *(client.get("/facts", params={"n": n}) for n in range(200)),
                *(client.post("/echo", content=bytes(n * 1_000)) for n in range(100)),
            )
            assert {response.http_version for response in responses} == {"HTTP/2"}
            assert all(response.status_code == 200 for response in responses)
            assert [len(response.content) for response in responses[200:]] == [
                n * 1_000 for n in range(100)
            ]
            async with client.stream("GET", "/trickle?n=3") as response:
                pieces = [piece async for piece in response.aiter_bytes()]
            assert len(pieces) > 2, "as they come"

    asyncio.run(talk())


NODE = """
const http2 = require("node:http2");
const session = http2.connect(process.argv[2], {ca: process.argv[3]});
const ask = (headers, body) => new Promise((resolve, reject) => {
  const stream = session.request(headers);
  const got = {status: 0, size: 0, hints: 0, trailers: {}};
  stream.on("headers", (head) => { got.hints += head[":status"] === 103; });
  stream.on("response", (head) => { got.status = head[":status"]; });
  stream.on("trailers", (fields) => { got.trailers = fields; });
  stream.on("data", (piece) => { got.size += piece.length; });
  stream.on("end", () => resolve(got));
  stream.on("error", reject);
  stream.end(body);
});
(async () => {
  const many = await Promise.all(Array.from({length: 100}, (_, n) =>
    ask({":path": "/stream?n=" + n * 1000})));
  const echoes = await Promise.all(Array.from({length: 20}, (_, n) =>
    ask({":path": "/echo", ":method": "POST"}, Buffer.alloc(n * 20000))));
  const head = {":path": "/call?hints=yes", ":method": "POST", te: "trailers"};
  const call = await ask(head, "message");
  console.log(JSON.stringify({
    many: many.every((got, n) => got.status === 200 && got.size === n * 1000),
    echoes: echoes.every((got, n) => got.status === 200 && got.size === n * 20000),
    call: [call.status, call.size, call.hints, call.trailers["grpc-status"]],
    connect: session.remoteSettings.enableConnectProtocol,
  }));
  session.close();
})().catch((error) => { console.error(error); process.exit(1); });
"""


@needs("node")
def test_node(secure: Propylon, tmp_path: Path) -> None:
    script = tmp_path / "client.js"
    script.write_text(NODE)
    pem = authority().cert_pem.bytes().decode()
    url = secure.url.replace("127.0.0.1", "localhost")
    assert json.loads(run("node", str(script), url, pem)) == {
        "many": True, "echoes": True, "call": [200, 14, 1, "0"], "connect": True,
    }  # fmt: skip


# -- proxies in front ------------------------------------------------------------------------------


@needs_haproxy
def test_haproxy_in_front(plain: Propylon, tmp_path: Path) -> None:
    host, port = plain.address
    more = "http-reuse always"
    with haproxy(tmp_path, f"{host}:{port} proto h2", mode="http", more=more) as front:
        url = f"http://127.0.0.1:{front}"
        with httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False) as client:
            facts = Facts(client.get("/facts").text)
            assert facts["http_version"] == "'2'"
            for size in (0, 1, 1_000_000):
                assert client.post("/echo", content=bytes(size)).content == bytes(size)
            assert client.head("/").headers["content-length"] == "5"
            assert client.get("/crash").status_code == 500
            assert client.get("/stream?n=3000000").content == bytes(3_000_000)

        async def many() -> list[int]:
            """Whose streams share the connections that there are."""
            async with httpx.AsyncClient(base_url=url, timeout=DEADLINE, trust_env=False) as client:
                asked = (client.get("/slow?s=0.05") for _ in range(300))
                return [response.status_code for response in await asyncio.gather(*asked)]

        assert asyncio.run(many()) == [200] * 300


@needs_nginx
@needs("curl")
def test_nginx_in_front_by_grpc_pass(plain: Propylon, tmp_path: Path) -> None:
    """nginx before 1.29 speaks HTTP/2 to an upstream with grpc_pass only, which takes any response
    that has trailers or not."""
    host, port = plain.address
    location = f"}} location /g/ {{ rewrite ^/g(.*) $1 break; grpc_pass grpc://{host}:{port};"
    with nginx(tmp_path, plain.url, server="http2_max_field_size 8k;", location=location) as front:
        command = ["curl", "-sS", "--fail", "-m", "30"]
        url = f"http://127.0.0.1:{front}/g"
        assert run(*command, f"{url}/") == "hello"
        assert Facts(run(*command, f"{url}/facts"))["http_version"] == "'2'"
        assert run(*command, "-d", "x" * 100_000, f"{url}/swallow") == "100000"
        assert run(*command, "-H", "TE: trailers", "-d", "ab", f"{url}/call") == "abab"
