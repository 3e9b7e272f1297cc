from propylon.gateway.metrics.exposed import Sample, exposed
from propylon.gateway.metrics.families import Family

COUNT = Family("x_total", "counter", "Things.", ("pool",))
TIME = Family("t_seconds", "histogram", "Times.", ("pool",), (0.5, 2.0))
NOW = Family("n", "gauge", "Present.")
ALL = (TIME, COUNT, NOW)


def test_families_stand_in_the_tables_order_with_sorted_series() -> None:
    shown = exposed({"x_total": {("b",): 2, ("a",): 1}, "n": {(): 3.5}, "other": {}}, ALL)
    assert [(one.name, one.kind, one.help) for one in shown] == [
        ("x", "counter", "Things."),
        ("n", "gauge", "Present."),
    ]
    assert shown[0].samples == [
        Sample("x_total", {"pool": "a"}, 1),
        Sample("x_total", {"pool": "b"}, 2),
    ]
    assert shown[1].samples == [Sample("n", {}, 3.5)]


def test_buckets_are_cumulative() -> None:
    (shown,) = exposed({"t_seconds": {("a",): [7.25, 1, 2, 3]}}, ALL)
    assert [(name, labels.get("le"), value) for name, labels, value in shown.samples] == [
        ("t_seconds_bucket", "0.5", 1),
        ("t_seconds_bucket", "2.0", 3),
        ("t_seconds_bucket", "+Inf", 6),
        ("t_seconds_sum", None, 7.25),
        ("t_seconds_count", None, 6),
    ]


def test_a_family_without_series_is_left_out() -> None:
    assert exposed({"n": {}}, ALL) == []
