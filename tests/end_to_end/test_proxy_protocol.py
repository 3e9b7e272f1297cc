"""The PROXY protocol, spoken by hand and by HAProxy: who the client is, and who may not say it."""

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trustme

from ..gateway.tls.issued import issue, trusting
from .facts import APPS, SPOOFED, ask, connect, exchange, request
from .other_proxies import first_check, free_port, haproxy, needs_haproxy
from .server import DEADLINE, Propylon

V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4 = bytes([203, 0, 113, 7, 198, 51, 100, 1]) + struct.pack("!HH", 4711, 443)
V2 = SIGNATURE + b"\x21\x11\0\x0f" + TCP4 + b"\4\0\0"
V2_OVER_TLS = SIGNATURE + b"\x21\x11\0\x14" + TCP4 + b"\x20\0\5\1\0\0\0\0"
LOCAL = SIGNATURE + b"\x20\0\0\0"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Propylon]:
    """Takes headers from 127.0.0.0/28 and on its Unix socket."""
    sock = tmp_path_factory.mktemp("gate") / "app.sock"
    flags = ["--proxy-protocol", "--proxy-allow-from", "127.0.0.0/28,unix"]
    with Propylon(APPS["asgi"], *flags, "-b", "127.0.0.1:0", "-b", f"unix:{sock}") as it:
        yield it


def unix_path(propylon: Propylon) -> str:
    return propylon.stderr.find(r"unix:(\S+\.sock)")[1]


@pytest.mark.parametrize("header", [V1, V2])
def test_a_header_says_who_it_is(gate: Propylon, header: bytes) -> None:
    for address in (gate.address, unix_path(gate)):
        facts = ask(address, before=header)
        assert (facts["client"], facts["client_port"]) == ("203.0.113.7", "4711")
        assert (facts["server_name"], facts["server_port"]) == ("198.51.100.1", "443")
        assert facts["scheme"] == "http"
    gate.stdout.find(r'^203\.0\.113\.7 - - .*"GET /facts')


def test_a_header_says_that_the_proxy_ended_tls(gate: Propylon) -> None:
    facts = ask(gate.address, before=V2_OVER_TLS)
    assert (facts["client"], facts["scheme"]) == ("203.0.113.7", "https")


def test_a_header_in_front_of_tls(tmp_path: Path) -> None:
    """The proxy passes TLS on: the header comes first, in the clear, and once."""
    mine = issue(tmp_path, "localhost")
    flags = ["--ssl-certfile", str(mine.certfile), "--ssl-keyfile", str(mine.keyfile)]
    flags += ["--proxy-protocol", "--proxy-allow-from", "127.0.0.1"]
    with Propylon(APPS["asgi"], *flags) as propylon:
        for header in (V1, V2):
            with socket.create_connection(propylon.address, DEADLINE) as sock:
                sock.sendall(header)
                with trusting().wrap_socket(sock, server_hostname="localhost") as secure:
                    secure.sendall(request())
                    answer = b"".join(iter(lambda: secure.recv(65_536), b""))
            assert b"203.0.113.7" in answer
            assert b"https" in answer
        with (
            socket.create_connection(propylon.address, DEADLINE) as sock,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            trusting().wrap_socket(sock, server_hostname="localhost")
        propylon.stderr.find(r"closed a connection from 127\.0\.0\.1: ")


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
def test_a_header_may_say_nothing(gate: Propylon, header: bytes) -> None:
    facts = ask(gate.address, before=header)
    assert (facts["client"], facts["server_name"]) == ("127.0.0.1", "127.0.0.1")


def test_who_is_unknown_is_not_trusted_as_the_proxy_is(gate: Propylon) -> None:
    """The proxy's address is among those whose X-Forwarded-For is believed; its client's is not."""
    fields = "X-Forwarded-For: 192.0.2.66", "X-Forwarded-Proto: https"
    facts = ask(gate.address, *fields, before=b"PROXY UNKNOWN\r\n")
    assert (facts["client"], facts["scheme"]) == ("127.0.0.1", "http")


@pytest.mark.parametrize("header", [V1, V2])
def test_byte_by_byte(gate: Propylon, header: bytes) -> None:
    data = header + request()
    answer = exchange(gate.address, *(data[at : at + 1] for at in range(len(data))))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"203.0.113.7" in answer


def test_keep_alive_behind_one_header(gate: Propylon) -> None:
    again = request().replace(b"Connection: close\r\n", b"")
    assert exchange(gate.address, V2 + again + again + request()).count(b"203.0.113.7") >= 3


def test_a_second_header_is_no_request(gate: Propylon) -> None:
    assert b"HTTP/1.1 200 " not in exchange(gate.address, V1 + V1 + request())


def test_the_client_that_it_names_is_no_trusted_proxy(gate: Propylon) -> None:
    facts = ask(gate.address, *SPOOFED, before=V1)
    assert (facts["client"], facts["scheme"]) == ("203.0.113.7", "http")
    assert facts.field("x-forwarded-for") is None


REFUSED = [
    ("127.0.0.2", request(), "what came first is no PROXY header"),
    ("127.0.0.3", V1[:-2] + b"x\r\n", "the version 1 header is malformed"),
    ("127.0.0.4", b"\x16\x03\x01\x02\0\x01", "what came first is no PROXY header"),
    ("127.0.0.5", V2[:20], "it ended within its PROXY header"),
    ("127.0.0.6", SIGNATURE + b"\x21\x11\xff\xff" + bytes(5000), "has 65551 bytes; 4096 are taken"),
    ("127.0.0.8", b"PROXY " + b"x" * 200, "a version 1 header is at most 107 bytes"),
    ("127.0.0.9", V1.lower() + request(), "what came first is no PROXY header"),
    ("127.0.0.17", V1 + request(), "it is not among --proxy-allow-from"),
]


@pytest.mark.parametrize(("source", "piece", "why"), REFUSED)
def test_anything_else_is_closed_and_logged_once(
    gate: Propylon, source: str, piece: bytes, why: str
) -> None:
    for _ in range(3):
        with connect(gate.address, source) as sock, suppress(OSError):  # gone at any of these
            sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
    gate.stderr.find(rf"closed a connection from {source}: .*{why}")
    assert ask(gate.address, before=V1)["client"] == "203.0.113.7"
    assert gate.stderr.text.count(f"closed a connection from {source}:") == 1


@pytest.mark.slow
def test_a_header_that_does_not_come(gate: Propylon) -> None:
    """A connection that says nothing, and one that stops in the middle."""
    with connect(gate.address, "127.0.0.10") as silent, connect(gate.address, "127.0.0.11") as half:
        half.sendall(V1[:20])
        assert (silent.recv(1), half.recv(1)) == (b"", b"")
    for source in ("127.0.0.10", "127.0.0.11"):
        gate.stderr.find(rf"{source}: its PROXY header did not come in time")


def test_a_check_that_connects_and_closes_is_not_logged(gate: Propylon) -> None:
    for _ in range(5):
        connect(gate.address, "127.0.0.12").close()
        with connect(gate.address, "127.0.0.12") as sock:  # as HAProxy does: a reset
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connect(gate.address, "127.0.0.12") as sock:
            sock.sendall(LOCAL)
    assert ask(gate.address, before=V1)["client"] == "203.0.113.7"
    assert "from 127.0.0.12" not in gate.stderr.text


def test_a_stop_does_not_wait_for_a_header() -> None:
    """And by default nobody but this machine may send one."""
    flags = ["--proxy-protocol", "-b", "0.0.0.0:0", "--timeout-graceful-shutdown", "3600"]
    with Propylon(APPS["asgi"], *flags) as propylon:
        here = ("127.0.0.1", propylon.address[1])
        assert exchange(here, V1 + request(), source="127.0.0.2") == b""
        with connect(here) as sock:
            sock.sendall(V1[:10])
            ask(here, before=V1)  # it is accepted: one after the other
            assert propylon.stop() == 0
            assert sock.recv(1) == b""


# -- HAProxy -------------------------------------------------------------------------------------


@needs_haproxy
def test_haproxy_in_front(gate: Propylon, tmp_path: Path) -> None:
    host, port = gate.address
    targets = [f"{host}:{port}", f"unix@{unix_path(gate)}"]
    with ExitStack() as stack:
        for number, option in enumerate(["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"]):
            for target in targets[: 1 + number]:
                folder = tmp_path / f"{number}{target[:4]}"
                front = stack.enter_context(haproxy(folder, f"{target} {option}"))
                facts = ask(("127.0.0.1", front), *SPOOFED, source="127.0.0.33")
                assert (facts["client"], facts["scheme"]) == ("127.0.0.33", "http")
                assert facts["client_port"] not in ("", "0")
                assert (facts["server_name"], facts["server_port"]) == ("127.0.0.1", str(front))
                assert facts.field("x-forwarded-for") is None


@needs_haproxy
def test_haproxy_s_checks_pass(gate: Propylon, tmp_path: Path) -> None:
    """With version 2 they are LOCAL connections, and with httpchk requests behind it; on a port of
    their own they connect and reset, which is nothing to log."""
    host, port = gate.address
    before = gate.stderr.text
    for number, (check, more, passed) in enumerate(
        [
            ("send-proxy-v2 check", "option httpchk GET /facts", "L7OK"),
            ("send-proxy check", "option httpchk GET /facts", "L7OK"),
            (f"send-proxy-v2 check port {port}", "", "L4OK"),
        ]
    ):
        stats = free_port()
        server = f"{host}:{port} {check} inter 50ms"
        with haproxy(tmp_path / str(number), server, more=more, stats=stats) as front:
            assert first_check(stats) == passed
            assert ask(("127.0.0.1", front), source="127.0.0.33")["client"] == "127.0.0.33"
    assert gate.stderr.text == before


@needs_haproxy
def test_haproxy_ends_tls(gate: Propylon, tmp_path: Path) -> None:
    ca = trustme.CA()
    certificate = tmp_path / "certificate.pem"
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    host, port = gate.address
    server, bind = f"{host}:{port} send-proxy-v2-ssl", f"ssl crt {certificate}"
    with haproxy(tmp_path / "haproxy", server, bind=bind) as front:
        with gate.client(base_url=f"https://127.0.0.1:{front}", verify=False) as client:
            answer = client.get("/facts").text
        assert "scheme='https'" in answer
