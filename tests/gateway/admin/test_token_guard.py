import base64
import logging
import os
from pathlib import Path

import pytest
from propylon.gateway.admin.token_guard import TokenGuard, shown_token

TOKEN = "0123456789abcdef-._~+/=="
OTHER = "another-token-that-is-long"


def bearer(token: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"authorization", b"Bearer " + token.encode()),)


def basic(pair: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"authorization", b"Basic " + base64.b64encode(pair.encode())),)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logging.getLogger("propylon"), "propagate", True)
    return caplog


def test_who_shows_the_token_comes_in(file: Path) -> None:
    guard = TokenGuard()
    assert guard.admits(str(file), bearer(TOKEN))
    assert guard.admits(str(file), basic(f"anybody:{TOKEN}"))
    for shown in ((), bearer(OTHER), bearer(""), bearer(TOKEN[:-1]), basic(f"{TOKEN}:")):
        assert not guard.admits(str(file), shown)
    assert guard.admits("", ())


@pytest.mark.parametrize(
    ("field", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bEARER   abc ", b"abc"),
        (b"Basic " + base64.b64encode(b"u:a:b"), b"a:b"),
        (b"Basic " + base64.b64encode(b"no colon"), None),
        (b"Basic \xff\xfe", None),
        (b"Basic ****", None),
        (b"Digest abc", None),
        (b"abc", None),
        (b"", None),
    ],
)
def test_what_a_field_shows(field: bytes, token: bytes | None) -> None:
    assert shown_token(((b"authorization", field),)) == token


def test_a_token_that_is_shown_twice_is_none() -> None:
    assert shown_token(bearer(TOKEN) * 2) is None


def test_the_file_is_read_again_when_it_is_another_one(file: Path) -> None:
    guard = TokenGuard()
    assert guard.admits(str(file), bearer(TOKEN))
    new = file.with_name("new")
    new.write_text(OTHER)
    os.replace(new, file)
    assert guard.admits(str(file), bearer(OTHER))
    assert not guard.admits(str(file), bearer(TOKEN))


def test_the_last_token_stays_while_the_file_cannot_be_used(file: Path, log) -> None:
    guard = TokenGuard()
    assert guard.admits(str(file), bearer(TOKEN))
    file.write_text("")
    for _ in range(3):
        assert guard.admits(str(file), bearer(TOKEN))
        assert not guard.admits(str(file), bearer(""))
    file.unlink()
    assert guard.admits(str(file), bearer(TOKEN))
    said = [record.getMessage() for record in log.records]
    assert len(said) == 2
    assert said[0].endswith("makes a token; the token that was read before stays")
    assert "cannot be read" in said[1]
    file.write_text(OTHER)
    assert guard.admits(str(file), bearer(OTHER))


def test_a_file_that_was_never_read_lets_nobody_in(tmp_path: Path, log) -> None:
    guard = TokenGuard()
    assert not guard.admits(str(tmp_path / "none"), bearer(TOKEN))
    assert len(log.records) == 1


def test_the_token_of_one_file_is_none_of_another(file: Path, log) -> None:
    guard = TokenGuard()
    assert guard.admits(str(file), bearer(TOKEN))
    assert not guard.admits(f"{file}.other", bearer(TOKEN))
