"""Python imports this at its start in whatever a test starts; see `write_guard`."""

from write_guard import guard  # type: ignore[import-not-found]

guard().active = True
