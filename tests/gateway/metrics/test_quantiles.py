import pytest
from propylon.gateway.metrics.quantiles import quantile

BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("part", "counts", "value"),
    [
        (0.5, (0, 0, 0, 0), None),
        (0.5, (10, 0, 0, 0), 0.5),
        (1.0, (10, 0, 0, 0), 1.0),
        (0.0, (10, 0, 0, 0), 0.0),
        (0.5, (0, 10, 0, 0), 1.5),
        (0.0, (0, 10, 0, 0), 1.0),
        (0.5, (5, 0, 5, 0), 1.0),
        (0.75, (5, 0, 5, 0), 3.0),
        (0.99, (5, 0, 5, 90), 4.0),
        (1.0, (0, 0, 0, 1), 4.0),
    ],
)
def test_quantile(part: float, counts: tuple[int, ...], value: float | None) -> None:
    assert quantile(part, BOUNDS, counts) == value


def test_without_buckets_nothing_is_known() -> None:
    assert quantile(0.5, (), (3,)) is None
