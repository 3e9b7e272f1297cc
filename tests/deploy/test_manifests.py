"""The validators find what is wrong: unknown fields, wrong types, missing fields, unknown kinds."""

import copy
from typing import Any

import pytest

from .manifests import by_title, documents, faults, newest_versions

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      initContainers: [{name: gateway, image: "gateway:1", restartPolicy: Always}]
      containers: [{name: app, image: "app:1", resources: {limits: {memory: 1Gi}}}]
"""
CUSTOM = """
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: shop, labels: {app: shop}}
spec:
  selector: {matchLabels: {app: shop}}
  endpoints: [{port: admin, interval: 15s}]
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  podMetricsEndpoints: [{port: admin, path: /metrics}]
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: shop}
spec:
  groups:
    - name: shop
      rules: [{alert: Down, expr: up == 0, for: 2m, labels: {severity: page}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: public}]
  hostnames: [shop.example.com]
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs: [{name: shop, port: 80}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: shop}
spec:
  scaleTargetRef: {name: shop}
  minReplicaCount: 2
  triggers:
    - type: prometheus
      metadata: {serverAddress: "http://prometheus:9090", query: up, threshold: "1"}
"""
WRONG_DEPLOYMENT: list[tuple[str, list[str | int], Any, str]] = [
    # where, and what is put there -> what the fault says
    ("unknown field", ["spec", "template", "spec", "containers", 0, "pullPolicy"], 1, "pullPolicy"),
    ("wrong type", ["spec", "replicas"], "two", "replicas"),
    ("no list", ["spec", "template", "spec", "containers"], {}, "containers"),
    ("unknown kind", ["kind"], "Deploiment", "schema"),
]  # fmt: skip
WRONG_CUSTOM: list[tuple[str, list[str | int], Any, str]] = [
    ("ServiceMonitor/shop", ["spec", "endpoints", 0, "intervall"], "15s", "intervall: unknown"),
    ("ServiceMonitor/shop", ["spec", "endpoints", 0, "port"], 9180, "must be string"),
    ("ServiceMonitor/shop", ["data"], {}, "data: unknown"),
    ("PodMonitor/shop", ["spec", "podMetricsEndpoint"], [], "unknown"),
    ("PrometheusRule/shop", ["spec", "groups", 0, "rules", 0, "fore"], "2m", "fore: unknown"),
    ("HTTPRoute/shop", ["spec", "rules", 0, "backendRefs", 0, "port"], 99999999, "port"),
    ("HTTPRoute/shop", ["spec", "hosts"], ["a"], "hosts: unknown"),
    ("ScaledObject/shop", ["spec", "minReplicas"], 2, "minReplicas: unknown"),
    ("ScaledObject/shop", ["spec", "triggers", 0, "type"], 3, "must be string"),
    ("ScaledObject/shop", ["kind"], "ScaledThing", "no ScaledThing"),
]


def changed(manifest: dict[str, Any], path: list[str | int], value: Any) -> dict[str, Any]:
    wrong = copy.deepcopy(manifest)
    within: Any = wrong
    for step in path[:-1]:
        within = within[step]
    within[path[-1]] = value
    return wrong


def test_built_in_kinds() -> None:
    versions = newest_versions()
    assert len(versions) == 3
    (right,) = documents(DEPLOYMENT)
    assert faults([right]) == []
    for what, path, value, said in WRONG_DEPLOYMENT:
        found = faults([changed(right, path, value)], versions[-1:])
        assert len(found) == 1, what
        assert said in found[0]
        assert versions[-1] in found[0]


def test_custom_kinds() -> None:
    right = by_title(documents(CUSTOM))
    assert faults(right.values()) == []
    wrong = [changed(right[name], path, value) for name, path, value, _ in WRONG_CUSTOM]
    found = faults(wrong)
    assert len(found) == len(WRONG_CUSTOM), found
    for (name, _, _, said), fault in zip(WRONG_CUSTOM, found, strict=True):
        assert fault.startswith(name.partition("/")[0][:6])
        assert said in fault


def test_no_object_is_there_twice() -> None:
    with pytest.raises(AssertionError, match="Deployment/shop twice"):
        by_title(documents(DEPLOYMENT + "---" + DEPLOYMENT))
