"""Renders the Helm chart as `helm template` does, without a cluster and without the helm command:
by Helm's own library, which `helm-python-sdk` brings. The objects are plain dictionaries."""

from pathlib import Path
from typing import Any

import pytest

helm = pytest.importorskip("helm_python", reason="needs Helm's library: pip install -e '.[deploy]'")
yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install -e '.[deploy]'")

CHART = Path(__file__).parents[2] / "deploy/helm/propylon"
SHAPES = ("all-in-one", "native-sidecar", "classic-sidecar")
RELEASE, NAMESPACE = "demo", "web"

Object = dict[str, Any]


def render(
    values: Object | None = None,
    *,
    shape: str = "",
    name: str = RELEASE,
    namespace: str = NAMESPACE,
) -> list[Object]:
    """The objects of a release, in the order of the templates' names. Raises helm.HelmError, whose
    text is Helm's."""
    values = {**(values or {}), **({"shape": shape} if shape else {})}
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name=name, namespace=namespace)
    files = [text for file, text in sorted(texts.items()) if file.endswith(".yaml")]
    return [document for text in files for document in yaml.safe_load_all(text) if document]


def one(objects: list[Object], kind: str) -> Object:
    """The object of that kind. Fails if there is none, or more than one."""
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def pod_spec(objects: list[Object]) -> Object:
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def containers(objects: list[Object]) -> dict[str, Object]:
    """Every container of the pod by name, a native sidecar's too."""
    spec = pod_spec(objects)
    return {each["name"]: each for each in [*spec.get("initContainers", ()), *spec["containers"]]}
