import json

import pytest
from propylon.gateway.metrics.snapshot import Snapshot, from_wire, to_wire


def test_a_snapshot_travels_as_json() -> None:
    snapshot: Snapshot = {"a_total": {("x", 'y"\n'): 3}, "b_seconds": {(): [0.5, 1, 0]}}
    assert from_wire(json.loads(json.dumps(to_wire(snapshot)))) == snapshot


@pytest.mark.parametrize("wire", [{"a": 1}, {"a": [1]}, {"a": [[["x"]]]}, []])
def test_what_is_no_snapshot(wire: object) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        from_wire(wire)  # pyright: ignore[reportArgumentType]
