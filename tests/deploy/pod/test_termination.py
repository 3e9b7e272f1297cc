"""A pod is deleted under load: nobody loses anything, whatever order the containers are told in."""

import asyncio
from pathlib import Path

import pytest

from .rollout import Outcome, replace_pod
from .shapes import Manifest

SHORT = 7.0
"""A graceful timeout that the clients' streams, which take 4 seconds, do not reach."""


def check(outcome: Outcome, manifest: Manifest) -> None:
    assert not outcome.failures, outcome
    assert outcome.answers > 50
    assert set(outcome.exit_codes.values()) == {0}, outcome
    assert outcome.left == [], outcome
    assert outcome.seconds < manifest.grace_period, outcome
    assert not any("SIGKILL" in event.what for event in outcome.pod.timeline.events), outcome


def ended(folder: Path, manifest: Manifest, lag: float, cast: str = "all") -> Outcome:
    outcome = asyncio.run(replace_pod(folder, manifest, lag=lag, cast=cast))
    check(outcome, manifest)
    return outcome


@pytest.mark.slow
def test_a_native_sidecar_s_pod_ends_without_a_loss(tmp_path: Path) -> None:
    """The app's container is told first, and has exited before its gateway hears of the end."""
    manifest = Manifest(shape="native-sidecar", delay=0.4, workers=1, graceful=4.0)
    run = replace_pod(tmp_path, manifest, lag=0.2, cast="short", warm=0.3)
    outcome = asyncio.run(run)
    check(outcome, manifest)
    timeline = outcome.pod.timeline
    assert timeline.when("app", "exits with 0") <= timeline.when("gateway", "gets SIGTERM")
    assert timeline.when("pod", "is not ready") < timeline.when("app", "exits")


ORDERS = {
    "all-in-one, lag 0": (Manifest(shape="all-in-one", delay=0.5), 0.0),
    "all-in-one, lag 1": (Manifest(shape="all-in-one", delay=1.6), 1.0),
    "native sidecar, lag 0": (Manifest(shape="native-sidecar", delay=0.5), 0.0),
    "native sidecar, lag 1": (Manifest(shape="native-sidecar", delay=1.6), 1.0),
    "native sidecar, lag 5": (Manifest(shape="native-sidecar", delay=5.6, graceful=12.0), 5.0),
    "native sidecar, three gateways": (
        Manifest(shape="native-sidecar", delay=1.6, gateways=3), 1.0,
    ),
    "classic sidecar, at once": (Manifest(shape="classic-sidecar", delay=1.6), 1.0),
    "classic sidecar, the gateway 2 s later": (
        Manifest(shape="classic-sidecar", delay=1.6, late="gateway", late_by=2.0), 1.0,
    ),
    "classic sidecar, the app 2 s later": (
        Manifest(shape="classic-sidecar", delay=1.6, late="app", late_by=2.0), 1.0,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("manifest", "lag"), ORDERS.values(), ids=ORDERS)
def test_no_order_loses_anything(manifest: Manifest, lag: float, tmp_path: Path) -> None:
    outcome = ended(tmp_path, manifest, lag)
    assert outcome.scene.tally.notes["websocket: closed with 1012"] > 0
    timeline = outcome.pod.timeline
    assert timeline.when("pod", "is not ready") < 0.5
    if manifest.shape == "native-sidecar":
        # It does not wait for the delay a second time.
        told, gone = timeline.when("gateway", "gets SIGTERM"), timeline.when("gateway", "exits")
        assert gone - told < min(manifest.delay + 1.0, 4.0), outcome


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["native-sidecar", "classic-sidecar"])
def test_a_wsgi_app_s_pod(shape: str, tmp_path: Path) -> None:
    ended(tmp_path, Manifest(shape=shape, delay=1.6, app="apps.wsgi:app"), 1.0, "WSGI")


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["all-in-one", "native-sidecar"])
def test_streams_without_end_are_ended_at_the_deadline(shape: str, tmp_path: Path) -> None:
    """Visibly, and everything else has had its time."""
    manifest = Manifest(shape=shape, delay=1.6, graceful=SHORT)
    outcome = ended(tmp_path, manifest, 1.0, "endless")
    assert sum(outcome.scene.tally.allowed.values()) > 0
    assert SHORT <= outcome.seconds < SHORT + 3.0


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["all-in-one", "native-sidecar", "classic-sidecar"])
def test_a_delay_below_the_lag_costs_something(shape: str, tmp_path: Path) -> None:
    """So the others could fail: the Service sends connections here when nobody listens any more."""
    manifest = Manifest(shape=shape, delay=0.3)
    outcome = asyncio.run(replace_pod(tmp_path, manifest, lag=4.0, cast="short"))
    lost = {what for _, what in outcome.failures}
    assert lost, outcome
    assert lost <= {"refused", "status 503 with Retry-After"}, outcome


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["native-sidecar", "classic-sidecar"])
def test_an_app_that_ignores_sigterm(shape: str, tmp_path: Path) -> None:
    """Because a shell is its first process, say. It is killed in time, and no new connection, all
    of which go to the other pod, loses anything. A native sidecar hears of it only then, and
    kubelet gives it 2 seconds: too few for its drain delay, and clients that stayed are cut."""
    manifest = Manifest(shape=shape, delay=1.0, graceful=3.0, grace=6.0, ignores_sigterm=True)
    outcome = asyncio.run(replace_pod(tmp_path, manifest, lag=0.5, cast="short"))
    native = shape == "native-sidecar"
    assert outcome.exit_codes["app"] == -9, outcome
    assert native or outcome.exit_codes["gateway"] == 0, outcome
    assert outcome.left == [], outcome
    assert outcome.seconds < manifest.grace_period + 3.0, outcome
    assert {who for who, _ in outcome.failures} <= ({"keep-alive", "post"} if native else set())


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["all-in-one", "native-sidecar"])
def test_clients_that_speak_tls(shape: str, tmp_path: Path) -> None:
    ended(tmp_path, Manifest(shape=shape, delay=1.6, tls=True), 1.0, "TLS")
