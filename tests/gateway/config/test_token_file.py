import os
from pathlib import Path

import pytest
from propylon.gateway.config.token_file import LONGEST_TOKEN, TokenFileError, read_token

TOKEN = "a-token-that-is-long-enough"


def test_blanks_around_a_token_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"  {TOKEN}\r\n\n")
    path.chmod(0o640)
    assert read_token(str(path)).token == TOKEN.encode()
    assert read_token(str(path)).note == ""
    path.chmod(0o644)
    assert (
        read_token(str(path)).note == f"every user here can read {path}; chmod o= keeps it secret"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("too-short", "has a token of 9 characters"),
        ("two words, that are long", "is no token"),
        (f"{TOKEN}\n{TOKEN}\n", "is no token"),
        ("\N{SNOWMAN}" * 20, "is no token"),
        ("x" * (LONGEST_TOKEN + 1), "is no token"),
    ],
)
def test_what_is_no_token(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(TokenFileError, match=problem) as info:
        read_token(str(path))
    assert not content.strip() or content.strip() not in str(info.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, problem in [
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "fifo", "is no file"),
        ("a\0b", "cannot be read"),
    ]:
        with pytest.raises(TokenFileError, match=problem):
            read_token(str(path))
