"""The manifests of every shape handle the traps of sidecars, with everything optional switched off
and on; and each rule of traps.py is seen to catch what it is for."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from .manifests import Manifest, faults, newest_versions
from .render import SHAPES, render
from .traps import Release, traps


def _another(name: str) -> dict[str, Any]:
    """A container of the user's own, as restricted as a namespace asks for."""
    return {
        "name": name,
        "image": f"registry.example.com/{name}:1.0",
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"memory": "32Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "media", "mountPath": "/media"}],
    }


EVERYTHING: dict[str, Any] = {
    "autoscaling": {"kind": "hpa", "targetQueueSeconds": 0.5},
    "monitoring": {"kind": "ServiceMonitor", "rules": True},
    "networkPolicy": {"enabled": True, "adminFrom": [{"namespaceSelector": {}}]},
    "ingress": {"enabled": True},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "listen": {"h2c": True},
    "tls": {"enabled": True, "secretName": "shop-tls"},
    "admin": {"tokenSecret": {"name": "shop-admin"}},
    "config": "workers = 2\n",
    "commonLabels": {"team": "web"},
    "commonAnnotations": {"example.com/owner": "web"},
    "podLabels": {"tier": "front"},
    "podAnnotations": {"example.com/scrape": "no"},
    "imagePullSecrets": [{"name": "registry"}],
    "rollout": {"maxSurge": "25%", "maxUnavailable": 0, "minReadySeconds": 5},
    "topologySpread": {
        "constraints": [
            {
                "maxSkew": 1,
                "topologyKey": "rack",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "demo"}},
            },
        ]
    },
    "extraVolumes": [{"name": "media", "emptyDir": {"sizeLimit": "1Gi"}}],
    "extraInitContainers": [_another("migrate")],
    "extraContainers": [_another("shipper")],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "web", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "web",
    "runtimeClassName": "runc",
    "gateway": {"processes": 2, "args": ["--backlog=4096"]},
    "app": {
        "env": [{"name": "A", "value": "b"}],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "volumeMounts": [{"name": "media", "mountPath": "/media"}],
        "threads": 8,
        "interface": "wsgi",
    },
}
OTHERWISE: dict[str, Any] = {
    **EVERYTHING,
    "autoscaling": {"kind": "keda", "targetQueueSeconds": 0.5},
    "monitoring": {"kind": "PodMonitor"},
}
VALUES = {"default": {}, "everything": EVERYTHING, "otherwise": OTHERWISE}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("values", VALUES)
def test_no_trap_is_left(shape: str, values: str) -> None:
    assert traps(render(VALUES[values], shape=shape)) == []


@pytest.mark.parametrize("values", ["everything", "otherwise"])
def test_the_newest_kubernetes_takes_them(values: str) -> None:
    assert faults(render(VALUES[values], shape="native-sidecar"), newest_versions(1)) == []


@pytest.mark.slow
@pytest.mark.parametrize("values", VALUES)
def test_every_new_kubernetes_takes_them(shape: str, values: str) -> None:
    assert faults(render(VALUES[values], shape=shape), newest_versions(3)) == []


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    return Release(manifests).pod


def spec(manifests: list[Manifest], kind: str) -> dict[str, Any]:
    return Release(manifests).of_kind(kind)[0]["spec"]


def gateway(manifests: list[Manifest]) -> dict[str, Any]:
    return Release(manifests).gateway


def app(manifests: list[Manifest]) -> dict[str, Any]:
    return pod(manifests)["containers"][0]


Change = Callable[[list[Manifest]], Any]
BROKEN: dict[str, Change] = {
    # What a rule says -> how the manifests of a native sidecar are broken
    "pod: may run as root": lambda all: pod(all)["securityContext"].pop("runAsNonRoot"),
    "pod: fsGroup is not 65532": lambda all: pod(all)["securityContext"].pop("fsGroup"),
    "pod: no seccomp": lambda all: pod(all)["securityContext"].pop("seccompProfile"),
    "gateway: privileges": lambda all: gateway(all)["securityContext"].update(
        allowPrivilegeEscalation=True
    ),
    "app: capabilities": lambda all: app(all)["securityContext"].pop("capabilities"),
    "app: the root file": lambda all: app(all)["securityContext"].pop("readOnlyRootFilesystem"),
    "pod: hostNetwork": lambda all: pod(all).update(hostNetwork=True),
    "app: privileged": lambda all: app(all)["securityContext"].update(privileged=True),
    "app: procMount": lambda all: app(all)["securityContext"].update(procMount="Unmasked"),
    "app: runs as root": lambda all: app(all)["securityContext"].update(runAsUser=0),
    "app: runAsNonRoot": lambda all: app(all)["securityContext"].update(runAsNonRoot=False),
    "gateway: capabilities": lambda all: gateway(all)["securityContext"]["capabilities"].update(
        add=["NET_ADMIN"]
    ),
    "gateway: seccompProfile": lambda all: gateway(all)["securityContext"].update(
        seccompProfile={"type": "Unconfined"}
    ),
    "gateway: a port of the node": lambda all: gateway(all)["ports"][0].update(hostPort=80),
    "pod: sysctls": lambda all: pod(all)["securityContext"].update(sysctls=[{"name": "a"}]),
    "volume run: hostPath is not": lambda all: pod(all)["volumes"][0].update(
        hostPath={"path": "/run"}
    ),
    "pod: the token": lambda all: pod(all).pop("automountServiceAccountToken"),
    "pod: variables": lambda all: pod(all).pop("enableServiceLinks"),
    "app: the image app is": lambda all: app(all).update(image="app"),
    "app: the image host:5000/app:latest": lambda all: app(all).update(
        image="host:5000/app:latest"
    ),
    "gateway: no imagePullPolicy": lambda all: gateway(all).pop("imagePullPolicy"),
    "gateway: requests no cpu": lambda all: gateway(all)["resources"].pop("requests"),
    "gateway: no limit for memory": lambda all: gateway(all)["resources"].pop("limits"),
    "app: a limit for cpu": lambda all: app(all)["resources"]["limits"].update(cpu="1"),
    "app: mounts extra": lambda all: app(all)["volumeMounts"].append(
        {"name": "extra", "mountPath": "/extra"}
    ),
    "app: no volume at /run/propylon": lambda all: app(all)["volumeMounts"].pop(0),
    "gateway: no volume at /tmp": lambda all: gateway(all)["volumeMounts"].pop(1),
    "app: two volumes": lambda all: app(all)["volumeMounts"][1].update(mountPath="/run/propylon"),
    "volume gateway-tmp: nobody": lambda all: gateway(all)["volumeMounts"].pop(1),
    "volume run: no sizeLimit": lambda all: pod(all)["volumes"][0]["emptyDir"].pop("sizeLimit"),
    "volume run: a folder": lambda all: pod(all)["volumes"][0].update(hostPath={"path": "/run"}),
    "app: --timeout-graceful": lambda all: app(all).update(args=["main:app"]),
    "gateway: may take": lambda all: pod(all).update(terminationGracePeriodSeconds=54),
    "gateway: the delay": lambda all: gateway(all)["args"].append("--drain-delay=35"),
    "pod: graceful timeouts differ": lambda all: app(all)["args"].append(
        "--timeout-graceful-shutdown=34"
    ),
    "gateway: a preStop hook": lambda all: gateway(all).update(
        lifecycle={"preStop": {"exec": {"command": ["propylon", "drain"]}}}
    ),
    "pod: /run/propylon is run and tmp": lambda all: app(all)["volumeMounts"][0].update(name="tmp"),
    "app: no livenessProbe": lambda all: app(all).pop("livenessProbe"),
    "app: readinessProbe asks port admin, ": lambda all: app(all)["readinessProbe"][
        "httpGet"
    ].update(port="admin"),
    "gateway: livenessProbe does not": lambda all: gateway(all)["livenessProbe"]["httpGet"].update(
        port="http"
    ),
    "gateway: liveness asks /readyz": lambda all: gateway(all)["livenessProbe"]["httpGet"].update(
        path="/readyz"
    ),
    "gateway: readiness asks /livez": lambda all: gateway(all)["readinessProbe"]["httpGet"].update(
        path="/livez?verbose"
    ),
    "gateway: startup asks /readyz": lambda all: gateway(all)["startupProbe"]["httpGet"].update(
        path="/readyz"
    ),
    "gateway: readiness fails after 6 s": lambda all: gateway(all)["readinessProbe"].update(
        failureThreshold=3
    ),
    "app: port 9180": lambda all: app(all)["ports"][0].update(containerPort=9180),
    "Deployment: a rolling update takes": lambda all: spec(all, "Deployment")["strategy"][
        "rollingUpdate"
    ].pop("maxUnavailable"),
    "Deployment: a rolling update cannot": lambda all: spec(all, "Deployment")["strategy"][
        "rollingUpdate"
    ].update(maxSurge=0),
    "Deployment: replicas": lambda all: spec(all, "Deployment").update(replicas=3),
    "PodDisruptionBudget: no node": lambda all: spec(all, "PodDisruptionBudget").update(
        maxUnavailable=0
    ),
    "does not select the Deployment's pods": lambda all: spec(all, "PodDisruptionBudget")[
        "selector"
    ]["matchLabels"].update(app="a"),
    "selects every pod": lambda all: spec(all, "NetworkPolicy").update(podSelector={}),
    "Deployment: selects by": lambda all: spec(all, "Deployment")["selector"]["matchLabels"].update(
        {"helm.sh/chart": "propylon-1"}
    ),
    "no container has a port web": lambda all: spec(all, "Service")["ports"][0].update(
        targetPort="web"
    ),
    "Service/demo-propylon: http is the name": lambda all: spec(all, "Service")["ports"][0].update(
        targetPort="http"
    ),
    "NetworkPolicy/demo-propylon: http is the name": lambda all: spec(all, "NetworkPolicy")[
        "ingress"
    ][0]["ports"][0].update(port="http"),
    "shows the admin listener": lambda all: spec(all, "Service")["ports"][0].update(
        targetPort=9180
    ),
    "everybody reaches": lambda all: spec(all, "NetworkPolicy")["ingress"][1].pop("from"),
    "route: leads to": lambda all: spec(all, "HTTPRoute")["rules"][0]["backendRefs"][0].update(
        port=8000
    ),
    "scales something else": lambda all: spec(all, "HorizontalPodAutoscaler")[
        "scaleTargetRef"
    ].update(name="other"),
    "autoscaling: two": lambda all: all.append(
        copy.deepcopy(Release(all).of_kind("HorizontalPodAutoscaler")[0])
    ),
    "no Service that it selects": lambda all: spec(all, "ServiceMonitor")["endpoints"][0].update(
        port="metrics"
    ),
}


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return render(EVERYTHING, shape="native-sidecar")


@pytest.mark.parametrize("said", BROKEN)
def test_a_trap_is_seen(manifests: list[Manifest], said: str) -> None:
    broken = copy.deepcopy(manifests)
    BROKEN[said](broken)
    found = traps(broken)
    assert any(said in fault for fault in found), found
