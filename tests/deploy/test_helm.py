"""deploy/helm/propylon: the chart renders and lints without a cluster, in all three shapes."""

import tarfile
from pathlib import Path

import pytest

from .render import CHART, SHAPES, containers, helm, one, pod_spec, render, yaml
from .test_traps import VALUES

PROMETHEUS = Path(__file__).parents[2] / "deploy/prometheus"


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("values", VALUES)
def test_lint_has_nothing_to_say(shape: str, values: str) -> None:
    report = helm.lint(CHART, {**VALUES[values], "shape": shape}, strict=True)
    assert report["errors"] == []
    assert {message["error"] for message in report["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize(("version", "refused"), [("1.28.9", True), ("1.29.0", False)])
def test_a_native_sidecar_is_refused_where_there_are_none(
    version: str, refused: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Linting logs what `fail` says, where rendering for a cluster ends with it."""
    helm.lint(CHART, {"shape": "classic-sidecar"}, kube_version=version)
    assert "funcMap fail" not in capfd.readouterr().err
    helm.lint(CHART, {"shape": "native-sidecar"}, kube_version=version)
    assert ("set shape to classic-sidecar" in capfd.readouterr().err) is refused


def test_the_gateway_is_where_the_shape_says() -> None:
    pods = {shape: pod_spec(render(shape=shape)) for shape in SHAPES}
    kinds = ("initContainers", "containers")
    names = {
        shape: [[each["name"] for each in pod.get(kind, ())] for kind in kinds]
        for shape, pod in pods.items()
    }
    assert names == {
        "all-in-one": [[], ["app"]],
        "native-sidecar": [["gateway"], ["app"]],
        "classic-sidecar": [[], ["app", "gateway"]],
    }
    assert pods["native-sidecar"]["initContainers"][0]["restartPolicy"] == "Always"


@pytest.mark.parametrize(("h2c", "protocol"), [(False, "http"), (True, "kubernetes.io/h2c")])
def test_the_port_says_what_is_spoken_there(shape: str, h2c: bool, protocol: str) -> None:
    objects = render({"listen": {"h2c": h2c}}, shape=shape)
    (port,) = one(objects, "Service")["spec"]["ports"]
    assert port["appProtocol"] == protocol
    gateway = "app" if shape == "all-in-one" else "gateway"
    assert ("--h2c=prior-knowledge" in containers(objects)[gateway]["args"]) is h2c


@pytest.mark.parametrize(
    ("drain", "timeout", "grace"),
    [
        ({}, 35, 55),
        ({"delay": 15, "graceful": 600}, 615, 635),
        ({"delay": 1, "graceful": 1}, 2, 22),
        ({"margin": 40}, 35, 75),
    ],
)
def test_the_grace_period_is_the_sum_of_its_parts(
    shape: str, drain: dict[str, int], timeout: int, grace: int
) -> None:
    objects = render({"drain": drain}, shape=shape)
    assert pod_spec(objects)["terminationGracePeriodSeconds"] == grace
    timeouts = set()
    for container in containers(objects).values():
        options = dict(word.split("=", 1) for word in container["args"] if word.startswith("--"))
        timeouts.add(int(options["--timeout-graceful-shutdown"]))
    assert timeouts == {timeout}


def test_the_rules_are_those_of_the_folder_prometheus() -> None:
    ours, theirs = PROMETHEUS / "propylon.rules.yml", CHART / "files/propylon.rules.yml"
    assert theirs.read_text() == ours.read_text(), f"cp {ours} {theirs}"
    assert one(render({"monitoring": {"rules": True}}), "PrometheusRule")["spec"]["groups"]


def test_a_packaged_chart_brings_the_rules(tmp_path: Path) -> None:
    """A release from the archive has the rules too: they are read from a file of the chart."""
    archive = helm.package(CHART, destination=tmp_path)
    with tarfile.open(archive) as files:
        assert "propylon/files/propylon.rules.yml" in files.getnames()


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"shape": "sidecar"}, "/shape"),
        ({"replica": 2}, "replica"),
        ({"app": {"wokers": 3}}, "/app"),
        ({"app": {"workers": 0}}, "/app/workers"),
        ({"app": {"workers": "2.."}}, "/app/workers"),
        ({"app": {"module": "main app"}}, "/app/module"),
        ({"gateway": {"image": {"tag": "a b"}}}, "/gateway/image/tag"),
        ({"drain": {"delay": 0}}, "/drain/delay"),
        ({"autoscaling": {"kind": "vpa"}}, "/autoscaling/kind"),
        ({"tls": {"enabled": True}}, "tls.secretName"),
        ({"tls": {"redirect": True}}, "tls.redirect"),
        ({"listen": {"admin": 8000}}, "listen.admin"),
        ({"rollout": {"maxSurge": 0}}, "rollout.maxSurge"),
        ({"autoscaling": {"minReplicas": 11}}, "autoscaling.minReplicas"),
        ({"autoscaling": {"kind": "keda"}}, "--limit-concurrency=auto or =N to app.args"),
        (
            {"autoscaling": {"kind": "hpa"}, "app": {"args": ["--limit-concurrency=0"]}},
            "--limit-concurrency=auto or =N to app.args",
        ),
        ({"volumes": {"tmpSize": "1Gi"}}, "--buffer-disk=N to gateway.args"),
    ],
)
def test_a_bad_value_is_refused_with_its_path(values: dict[str, object], path: str) -> None:
    with pytest.raises(helm.HelmError, match=path):
        render(values)


@pytest.mark.parametrize("kind", ["hpa", "keda"])
@pytest.mark.parametrize(
    "values",
    [
        {"app": {"args": ["--root-path=/a", "--limit-concurrency=40"]}},
        {"app": {"args": ["--limit-concurrency=auto"]}},
        {"app": {"interface": "wsgi"}},
        {"config": "limit_concurrency = 40\n"},
    ],
)
def test_an_autoscaler_is_allowed_where_it_sees_the_load(
    shape: str, kind: str, values: dict[str, object]
) -> None:
    assert render({**values, "autoscaling": {"kind": kind}}, shape=shape)


def test_a_limit_of_the_disk_is_allowed_with_one_of_the_buffers(shape: str) -> None:
    limited = {"volumes": {"tmpSize": "1Gi"}}
    ours = ["--buffer-disk=512M"]
    assert render({**limited, "gateway": {"args": ours}}, shape=shape)
    of_the_app = {**limited, "app": {"args": ours}}
    if shape == "all-in-one":
        assert render(of_the_app, shape=shape)
    else:
        with pytest.raises(helm.HelmError, match=r"gateway\.args"):
            render(of_the_app, shape=shape)


@pytest.mark.parametrize("workers", [3, "auto", "2..8", "1..auto"])
def test_workers_are_a_number_or_a_range(workers: int | str) -> None:
    (app,) = containers(render({"app": {"workers": workers}}, shape="all-in-one")).values()
    assert f"--workers={workers}" in app["args"]


def test_what_an_autoscaler_asks_for_is_recorded_and_adapted() -> None:
    rules = yaml.safe_load((PROMETHEUS / "propylon.rules.yml").read_text())
    recorded = {rule.get("record") for group in rules["groups"] for rule in group["rules"]}
    adapter = yaml.safe_load((PROMETHEUS / "adapter.yml").read_text())["rules"]
    assert {rule["seriesQuery"].split("{")[0] for rule in adapter} <= recorded
    scaling = {"kind": "hpa", "targetQueueSeconds": 0.5}
    wsgi = {"app": {"interface": "wsgi"}}
    hpa = one(render({"autoscaling": scaling, **wsgi}), "HorizontalPodAutoscaler")
    asked = {each["pods"]["metric"]["name"] for each in hpa["spec"]["metrics"]}
    assert asked == {rule["name"]["as"] for rule in adapter}
    scaled = one(render({"autoscaling": {**scaling, "kind": "keda"}, **wsgi}), "ScaledObject")
    queries = [each["metadata"]["query"] for each in scaled["spec"]["triggers"]]
    assert {query.removeprefix("sum(").split("{")[0] for query in queries} <= recorded
