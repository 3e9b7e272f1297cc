"""Floods harm nobody: the polite clients are answered, and what flooded is counted."""

import pytest

from .flood_clients import FLOODS, NO_FLOOD
from .floods import Times, measure, moved

COUNTED = {
    "opens and closes": "accepted",
    "10,000 connections": "accepted",
    "pipelined requests": "client_left_app",
    "chunks of one byte": "client_left_upload",
    "a byte a second": "client_left_upload",
    "10 GB announced": "client_too_large",
    "pongs": "client_left_websocket",
    "fragments of one byte": "client_left_websocket",
    "frames of 15 MiB in 15 KiB": "client_left_websocket",
}
"""What each is counted as within a second; limits that take longer have tests of their own."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(FLOODS.keys() - {NO_FLOOD}))
def test_polite_clients_are_answered_beside_a_flood(kind: str) -> None:
    found = measure("propylon", kind, rounds=1, seconds=1.0)
    assert found.done[0] > 0
    assert found.beside.kept.failed == found.beside.new.failed == 0
    assert all(times.rounds[0] for times in (found.beside.kept, found.beside.new))
    words = set(found.counted)
    assert COUNTED[kind] in words or (
        kind == "pipelined requests" and "client_left_response" in words
    )


def test_moved_is_of_the_median_round() -> None:
    quiet, beside = Times([[1.0], [1.0], [2.0]]), Times([[1.5], [90.0], [3.0]])
    assert moved(quiet, beside, 0.99) == 0.5
