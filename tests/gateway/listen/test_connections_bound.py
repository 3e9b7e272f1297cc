"""How many connections a process has room for."""

import pytest
from propylon.gateway.listen.connections_bound import (
    LEAST_CONNECTIONS,
    connections_bound,
    in_memory,
)
from propylon.gateway.settings import ServeSettings


@pytest.mark.parametrize(
    ("limit", "memory", "descriptors", "most", "by"),
    [
        (0, 0, 256, 216, "descriptors"),
        (0, 100_000, 256, 216, "descriptors"),
        (0, 0, 1_024, 960, "descriptors"),
        (0, 0, 1_048_576, 1_046_528, "descriptors"),
        (0, 8_192, 1_048_576, 8_192, "memory"),
        (100, 0, 256, 100, "connections"),
        (1_000, 0, 256, 216, "descriptors"),
        (20_000, 8_192, 1_048_576, 20_000, "connections"),
        (0, 0, 20, LEAST_CONNECTIONS, "descriptors"),
    ],
)
def test_the_least_bound_counts(
    limit: int, memory: int, descriptors: int, most: int, by: str
) -> None:
    settings = ServeSettings(limit_connections=limit, connections_in_memory=memory)
    bound = connections_bound(settings, descriptors)
    assert (bound.most, bound.by) == (most, by)


@pytest.mark.parametrize(
    ("limit", "descriptors", "most", "by", "files"),
    [
        (0, 256, 108, "descriptors", 108),
        (0, 1_024, 480, "descriptors", 480),
        (100, 256, 100, "connections", 116),
        (200, 256, 108, "descriptors", 108),
        (0, 20, LEAST_CONNECTIONS, "descriptors", LEAST_CONNECTIONS),
    ],
)
def test_clients_with_files_leave_room_for_these(
    limit: int, descriptors: int, most: int, by: str, files: int
) -> None:
    settings = ServeSettings(limit_connections=limit)
    bound = connections_bound(settings, descriptors, with_files=True)
    assert (bound.most, bound.by, bound.files) == (most, by, files)


def test_half_of_the_memory_is_shared_by_the_gateway_processes() -> None:
    assert in_memory(512 * 2**20, 1) == 8_192
    assert in_memory(512 * 2**20, 4) == 2_048
    assert in_memory(1_000, 4) == LEAST_CONNECTIONS
    assert in_memory(None, 4) == 0
