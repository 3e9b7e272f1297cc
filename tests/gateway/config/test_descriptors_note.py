"""What the start says about the limit of open files."""

from propylon.gateway.config.descriptors_note import files_of_clients, notes_on_descriptors
from propylon.gateway.settings import (
    PoolSettings,
    RouteSettings,
    ServeSettings,
    StaticSettings,
)


def test_a_low_limit_is_told_with_what_it_is_enough_for() -> None:
    (note,) = notes_on_descriptors(ServeSettings(), 256)
    assert note.startswith("256 open files are allowed (RLIMIT_NOFILE), which is enough for 216 ")
    assert "LimitNOFILE=" in note


def test_a_limit_below_the_option_is_told() -> None:
    (note,) = notes_on_descriptors(ServeSettings(limit_connections=20_000), 16_384)
    assert "enough for 15360 client connections of each gateway process, less than" in note
    assert "--limit-connections 20000" in note


def test_what_is_enough_is_not_told() -> None:
    assert list(notes_on_descriptors(ServeSettings(), 16_384)) == []
    assert list(notes_on_descriptors(ServeSettings(limit_connections=100), 256)) == []
    assert list(notes_on_descriptors(ServeSettings(connections_in_memory=100), 256)) == []


def test_a_client_with_a_file_takes_two() -> None:
    (note,) = notes_on_descriptors(ServeSettings(), 256, "all")
    assert "enough for 108 client connections of each gateway process, each with a file:" in note
    (note,) = notes_on_descriptors(ServeSettings(), 256, "perhaps")
    assert "216 client connections of each gateway process, or 108 of a WSGI app, " in note
    (note,) = notes_on_descriptors(ServeSettings(), 2_048, "perhaps")
    assert "1920 client connections of each gateway process, or 960 of " in note
    assert list(notes_on_descriptors(ServeSettings(limit_connections=100), 256, "all")) == []


def test_who_may_have_a_file() -> None:
    plain, static = RouteSettings(), RouteSettings(static=StaticSettings(folder="/"))
    unsaid, off = PoolSettings(), PoolSettings(buffer_requests="off", buffer_responses="off")
    keeps = PoolSettings(buffer_requests="off", buffer_responses="on")
    assert files_of_clients([plain, static], [off], 0) == "all"
    assert files_of_clients([plain], [off, PoolSettings(internal_files=("/=/srv",))], 0) == "all"
    assert files_of_clients([plain], [off, keeps], 1) == "all"
    assert files_of_clients([plain], [off, unsaid], 1) == "perhaps"
    assert files_of_clients([plain], [off], 1) == "none"
    assert files_of_clients([plain], [keeps, unsaid], 0) == "none"
