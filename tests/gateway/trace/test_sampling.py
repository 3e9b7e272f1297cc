from random import Random

import pytest
from propylon.gateway.trace.sampling import SAMPLERS, sampler

LOW, HIGH = 1, (1 << 128) - 1


@pytest.mark.parametrize(
    ("name", "roots", "after_yes", "after_no"),
    [
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
    ],
)
def test_who_decides(name: str, roots: bool, after_yes: bool, after_no: bool) -> None:
    chosen = sampler(name, 0.5)
    for trace_id in (LOW, HIGH):
        assert chosen.samples(trace_id, None) is roots
        assert chosen.samples(trace_id, True) is after_yes
        assert chosen.samples(trace_id, False) is after_no


def test_a_ratio_looks_at_the_id_and_a_parent_goes_first() -> None:
    by_ratio = sampler("traceidratio", 0.25)
    parent_first = sampler("parentbased_traceidratio", 0.25)
    assert by_ratio.samples(LOW, False)
    assert not by_ratio.samples(HIGH, True)
    assert not parent_first.samples(LOW, False)
    assert parent_first.samples(HIGH, True)
    assert parent_first.samples(LOW, None)
    draw = Random(2)
    ids = [draw.getrandbits(128) for _ in range(4_000)]
    assert 900 < sum(by_ratio.samples(one, None) for one in ids) < 1_100


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_a_ratio(share: float) -> None:
    for trace_id in (LOW, HIGH, 1 << 64, (1 << 64) - 1):
        assert sampler("traceidratio", share).samples(trace_id, None) is bool(share)


def test_it_decides_as_opentelemetry_does() -> None:
    """A process with the SDK and the same variables must record the same traces."""
    sampling = pytest.importorskip("opentelemetry.sdk.trace.sampling")
    theirs, ours = sampling.TraceIdRatioBased(0.3), sampler("traceidratio", 0.3)
    draw = Random(3)
    for _ in range(500):
        trace_id = draw.getrandbits(128)
        says = theirs.should_sample(None, trace_id, "x").decision.is_sampled()
        assert ours.samples(trace_id, None) is says


def test_every_name_has_a_sampler() -> None:
    assert all(sampler(name, 1.0).samples(LOW, True) for name in SAMPLERS if name != "always_off")
