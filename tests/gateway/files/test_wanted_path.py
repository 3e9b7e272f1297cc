"""What a path may name, and what it names never."""

import pytest
from propylon.gateway.files.wanted_path import wanted_path


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("/s", ""),
        ("/s/", ""),
        ("/s/a.txt", "a.txt"),
        ("/s/a/b/", "a/b/"),
        ("/%73/a%20b", "a b"),
        ("/s/%61.txt", "a.txt"),
        ("/s/%2561", "%61"),  # decoded once
        ("/s/caf%C3%A9", "café"),
        ("/s/.well-known/x", ".well-known/x"),
        ("/s/a..b", "a..b"),
        ("/s/...", None),
        ("/s/../a", None),
        ("/s/a/..", None),
        ("/s/%2e%2e/a", None),
        ("/s/a/%2e%2e%2fb", None),
        ("/s/./a", None),
        ("/s//a", None),
        ("/s/a//", None),
        ("/s/%2f", None),
        ("/s/a%00.txt", None),
        ("/s/a%0a", None),
        ("/s/..%5ca", None),
        ("/s/a%5cb", None),
        ("/s/.env", None),
        ("/s/.git/config", None),
        ("/s/a/.htpasswd", None),
        ("/s/" + "x" * 256, None),
    ],
)
def test_paths(raw: str, wanted: str | None) -> None:
    found = wanted_path(raw.encode(), b"/s", hidden=False)
    assert found == (None if wanted is None else wanted.encode())


def test_hidden_names_where_they_are_meant() -> None:
    assert wanted_path(b"/.env", b"", hidden=True) == b".env"
    assert wanted_path(b"/../x", b"", hidden=True) is None
