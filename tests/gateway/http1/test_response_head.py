"""What the app sends, and what of it reaches the wire."""

import h11
import pytest
from propylon.gateway.exchange.errors import ResponseError
from propylon.gateway.http1.machine import HttpMachine
from propylon.gateway.http1.response_head import ResponseHeads

from .drive import context


def machine_after(head: bytes) -> HttpMachine:
    machine = HttpMachine(context("httptools"))
    machine.receive(head)
    assert machine.next_request() is not None
    return machine


def get(version: str = "1.1", method: str = "GET", extra: str = "") -> HttpMachine:
    return machine_after(f"{method} / HTTP/{version}\r\nHost: a\r\n{extra}\r\n".encode())


def read(data: bytes, method: str = "GET") -> tuple[h11.Response, bytes, bool]:
    """The response as another implementation reads it: head, body, whether it was whole."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            return head, body, isinstance(event, h11.EndOfMessage)


def test_a_complete_response_gets_its_length() -> None:
    data = get().respond(200, ((b"content-type", b"text/plain"),), b"hello")
    head, body, whole = read(data)
    assert (head.status_code, body, whole) == (200, b"hello", True)
    names = [name for name, _ in head.headers]
    assert names == [b"content-type", b"date", b"server", b"content-length"]


def test_the_apps_date_and_server_win() -> None:
    head, _, _ = read(get().respond(200, ((b"date", b"then"), (b"server", b"mine")), b""))
    assert [v for n, v in head.headers if n in (b"date", b"server")] == [b"then", b"mine"]


def test_streamed_in_chunks_and_by_length() -> None:
    machine = get()
    data = (
        machine.start(200, ())
        + b"".join(machine.body(b"ab"))
        + b"".join(machine.body(b"c" * 20))
        + machine.end()
    )
    assert read(data)[1:] == (b"ab" + b"c" * 20, True)
    machine = get()
    data = machine.start(200, ((b"content-length", b"3"),)) + b"".join(machine.body(b"ab"))
    assert read(data + b"".join(machine.body(b"c")) + machine.end())[1:] == (b"abc", True)
    assert machine.keep_alive


def test_http_1_0_streams_until_the_connection_closes() -> None:
    machine = get("1.0", extra="Connection: keep-alive\r\n")
    data = machine.start(200, ()) + b"".join(machine.body(b"ab")) + machine.end()
    assert data.endswith(b"connection: close\r\n\r\nab")
    assert not machine.keep_alive
    assert not machine.end_shows


def test_http_1_0_keep_alive_is_said() -> None:
    machine = get("1.0", extra="Connection: keep-alive\r\n")
    assert b"connection: keep-alive\r\n" in machine.respond(200, (), b"x")
    assert machine.keep_alive


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_statuses(status: int) -> None:
    machine = get()
    data = machine.respond(status, ((b"content-length", b"5"),), b"hello")
    assert data.endswith(b"\r\n\r\n")
    assert (b"content-length" in data) is (status == 304)
    machine = get()
    data = machine.start(status, ()) + b"".join(machine.body(b"hello")) + machine.end()
    assert data.endswith(b"\r\n\r\n")
    assert b"transfer-encoding" not in data


def test_head_drops_the_body_and_keeps_its_length() -> None:
    for headers in ((), ((b"content-length", b"5"),)):
        head, body, whole = read(get(method="HEAD").respond(200, headers, b"hello"), "HEAD")
        assert dict(head.headers)[b"content-length"] == b"5"
        assert (body, whole) == (b"", True)
    machine = get(method="HEAD")
    assert machine.start(200, ()) + b"".join(machine.body(b"x")) + machine.end() == machine.start(
        200, ()
    )


def test_a_body_over_its_length_is_cut() -> None:
    machine = get()
    data = machine.respond(200, ((b"content-length", b"3"),), b"hello")
    assert read(data)[1:] == (b"hel", True)
    assert machine.fault
    machine = get()
    data = (
        machine.start(200, ((b"content-length", b"3"),))
        + b"".join(machine.body(b"hello"))
        + machine.end()
    )
    assert read(data)[1:] == (b"hel", True)
    assert machine.fault
    assert not machine.keep_alive


def test_a_body_under_its_length_is_visibly_short() -> None:
    machine = get()
    data = (
        machine.start(200, ((b"content-length", b"9"),))
        + b"".join(machine.body(b"hello"))
        + machine.end()
    )
    assert read(data)[1:] == (b"hello", False)
    assert not machine.keep_alive
    machine = get()
    assert read(machine.respond(200, ((b"content-length", b"9"),), b"hello"))[1:] == (
        b"hello",
        False,
    )
    assert not machine.keep_alive


def test_the_hop_to_the_client_is_not_the_apps() -> None:
    headers = tuple(
        (name, b"x")
        for name in (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te")
    )
    head, body, _ = read(get().respond(200, headers, b"hello"))
    assert body == b"hello"
    assert {name for name, _ in head.headers} == {b"date", b"server", b"content-length"}


@pytest.mark.parametrize(
    "headers",
    [
        ((b"x", b"a\r\nevil: 1"),),
        ((b"x", b"a\nb"),),
        ((b"x", b"a\rb"),),
        ((b"x", b"a\x00"),),
        ((b"x\r\nevil", b"1"),),
        ((b"x y", b"1"),),
        ((b"x:y", b"1"),),
        ((b"", b"1"),),
        ((b"date", b"a\r\nb: c"),),
        ((b"content-length", b"5, 5"),),
        ((b"content-length", b"-1"),),
        ((b"content-length", b"4"), (b"content-length", b"5")),
        ((b"Content-Length", b"+5"),),
    ],
)
def test_headers_that_must_not_leak(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    for _ in range(2):  # what was refused once is not remembered as good
        machine = get()
        with pytest.raises(ResponseError):
            machine.respond(200, headers, b"hello")
        with pytest.raises(ResponseError):
            machine.start(200, headers)


@pytest.mark.parametrize("status", [0, 100, 101, 199, 1000])
def test_statuses_that_are_none(status: int) -> None:
    with pytest.raises(ResponseError):
        get().respond(status, (), b"")


def test_an_unregistered_status_passes() -> None:
    assert get().respond(599, (), b"").startswith(b"HTTP/1.1 599 \r\n")


def test_names_stay_as_the_app_wrote_them() -> None:
    headers = (
        (b"X-Answer", b"42"),
        (b"Content-Length", b"005"),
        (b"Date", b"d"),
        (b"SERVER", b"s"),
    )
    for _ in range(2):  # checked, and then known
        head = get().respond(200, headers, b"hello").partition(b"\r\n\r\n")[0]
        names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
        assert names == [b"X-Answer", b"Content-Length", b"Date", b"SERVER"]
        assert b"\r\nContent-Length: 5\r\n" in head
    assert b"Content-Length: 9\r\n" in get().start(200, ((b"Content-Length", b"9"),))


def test_capitals_have_the_same_meaning() -> None:
    data = get().respond(200, ((b"Content-Length", b"5"), (b"Connection", b"x")), b"hello")
    assert data.lower().count(b"content-length") == 1
    assert b"onnection" not in data
    assert b"ontent-" not in get().respond(204, ((b"Content-Length", b"0"),), b"")


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, close", b"close,upgrade"])
@pytest.mark.parametrize("name", [b"connection", b"Connection"])
def test_an_app_may_close_the_connection(name: bytes, value: bytes) -> None:
    for version, extra in (("1.1", ""), ("1.0", "Connection: keep-alive\r\n")):
        for whole in (True, False):
            machine = get(version, extra=extra)
            field = ((name, value),)
            data = machine.respond(200, field, b"x") if whole else machine.start(200, field)
            assert data.lower().count(b"connection:") == 1
            assert b"connection: close\r\n" in data
            assert not machine.keep_alive


@pytest.mark.parametrize("value", [b"keep-alive", b"closed", b"x-close", b""])
def test_nothing_else_of_the_apps_closes_it(value: bytes) -> None:
    machine = get()
    assert b"onnection" not in machine.respond(200, ((b"connection", value),), b"x")
    assert machine.keep_alive


def test_an_own_reason_phrase() -> None:
    machine = get()
    machine.phrase(422, b"Out Of \xfc Cheese")
    assert machine.respond(422, (), b"").startswith(b"HTTP/1.1 422 Out Of \xfc Cheese\r\n")
    assert machine.respond(422, (), b"").startswith(b"HTTP/1.1 422 Unprocessable Content\r\n")
    machine.phrase(299, b"Fine")
    assert machine.start(299, ()).startswith(b"HTTP/1.1 299 Fine\r\n")
    machine.phrase(299, b"Fine")  # of a worker that died before it answered
    assert machine.respond(502, (), b"").startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    machine.phrase(200, b"OK\r\nX: y")
    with pytest.raises(ResponseError):
        machine.respond(200, (), b"")


def test_what_a_101_does_not_carry() -> None:
    heads = ResponseHeads(b"propylon", 0.0)
    given = ((b"server", b"mine"), (b"X-Y", b"z"), (b"connection", b"close"), (b"upgrade", b"x"),
             (b"Content-Length", b"0"), (b"date", b"now"))  # fmt: skip
    assert heads.fields(given) == [b"server: mine\r\n", b"X-Y: z\r\n", b"date: now\r\n"]


def test_closing_is_said() -> None:
    for machine in (get(extra="Connection: close\r\n"), get("1.0")):
        assert b"connection: close\r\n" in machine.respond(200, (), b"x")
    machine = get()
    assert b"connection: close\r\n" in machine.respond(200, (), b"x", close=True)
    assert not machine.keep_alive
