"""deploy/kustomize: each base, with or without components, is what the chart renders, object by
object; no file is left that nobody lists; the example does what it says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .kustomize_bases import COMPONENTS, FOLDER, NAME, generated
from .manifests import Manifest, by_title, documents, faults, newest_versions
from .render import SHAPES, render
from .traps import Release, traps

RESOURCES = re.compile(r"^  - (\S+\.yaml)$", re.M)
INSTALL = "needs kustomize, or kubectl with it: apt-get install kubernetes-client"


def build(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would apply."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            break
    else:
        pytest.skip(INSTALL)
    ran = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return documents(ran.stdout)


def overlay(folder: Path, shape: str, components: tuple[str, ...]) -> Path:
    """A copy of deploy/kustomize with an overlay over a base; the overlay's path."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    (folder / "overlay").mkdir()
    (folder / "overlay/kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        f"resources: [../{shape}]\n"
        f"components: [{', '.join(f'../components/{one}' for one in components)}]\n"
    )
    return folder / "overlay"


def without_helm(value: Any) -> Any:
    """A manifest without what only Helm has: two labels, and the namespace of the release."""
    if isinstance(value, list):
        return [without_helm(one) for one in value]
    if not isinstance(value, dict):
        return value
    only_helm = ("app.kubernetes.io/managed-by", "helm.sh/chart", "namespace")
    return {key: without_helm(one) for key, one in value.items() if key not in only_helm}


def charts(values: dict[str, Any], shape: str) -> dict[str, Manifest]:
    rendered = render(values, shape=shape, name=NAME, namespace="default")
    return by_title(without_helm(one) for one in rendered)


def test_the_files_are_what_the_chart_renders() -> None:
    listed = {
        str(path.relative_to(FOLDER)): path.read_text()
        for path in FOLDER.rglob("*.yaml")
        if path.name != "kustomization.yaml" and path.parent.name != "example"
    }
    assert listed == generated(), "renew them: python -m tests.deploy.kustomize_bases"


def test_every_file_is_listed() -> None:
    for kustomization in FOLDER.rglob("kustomization.yaml"):
        if kustomization.parent.name != "example":
            beside = {path.name for path in kustomization.parent.glob("*.yaml")}
            listed = RESOURCES.findall(kustomization.read_text())
            assert sorted(listed) == sorted(beside - {"kustomization.yaml"}), kustomization


@pytest.mark.parametrize("shape", SHAPES)
def test_a_base_is_the_chart_with_its_defaults(shape: str) -> None:
    assert by_title(build(FOLDER / shape)) == charts({}, shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scaler", ["hpa", "keda"])
def test_with_components_it_is_the_chart_with_values(
    tmp_path: Path, shape: str, scaler: str
) -> None:
    others = tuple(set(COMPONENTS) - {"hpa", "keda"})
    built = build(overlay(tmp_path, shape, (scaler, *others)))
    values: dict[str, Any] = {}
    for component in (scaler, *others):
        values |= {
            key: {**values.get(key, {}), **one} for key, one in COMPONENTS[component][1].items()
        }
    expected = charts(values, shape)
    # The chart scales only where load is seen, and a base says nothing of its app's interface.
    app = expected["Deployment/propylon"]["spec"]["template"]["spec"]["containers"][0]
    app["args"].remove("--interface=wsgi")
    if shape == "all-in-one":  # the components name the sidecars' ports, which match nothing here
        sidecars = charts(values, "native-sidecar")
        expected |= {
            title: sidecars[title] for title in sidecars if "Policy" in title or "Monitor" in title
        }
    else:
        assert traps(built) == []
    assert by_title(built) == expected


def test_the_example_does_what_it_says() -> None:
    built = build(FOLDER / "example")
    assert traps(built) == []
    assert faults(built, newest_versions(1)) == []
    release = Release(built)
    assert release.deployment["spec"]["replicas"] == 4
    assert release.deployment["metadata"]["name"] == release.pod["serviceAccountName"]
    assert {one["metadata"]["namespace"] for one in built} == {"web"}
    assert {one["metadata"]["name"] for one in built} == {"shop-propylon"}
    images = {one["name"]: one["image"] for one in release.running}
    assert images == {
        "gateway": "registry.example.com/propylon-gateway:0.1.0",
        "app": "registry.example.com/shop:2026.11",
    }
    variables = [one["name"] for one in release.pod["containers"][0]["env"]]
    assert set(variables) == {"DATABASE_URL", "PROPYLON_RUN_DIR", "PROPYLON_ADMIN_BIND"}
    budget = release.of_kind("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"]
    assert budget["app.kubernetes.io/instance"] == "shop"
