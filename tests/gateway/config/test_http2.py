"""The options of HTTP/2: what they become, and where they have no effect."""

from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.config.build import gateway_settings
from propylon.gateway.config.http2 import versions_of
from propylon.gateway.config.load import Loaded, load
from propylon.gateway.config.migrate import migrate
from propylon.gateway.listen.address import Address, TcpAddress, UnixAddress
from propylon.gateway.settings import Http2Settings

from ..tls.issued import issue
from .test_faults import faults


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(**flags: Any) -> Loaded:
    return load("serve", {"app": "main:app"} | flags, {})


def with_tls(**flags: Any) -> Loaded:
    one = issue(Path.cwd(), "a.test")
    return loaded(ssl_certfile=(str(one.certfile),), ssl_keyfile=(str(one.keyfile),), **flags)


def test_each_option_reaches_the_gateway() -> None:
    flags = {
        "http2": False,
        "h2c": "prior-knowledge",
        "http2_websocket": False,
        "http2_engine": "h2",
        "http2_max_streams": "7",
        "http2_stream_window": "65536",
        "http2_max_frame_size": "32768",
        "http2_max_resets": "99",
    }
    told = gateway_settings(loaded(**flags).config, 1, "/run", ()).http2
    assert told == Http2Settings(
        prior_knowledge=True,
        websockets=False,
        engine="h2",
        max_streams=7,
        stream_window=65_536,
        max_frame_size=32_768,
        max_resets=99,
    )
    assert gateway_settings(loaded().config, 1, "/run", ()).http2 == Http2Settings()


def test_where_there_are_no_websockets_there_are_none_in_http2() -> None:
    assert not loaded(ws="none").config.http2.websockets


def test_a_connection_has_a_window_for_all_its_streams() -> None:
    assert loaded(http2_max_streams="8191").notes  # has no effect, but is no fault
    assert faults({"app": "main:app", "http2_max_streams": "8192"}) == [
        "--http2-max-streams: found 8192; 8192 streams of 262144 bytes are more than 2147483647, "
        "the largest window that a connection has (RFC 9113 section 6.9.1)"
    ]
    (fault,) = faults({"app": "main:app", "http2_stream_window": "100000000"})
    assert fault.startswith("--http2-stream-window: found 100000000; 100 streams of")


@pytest.mark.parametrize(
    ("address", "flags", "spoken"),
    [
        (TcpAddress("::1", 80), {}, "HTTP/1.1"),
        (TcpAddress("::1", 80), {"h2c": "prior-knowledge"}, "HTTP/2 and HTTP/1.1"),
        (TcpAddress("::1", 443, tls=True), {}, "HTTP/2 and HTTP/1.1"),
        (TcpAddress("::1", 443, tls=True), {"http2": False, "h2c": "prior-knowledge"}, "HTTP/1.1"),
        (UnixAddress("/run/a"), {"h2c": "prior-knowledge"}, "HTTP/2 and HTTP/1.1"),
    ],
)
def test_what_is_spoken(address: Address, flags: dict[str, Any], spoken: str) -> None:
    assert versions_of(loaded(**flags).options, address) == spoken


@pytest.mark.parametrize(
    ("flags", "note"),
    [
        ({}, ""),
        ({"http2": False}, ""),
        ({"h2c": "prior-knowledge"}, ""),
        ({"http2": True}, "--http2 has no effect: no listener speaks TLS; HTTP/2 without it is"),
        ({"http2": True, "h2c": "prior-knowledge"}, ""),
        ({"http2_max_streams": "9"}, "--http2-max-streams has no effect: HTTP/2 is not spoken"),
        ({"http2_max_streams": "9", "h2c": "prior-knowledge"}, ""),
        (
            {"http2_websocket": True, "h2c": "prior-knowledge", "ws": "none"},
            "--http2-websocket has no effect: --ws none",
        ),
    ],
)
def test_notes_without_tls(flags: dict[str, Any], note: str) -> None:
    said = loaded(**flags).notes
    assert len(said) == bool(note)
    assert not note or said[0].startswith(note)


@pytest.mark.parametrize(
    ("flags", "note"),
    [
        ({"http2": True, "http2_max_streams": "9"}, ""),
        ({"h2c": "prior-knowledge"}, "--h2c has no effect: every listener speaks TLS"),
        ({"h2c": "prior-knowledge", "insecure_bind": (":80",)}, ""),
        (
            {"http2": False, "http2_stream_window": "65536"},
            "--http2-stream-window has no effect: HTTP/2 is not spoken",
        ),
    ],
)
def test_notes_with_tls(flags: dict[str, Any], note: str) -> None:
    said = with_tls(**flags).notes
    assert len(said) == bool(note)
    assert not note or said[0].startswith(note)


def test_a_worker_is_told_nothing_of_it() -> None:
    found = load(
        "worker", {"app": "main:app", "run_dir": "/run"}, {"PROPYLON_H2C": "prior-knowledge"}
    )
    assert not [note for note in found.notes if "h2c" in note]


def test_what_hypercorn_says_in_its_file() -> None:
    Path("hypercorn.toml").write_text(
        'application_path = "main:app"\n'
        'alpn_protocols = ["http/1.1"]\n'
        "h2_max_concurrent_streams = 50\n"
        "h2_max_inbound_frame_size = 32768\n"
    )
    Path("propylon.toml").write_text(migrate("hypercorn.toml"))
    options = load("serve", {}, {}).options
    assert (options.http2, options.http2_max_streams) == (False, 50)
    assert options.http2_max_frame_size == 32_768
