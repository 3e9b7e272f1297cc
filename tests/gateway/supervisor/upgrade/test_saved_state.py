"""What crosses the exec(2) of an upgrade is read as the version before has written it."""

import json
from pathlib import Path

from propylon.gateway import json_texts
from propylon.gateway.supervisor.upgrade.saved_state import Handover

SAVED = (Path(__file__).parent / "saved_by_bf5b85c.json").read_bytes()
"""By a supervisor of commit bf5b85c: worker 1 is being recycled, its replacement still starts;
worker 2 has asked for the same; worker 3 was scaled away and finishes what it has."""


def saved() -> Handover:
    return json_texts.decode(SAVED, Handover)


def test_it_is_written_with_the_names_that_it_is_read_by() -> None:
    """The next version reads what this one writes, and the one before did."""
    assert json.loads(json_texts.encode(saved())) == json.loads(SAVED)
