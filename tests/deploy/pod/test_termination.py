"""A pod is deleted under load: nobody loses anything, whatever order the containers are told in."""

import asyncio
from pathlib import Path

from .rollout import Outcome, replace_pod
from .shapes import Manifest


def check(outcome: Outcome, manifest: Manifest) -> None:
    assert not outcome.failures, outcome
    assert outcome.answers > 50
    assert set(outcome.exit_codes.values()) == {0}, outcome
    assert outcome.left == [], outcome
    assert outcome.seconds < manifest.grace_period, outcome
    assert "cut" not in outcome.logs, outcome


def test_a_native_sidecar_s_pod_ends_without_a_loss(tmp_path: Path) -> None:
    """The app's container is told first, and has exited before its gateway hears of the end."""
    manifest = Manifest(shape="native-sidecar", delay=0.4, workers=1, graceful=4.0)
    outcome = asyncio.run(replace_pod(tmp_path, manifest, lag=0.2, cast="short", warm=0.3))
    check(outcome, manifest)
    timeline = outcome.pod.timeline
    assert timeline.when("app", "exits with 0") <= timeline.when("gateway", "gets SIGTERM")
    assert timeline.when("pod", "is not ready") < timeline.when("app", "exits")
