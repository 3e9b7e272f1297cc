"""Routes that send files, by [[routes]] and by --static."""

from pathlib import Path

import pytest
from propylon.gateway.config.faults import ConfigError
from propylon.gateway.settings import RouteSettings, StaticSettings

from .test_load import loaded


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def routes(toml: str = "", **flags: object) -> tuple[RouteSettings, ...]:
    return loaded({"app": "a:a", **flags}, toml=toml).config.routes


def faults(toml: str = "", **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        routes(toml, **flags)
    return str(caught.value)


def test_the_keys_of_an_entry(tmp_path: Path) -> None:
    toml = f"""
[[routes]]
prefix = "/static"
static = "{tmp_path}"
static_fallback = "index.html"
static_symlinks = "refuse"
static_immutable = false
[[routes]]
host = "docs.example.com"
static = "{tmp_path}"
pool = "default"
"""
    assert routes(toml) == (
        RouteSettings(
            pool="",
            prefix="/static",
            static=StaticSettings(
                folder=str(tmp_path), fallback="index.html", symlinks="refuse", immutable=False
            ),
        ),
        RouteSettings(
            host="docs.example.com", static=StaticSettings(folder=str(tmp_path)), pool="default"
        ),
    )


def test_the_option_in_front_of_the_only_app(tmp_path: Path) -> None:
    files = StaticSettings(folder=str(tmp_path))
    assert routes(static=(f"/s={tmp_path}", f"/t/={tmp_path}")) == (
        RouteSettings(pool="default"),
        RouteSettings(pool="", prefix="/s", static=files),
        RouteSettings(pool="", prefix="/t", static=files),
    )
    # What it has not at the root is the app's.
    assert routes(static=(f"/={tmp_path}",)) == (RouteSettings(pool="default", static=files),)


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('static = ""', "found '', which is no directory"),
        ('static = "/nowhere"', "found '/nowhere', which is no directory"),
        ('pool = "default"\nstatic_index = "x"', "name their folder too, as static"),
        ('static = "/"\nstatic_index = "../x"', "the name of a file in the static folder"),
        ('static = "/"\nstatic_fallback = "/x"', "the name of a file in the static folder"),
        ('static = "/"\nstatic_symlinks = "yes"', "expected"),
        ('static = "/"\nstatic_immutable = "yes"', "expected"),
        ('static = "/"\nstatic_cache_control = "a\\nb"', "printable ASCII"),
        ('static = "/"\npool = "default"\nstatic_fallback = "x"', "answered by the route's pool"),
        ('static = "/"\npool = "default"\nstatic_not_found = "x"', "answered by the route's pool"),
        ('static = "/"\nstatic_root = "x"', "static"),
    ],
)
def test_what_is_wrong_with_an_entry(toml: str, sentence: str) -> None:
    assert sentence in faults(f"[[routes]]\n{toml}\n")


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (("/s",), "a folder of files is written PREFIX=DIR"),
        (("s=/",), "a prefix begins with a slash"),
        (("/s=/nowhere",), "'/nowhere' is no directory"),
        (("/s=/", "/s=/tmp"), "another route has that prefix"),
    ],
)
def test_what_is_wrong_with_the_option(texts: tuple[str, ...], sentence: str) -> None:
    assert sentence in faults(static=texts)
