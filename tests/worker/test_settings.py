"""What a worker is told when it starts, and what it says of what it cannot use."""

import json
import os
from pathlib import Path

import pytest
from propylon.worker.command_line import BY_HAND, NEWER_CODE, WorkerArguments, parse, read_settings
from propylon.worker.settings import (
    SettingsError,
    WorkerSettings,
    decode_settings,
    settings_of,
)

LEAST = {"app": "main:app", "run_dir": "/run/p"}


def test_what_is_left_out_has_its_default_and_what_is_unknown_is_ignored() -> None:
    told = settings_of({**LEAST, "mood": "good"})
    assert told == WorkerSettings(app="main:app", run_dir="/run/p", started=told.started)


def test_names_of_files_survive() -> None:
    path = os.fsdecode(b"/srv/\xff")
    told = decode_settings(json.dumps({**LEAST, "app_dir": path, "pythonpath": [path]}).encode())
    assert (told.app_dir, told.pythonpath) == (path, (path,))


def test_whole_numbers_are_numbers() -> None:
    assert settings_of({**LEAST, "graceful_timeout": 5}).graceful_timeout == 5


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"threads": 0}, "a worker's setting threads: 0 is less than 1"),
        ({"threads": "4"}, "a worker's setting threads is '4', and not of type int"),
        ({"threads": True}, "a worker's setting threads is True, and not of type int"),
        ({"factory": 1}, "a worker's setting factory is 1, and not of type bool"),
        ({"app": None}, "a worker's setting app is None, and not of type str"),
        ({"warm_up": "/"}, "a worker's setting warm_up is '/', and not a list of texts"),
        ({"warm_up": [1]}, "a worker's setting warm_up is [1], and not a list of texts"),
        ({"workers_lifetime": "1"}, "a worker's setting workers_lifetime is '1', and not a number"),
        ({"lifespan": "maybe"}, "setting lifespan is 'maybe', and not one of auto, on, off"),
        ({"limit_concurrency": "7"}, "limit_concurrency is '7', and not a whole number or auto"),
        ({"lifespan": ["on"]}, "setting lifespan is ['on'], and not one of auto, on, off"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(LEAST | wrong)
    assert str(caught.value).endswith(sentence)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "a JSON object: Expecting value"),
        (b'{"app": "main:a', "a JSON object: Unterminated string"),
        (b"[]", "a JSON object, and no list"),
        (b"[" * 100_000, "a JSON object: maximum recursion"),
        (b'{"app": "main:app"}', "a worker's settings lack run_dir"),
    ],
    ids=range(5),
)
def test_what_are_no_settings(data: bytes, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        decode_settings(data)


# -- the command line --------------------------------------------------------------------------


def test_what_is_there_for_readers_of_a_process_list_is_not_looked_at() -> None:
    words = ["main:app", "--pool=web", "--worker-id=3", "--settings-fd=7", "--channel-fd=8", "-x"]
    assert parse(words) == WorkerArguments(7, 8)
    assert parse(["--settings=7", "--channel-fd=x", "--channel-fd"]) == WorkerArguments(None, None)
    assert parse(["main:app", "--leash-fd=8"]) == WorkerArguments(None, 8)


@pytest.mark.parametrize(("channel", "sentence"), [(8, NEWER_CODE), (None, BY_HAND)])
def test_flags_instead_of_a_pipe(channel: int | None, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(WorkerArguments(None, channel))
    assert str(caught.value) == sentence


def test_flags_of_the_version_before_are_settings() -> None:
    """It starts workers until it is upgraded, also to replace one that has crashed."""
    words = [
        "main:app", "--pool=web", "--worker-id=3", "--child-id=70", "--generation=2", "--run-dir=r",
        "--interface=wsgi", "--factory", "--app-dir=/a", "--python-path=/b", "--python-path=/c=d",
        "--loop=auto", "--threads=8", "--slots=5", "--graceful-timeout=9.0", "--warm-up=/",
        "--workers-max-rss=1000", "--header-map=refuse", "--log-file=log", "--colour",
    ]  # fmt: skip
    found = read_settings(parse([*words, "--leash-fd=8"]))
    assert found == WorkerSettings(
        app="main:app", pool="web", worker_id=3, child_id=70, generation=2, run_dir="r",
        interface="wsgi", factory=True, app_dir="/a", pythonpath=("/b", "/c=d"), loop="auto",
        threads=8, limit_concurrency=5, graceful_timeout=9.0, warm_up=("/",), workers_max_rss=1000,
        header_map="refuse", log_file="log", colour=True, started=found.started,
    )  # fmt: skip
    with pytest.raises(SettingsError) as caught:
        read_settings(parse([*words, "--leash-fd=8", "--preload"]))
    assert str(caught.value) == NEWER_CODE


def test_a_pipe_is_read_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_text(json.dumps({**LEAST, "zygote": True}))
    fd = os.open(path, os.O_RDONLY)
    assert read_settings(WorkerArguments(fd, 8)).zygote
    with pytest.raises(SettingsError, match="Bad file descriptor"):
        read_settings(WorkerArguments(fd, 8))
    with pytest.raises(SettingsError, match="nobody would ask a zygote"):
        read_settings(WorkerArguments(os.open(path, os.O_RDONLY), None))
