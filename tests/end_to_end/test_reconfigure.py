"""`propylon reload` and `rollback` with another configuration."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from .operating import Traffic, ask, deploy, done, settled, status, traffic, watch
from .server import DEADLINE, Propylon, wait_for

FIRST = 'app = "changing:app"\nworkers = 2\nreload-observe = 0.1\naccess-log = false\n'
POOLS = """
reload-observe = 0.1
access-log = false
[[pools]]
name = "default"
app = "changing:app"
workers = 2
"""
SECOND_POOL = (
    POOLS
    + """
[[pools]]
name = "other"
app = "other:app"
[[routes]]
prefix = "/other"
pool = "other"
[[routes]]
pool = "default"
"""
)
OTHER = (
    "def app(environ, start):\n"
    "    start('200 OK', [('Content-Length', '5')])\n"
    "    return [b'other']\n"
)


def write(folder: Path, text: str) -> None:
    (folder / "propylon.toml").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    deploy(tmp_path, "old")
    (tmp_path / "other.py").write_text(OTHER)
    write(tmp_path, FIRST)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Propylon]:
    with Propylon(cwd=folder) as server:
        yield server


@pytest.fixture
def clients(server: Propylon) -> Iterator[Traffic]:
    with traffic(server) as clients:
        yield clients


def long_header(server: Propylon) -> int:
    with server.client() as client:
        return client.get("/", headers={"X-Long": "x" * 3000}).status_code


@pytest.mark.slow
def test_a_gateway_option_replaces_the_gateway_and_drops_nobody(
    server: Propylon, clients: Traffic, folder: Path
) -> None:
    assert long_header(server) == 200
    (before,) = server.pids("gateway")
    write(folder, FIRST + "limit-request-field-size = 2000\n")
    done(server, "reload")
    assert long_header(server) == 431
    assert server.pids("gateway") != [before]
    clients.more(50)

    assert "generation 3 serves" in done(server, "rollback")
    assert long_header(server) == 200
    said = ask(server, "rollback")  # there and back
    assert said.code == 0
    assert long_header(server) == 431


@pytest.mark.slow
def test_a_worker_option_leaves_the_gateway(
    server: Propylon, clients: Traffic, folder: Path
) -> None:
    gateway = server.pids("gateway")
    write(folder, FIRST + "max-requests = 60\n")
    done(server, "reload")
    assert server.pids("gateway") == gateway
    for number in (1, 2):
        server.stderr.find(rf"worker {number} .*is replaced: served \d+ requests")
    assert server.pids("gateway") == gateway


@pytest.mark.slow
def test_another_number_of_workers(server: Propylon, clients: Traffic, folder: Path) -> None:
    write(folder, FIRST.replace("workers = 2", "workers = 3"))
    done(server, "reload")
    settled(server, 3)
    write(folder, FIRST.replace("workers = 2", "workers = 1"))
    done(server, "reload")
    settled(server, 1)
    assert status(server)["pools"][0]["wanted"] == 1


@pytest.mark.slow
def test_a_pool_comes_and_goes(folder: Path) -> None:
    write(folder, POOLS)
    with Propylon(cwd=folder) as server, traffic(server), server.client() as client:
        assert client.get("/other").text.startswith("old ")
        write(folder, SECOND_POOL)
        done(server, "reload")
        assert client.get("/other").text == "other"
        assert [pool["name"] for pool in status(server)["pools"]] == ["default", "other"]
        settled(server, 3)
        write(folder, POOLS)
        done(server, "reload")
        assert client.get("/other").text.startswith("old ")
        assert [pool["name"] for pool in status(server)["pools"]] == ["default"]
        settled(server, 2)


@pytest.mark.slow
def test_a_new_pool_whose_app_cannot_start(folder: Path) -> None:
    (folder / "other.py").write_text("raise RuntimeError('other is broken')")
    write(folder, POOLS)
    with Propylon(cwd=folder) as server, traffic(server):
        before, gateway = settled(server, 2), server.pids("gateway")
        write(folder, SECOND_POOL)
        said = ask(server, "reload")
        assert said.code == 1
        assert "other is broken" in said.error
        assert settled(server, 2) == before
        assert server.pids("gateway") == gateway
        assert [pool["name"] for pool in status(server)["pools"]] == ["default"]


@pytest.mark.slow
def test_a_new_pool_beside_an_app_that_has_become_broken(folder: Path) -> None:
    """What has started already of what is new goes again."""
    write(folder, POOLS)
    with Propylon(cwd=folder) as server, traffic(server):
        before = settled(server, 2)
        write(folder, SECOND_POOL)
        deploy(folder, "bad", in_startup="await asyncio.sleep(0.5); raise OSError('no database')")
        said = ask(server, "reload")
        assert said.code == 1
        assert "no database" in said.error
        wait_for(lambda: set(server.pids("worker")) == before.keys(), "the old workers alone")
        deploy(folder, "repaired")
        done(server, "reload")
        settled(server, 3)


def test_a_wrong_file_changes_nothing(server: Propylon, clients: Traffic, folder: Path) -> None:
    before, gateway = settled(server, 2), server.pids("gateway")
    write(folder, FIRST + "wrokers = 3\nqueue-size = -1\n")
    said = ask(server, "reload")
    assert said.code == 1
    assert "the configuration is wrong" in said.error
    assert "wrokers" in said.error
    assert "queue-size" in said.error
    write(folder, "app = [\n")
    said = ask(server, "reload")
    assert said.code == 1
    assert "propylon.toml" in said.error
    assert (settled(server, 2), server.pids("gateway")) == (before, gateway)
    assert status(server)["reload"] is None


@pytest.mark.slow
def test_what_needs_a_restart_is_named(server: Propylon, clients: Traffic, folder: Path) -> None:
    write(folder, FIRST + "gateways = 2\nbacklog = 7\n")
    said = done(server, "reload")
    assert "gateways has changed: it takes effect when Propylon is started anew" in said
    assert "backlog has changed" in said
    assert "backlog has changed" in done(server, "reload"), "and still"
    assert len(server.pids("gateway")) == 1


@pytest.mark.slow
def test_another_address_needs_a_restart(folder: Path) -> None:
    (folder / "pid").touch()
    bind = 'bind = "127.0.0.1:0"\npid = "run.pid"\n'
    write(folder, FIRST + bind)
    with Propylon("-c", "propylon.toml", cwd=folder) as server, traffic(server):
        write(folder, FIRST + bind.replace(":0", ":1").replace("run", "other"))
        said = done(server, "reload")
        assert "bind has changed: it takes effect when Propylon is started anew" in said
        assert "pid has changed" in said
        assert (folder / "run.pid").read_text() == f"{server.process.pid}\n"


@pytest.mark.slow
def test_nothing_to_go_back_to(server: Propylon, clients: Traffic) -> None:
    said = ask(server, "rollback")
    assert said.code == 1
    assert "no configuration to go back to" in said.error
    done(server, "reload")  # the same configuration again
    assert ask(server, "rollback").code == 1


@pytest.mark.slow
def test_an_app_that_fails_with_the_new_configuration(
    server: Propylon, clients: Traffic, folder: Path
) -> None:
    """The gateway is not replaced either, and what crashes later comes back as it was."""
    before, gateway = settled(server, 2), server.pids("gateway")
    write(folder, FIRST.replace("changing:app", "absent:app") + "limit-request-field-size = 2000\n")
    said = ask(server, "reload")
    assert said.code == 1
    assert "absent" in said.error
    assert (settled(server, 2), server.pids("gateway")) == (before, gateway)
    assert long_header(server) == 200
    assert status(server)["pools"][0]["app"] == "changing:app"


# -- certificates --------------------------------------------------------------------------------


def certificate(folder: Path, name: str, authority: trustme.CA) -> str:
    """A line of configuration."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return f'ssl-certfile = ["{name}.pem"]\n'


def serial(server: Propylon, authority: trustme.CA) -> str:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = {"verify": context, "trust_env": False, "timeout": DEADLINE}
    with httpx.Client(**options) as client, client.stream("GET", server.url) as response:
        stream = response.extensions["network_stream"].get_extra_info("ssl_object")
        assert response.status_code == 200
        return stream.getpeercert()["serialNumber"]


@pytest.mark.slow
def test_certificates(folder: Path) -> None:
    authority = trustme.CA()
    first = certificate(folder, "first", authority)
    second = certificate(folder, "second", authority)
    write(folder, FIRST + first)
    with Propylon(cwd=folder) as server:
        before, gateway = serial(server, authority), server.pids("gateway")
        write(folder, FIRST + first.replace("first", "absent"))
        said = ask(server, "reload")
        assert said.code == 1
        assert "absent.pem" in said.error
        assert (serial(server, authority), server.pids("gateway")) == (before, gateway)

        write(folder, FIRST + second)
        done(server, "reload")
        after = serial(server, authority)
        assert after != before
        done(server, "rollback")
        assert serial(server, authority) == before

        (folder / "second.pem").unlink()  # cannot be gone back to: the gateway does not start
        said = ask(server, "rollback")
        assert said.code == 1
        assert "second.pem" in said.error
        assert serial(server, authority) == before
        watch(server, lambda report: len(report["gateways"]) == 1, "one gateway")
