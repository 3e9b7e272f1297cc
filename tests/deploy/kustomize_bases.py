"""Writes the kustomize bases and components of deploy/kustomize from the Helm chart.

    python -m tests.deploy.kustomize_bases

A base is what the chart renders with the default values of a shape, with its comments, as one file
for each object. What only Helm has stays out: its two labels and the namespace of the release. The
kustomization.yaml files are written by hand.
"""

import re
from pathlib import Path
from typing import Any

from .render import CHART, SHAPES, helm

FOLDER = Path(__file__).parents[2] / "deploy/kustomize"
NAME = "propylon"
HEAD = "# Rendered from the Helm chart. Change it in an overlay: a copy can then be renewed.\n"
ONLY_HELM = re.compile(r"^ *(app\.kubernetes\.io/managed-by|helm\.sh/chart|namespace): .*\n", re.M)
COMPONENTS: dict[str, tuple[str, dict[str, Any]]] = {
    # The component's folder -> the chart's template, and the values that switch it on
    "hpa": ("autoscaling", {"autoscaling": {"kind": "hpa"}, "app": {"interface": "wsgi"}}),
    "keda": ("autoscaling", {"autoscaling": {"kind": "keda"}, "app": {"interface": "wsgi"}}),
    "podmonitor": ("monitor", {"monitoring": {"kind": "PodMonitor"}}),
    "rules": ("prometheusrule", {"monitoring": {"rules": True}}),
    "networkpolicy": ("networkpolicy", {"networkPolicy": {"enabled": True}}),
    "ingress": ("ingress", {"ingress": {"enabled": True}}),
    "httproute": (
        "httproute",
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
    ),
}


def templates(values: dict[str, Any]) -> dict[str, str]:
    """The chart's templates by name, rendered as a base has them; those without an object are left
    out."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name=NAME, namespace="default")
    return {
        Path(file).stem: HEAD + ONLY_HELM.sub("", text.strip("\n")) + "\n"
        for file, text in texts.items()
        if file.endswith(".yaml") and text.strip()
    }


def generated() -> dict[str, str]:
    """Path below deploy/kustomize -> the file's text."""
    files: dict[str, str] = {}
    for shape in SHAPES:
        for name, text in templates({"shape": shape}).items():
            files[f"{shape}/{name}.yaml"] = text
    for component, (name, values) in COMPONENTS.items():
        # With the sidecars' ports, which the all-in-one shape has not and does not miss.
        text = templates({"shape": "native-sidecar", **values})[name]
        files[f"components/{component}/{name}.yaml"] = text
    return files


if __name__ == "__main__":
    for path, text in generated().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)
