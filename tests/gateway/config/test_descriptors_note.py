"""What the start says about the limit of open files."""

from propylon.gateway.config.descriptors_note import notes_on_descriptors
from propylon.gateway.settings import ServeSettings


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
