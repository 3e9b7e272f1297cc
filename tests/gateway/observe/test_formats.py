"""Lines of the access log: every atom, and nothing that a client could forge."""

import json
import re
from datetime import datetime

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Account, Exchange, Request
from propylon.gateway.observe import formats
from propylon.gateway.observe.formats import ATOMS, Entry, compile_format
from propylon.gateway.settings import LogSettings

from ...fakes.exchange_sides import FakeClient, FakeSource
from ...house.source import ROOT

ENDED = 1_000_000_000.25


def entry(target: bytes = b"/a%20b?q=1", headers=()) -> Entry:
    request = Request("GET", target, "1.1")
    request.headers = headers
    request.host = "example.com"
    exchange = Exchange(request, FakeClient(), Endpoint(("127.0.0.1", 4711), None))
    exchange.complete(200, ((b"x-id", b"7"),), 13, 1.234567)
    return exchange, 1.234567, ENDED


def served() -> Entry:
    """One that an app has answered, of which everything is known."""
    one = entry(headers=((b"x-token", b"abc"),))
    exchange = one[0]
    exchange.trace_id = f"{0xABC:032x}"
    exchange.extensions = {"tls": {"tls_version": 0x0304}}
    exchange.take_route("example.com/a")
    exchange.identify("0af7-9")
    exchange.count_received(4)
    exchange.connect(FakeSource(has_done=Account("api", 3, 0.25, 2, 7)), 0.25)
    return one


@pytest.mark.parametrize(
    ("atom", "expected"),
    [
        ("h", "127.0.0.1"), ("l", "-"), ("u", "-"), ("r", "GET /a%20b?q=1 HTTP/1.1"), ("m", "GET"),
        ("U", "/a%20b"), ("q", "q=1"), ("H", "HTTP/1.1"), ("s", "200"), ("B", "13"), ("b", "13"),
        ("f", "-"), ("a", "-"), ("T", "1"), ("M", "1234"), ("D", "1234567"), ("L", "1.234567"),
        ("p", "-"), ("target", "/a%20b?q=1"), ("version", "1.1"), ("tls", "TLSv1.3"),
        ("received", "4"), ("route", "example.com/a"), ("pool", "api"), ("worker", "3"),
        ("generation", "7"), ("attempts", "2"), ("queued", "0.250000"), ("app", "0.984567"),
        ("end", "ok"), ("reason", "-"), ("request_id", "0af7-9"), ("trace_id", f"{0xabc:032x}"),
        ("why", ""), ("{X-Token}i", "abc"), ("{x-none}i", "-"), ("{X-Id}o", "7"),
    ],
)  # fmt: skip
def test_atoms(atom: str, expected: str) -> None:
    line = compile_format(f"<%({atom})s>")(served())
    assert line.decode() == f"<{expected}>"


@pytest.mark.parametrize(
    ("atom", "expected"),
    [
        ("tls", "-"), ("received", "0"), ("route", "-"), ("pool", "-"), ("worker", "-"),
        ("generation", "-"), ("attempts", "-"), ("queued", "-"), ("app", "-"), ("reason", "-"),
        ("request_id", "-"), ("trace_id", "-"),
    ],
)  # fmt: skip
def test_atoms_of_what_is_not_known(atom: str, expected: str) -> None:
    assert compile_format(f"<%({atom})s>")(entry()).decode() == f"<{expected}>"


def test_the_time_is_the_end_of_the_exchange() -> None:
    line = compile_format("%(t)s")(entry())
    assert datetime.strptime(line.decode(), "[%d/%b/%Y:%H:%M:%S %z]").timestamp() == int(ENDED)
    record = json.loads(compile_format("json")(entry()))
    assert datetime.fromisoformat(record["time"]).timestamp() == ENDED


def test_percent_signs_are_kept() -> None:
    assert compile_format("100%% %(s)s 5% %d")(entry()) == b"100% 200 5% %d"


def test_an_unknown_atom_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown atom %\(x\)s"):
        compile_format("%(h)s %(x)s")


def test_a_client_cannot_forge_a_line() -> None:
    agent = b'evil" 200 -\t\x1b[31m \\ \xc3\xa4'
    line = compile_format('"%(a)s"')(entry(headers=((b"user-agent", agent),)))
    assert line == rb'"evil\x22 200 -\x09\x1b[31m \x5c \xc3\xa4"'


def test_json() -> None:
    headers = ((b"user-agent", b'a"b'), (b"referer", b"\\\x00\xc3\xa4"), (b"referer", b"2"))
    line = compile_format("json")(entry(headers=headers))
    record = json.loads(line.decode("ascii"))
    assert record["path"] == "/a%20b"
    assert record["query"] == "q=1"
    assert record["status"] == 200
    assert record["bytes"] == 13
    assert record["duration"] == pytest.approx(1.234567)
    assert record["user_agent"] == r"a\x22b"
    assert record["referer"] == r"\x5c\x00\xc3\xa4"
    assert record["client"] == "127.0.0.1"
    assert (record["method"], record["scheme"], record["host"]) == ("GET", "http", "example.com")
    assert record["protocol"] == "HTTP/1.1"
    assert record["end"] == "ok"


def test_json_has_every_key_in_any_case() -> None:
    record = json.loads(compile_format("json")(served()))
    bare = json.loads(compile_format("json")(entry()))
    assert [*record] == [*bare]
    wanted = {
        "tls": "TLSv1.3", "bytes": 13, "received": 4, "pool": "api", "worker": 3,
        "generation": 7, "attempts": 2, "queued": 0.25, "app": 0.984567, "route": "example.com/a",
        "end": "ok", "reason": None, "request_id": "0af7-9", "trace_id": f"{0xabc:032x}",
        "request": None,
    }  # fmt: skip
    assert {key: record[key] for key in wanted} == wanted
    assert [key for key, value in bare.items() if value is None] == [
        "tls", "request", "queued", "app", "pool", "worker", "generation", "route", "reason",
        "request_id", "trace_id",
    ]  # fmt: skip


def test_an_app_that_never_answered_had_the_request_to_its_end() -> None:
    request = Request("GET", b"/", "1.1")
    exchange = Exchange(request, FakeClient(), opened=1.0)
    exchange.connect(FakeSource(), 2.0)
    exchange.abandon("The client went away.", 5.0)
    assert compile_format("%(app)s")((exchange, 4.0, ENDED)) == b"3.000000"


def test_the_page_has_every_atom_and_key() -> None:
    page = (ROOT / "docs" / "LOGS.md").read_text()
    assert set(re.findall(r"^\| `%\((\w+)\)s`", page, re.M)) == {*ATOMS}
    keys = json.loads(compile_format("json")(entry()))
    _, _, about_json = page.partition("## JSON")
    assert re.findall(r"^\| `(\w+)` ", about_json.partition("\n## ")[0], re.M) == [*keys]


def test_json_of_what_is_not_known() -> None:
    bare, seconds, ended = entry(b'/\\"?\xff?')
    bare.client, bare.request.host = None, 'a"\u20ac\\'
    record = json.loads(compile_format("json")((bare, seconds, ended)))
    assert record["client"] is None
    assert record["host"] == 'a"\u20ac\\'
    assert (record["path"], record["query"]) == (r"/\x5c\x22", r"\xff?")
    assert record["referer"] == "-"
    assert datetime.fromisoformat(record["time"]).timestamp() == ended


DEFAULT = LogSettings().access_logformat


@pytest.mark.parametrize(
    ("worker", "shown"), [(3, "3"), (None, "-"), ('"\n\u20ac', r"\x22\x0a\xe2\x82\xac")]
)
def test_why_the_app_has_not_answered(worker: int | str | None, shown: str) -> None:
    one = entry()
    exchange = one[0]
    answered = compile_format(DEFAULT)(one)
    assert answered.endswith(b'13 "-" "-"'), "as gunicorn's, where the app has answered"
    exchange.give_reason('It "ended"\n')
    exchange.give_end("worker_died")
    exchange.identify("0af7-9")
    exchange.connect(FakeSource(has_done=Account("api", worker, 1.25, 2)), 0.0)
    line = compile_format(DEFAULT)(one).decode()
    assert line == answered.decode() + (
        rf' reason="It \x22ended\x22\x0a" pool=api worker={shown} queued=1.250 attempts=2'
        " end=worker_died id=0af7-9"
    )
    record = json.loads(compile_format("json")(one))
    assert record["reason"] == exchange.reason
    assert record["end"] == "worker_died"
    assert (record["pool"], record["worker"]) == ("api", worker)
    assert (record["queued"], record["attempts"]) == (1.25, 2)
    atoms = compile_format("%(pool)s %(worker)s %(queued)s %(attempts)s %(reason)s")(one)
    assert atoms.decode() == rf"api {shown} 1.250000 2 It \x22ended\x22\x0a"


def test_why_a_response_was_cut() -> None:
    one = served()
    one[0].give_end("client_left_response")
    why = " pool=api worker=3 queued=0.250 attempts=2 end=client_left_response id=0af7-9"
    assert compile_format("%(why)s")(one).decode() == why


def test_why_without_a_source() -> None:
    one = entry()
    one[0].give_reason("Nothing is served at this address.")
    assert compile_format("%(why)s")(one) == b' reason="Nothing is served at this address."'
    assert compile_format("%(pool)s%(worker)s%(queued)s%(attempts)s")(one) == b"----"
    record = json.loads(compile_format("json")(one))
    assert record["reason"] == "Nothing is served at this address."
    assert (record["pool"], record["worker"], record["queued"]) == (None, None, None)


def test_a_line_that_could_not_be_told_apart() -> None:
    request = Request("-", b'GET "\x01?', "")
    one = (Exchange(request, None), 0.0, ENDED)  # type: ignore[arg-type]
    one[0].give_reason("The request line is malformed.")
    assert compile_format("%(r)s|%(m)s|%(U)s|%(q)s|%(H)s")(one) == rb"GET \x22\x01?|-|-||-"
    record = json.loads(compile_format("json")(one))
    assert (record["method"], record["path"], record["protocol"]) == ("-", "-", "-")
    assert record["request"] == r"GET \x22\x01?"
    request.target = b""
    assert compile_format("%(r)s")(one) == b"-"


@pytest.mark.parametrize("logformat", ["json", "%(a)s %({x-a}i)s"])
def test_a_client_cannot_fill_the_memory_with_what_lines_share(logformat: str) -> None:
    line = compile_format(logformat)
    line(entry())

    def kept() -> int:
        caches = [one for one in vars(formats).values() if hasattr(one, "cache_info")]
        return sum(one.cache_info().currsize for one in caches)

    before = kept()
    for name in (b"user-agent", b"referer", b"x-a"):
        line(entry(headers=((name, 5_000 * b"x"),)))
    odd = entry(b"/" + 5_000 * b"x")
    odd[0].request.host = 5_000 * "a"
    line(odd)
    assert kept() == before


def test_a_line_has_the_version_as_nginx_writes_it() -> None:
    one = entry()
    one[0].request.http_version = "2"
    line = compile_format("%(r)s|%(H)s|%(version)s")(one)
    assert line == b"GET /a%20b?q=1 HTTP/2.0|HTTP/2.0|2"
    assert json.loads(compile_format("json")(one))["protocol"] == "HTTP/2.0"
    one[0].request.http_version = "2.0"  # as a request line has it that was refused
    assert compile_format("%(H)s")(one) == b"HTTP/2.0"
