"""Types are the same on every host, and text says its charset."""

import pytest
from propylon.gateway.handlers.static.media_types import can_be_compressed, media_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("app.min.JS", "text/javascript; charset=utf-8"),
        ("photo.JPG", "image/jpeg"),
        ("font.woff2", "font/woff2"),
        ("app.wasm", "application/wasm"),
        ("LICENSE", "application/octet-stream"),
        ("x.nobody-knows", "application/octet-stream"),
        ("archive.tar.gz", "application/gzip"),
        ("trailing.", "application/octet-stream"),
    ],
)
def test_the_last_extension_tells(name: str, kind: str) -> None:
    assert media_type(name) == kind


def test_what_is_compressed_already_is_not_looked_for() -> None:
    names = {name: can_be_compressed(media_type(name)) for name in ("a.js", "a.svg", "a.json")}
    assert all(names.values()), names
    assert not any(can_be_compressed(media_type(name)) for name in ("a.png", "a.woff2", "a.zip"))
