"""From the chart's Deployment to a Pod that this podman can play. Pure.

What the chart can say by values is said by values: images, ports, the drain's times, the app. What
is left is what podman 4.3 does otherwise than a kubelet, and each of it is a line of `playable`:

- every pod has the host's network, so two pods need different ports (values), and a list of
  ports is refused;
- an emptyDir becomes a volume that is named as it is in the manifest, and two pods would share
  it: names get the pod's in front; `medium: Memory` is not known;
- an init container with `restartPolicy: Always` would be waited for: it becomes a container;
- podman does not know that a pod is being ended, and would start a sidecar anew that has ended
  well: `restartPolicy: OnFailure`;
- probes, preStop hooks and the grace period are a kubelet's: the tests ask, call and wait
  (`end_of` says what the manifest has of them).
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ..images import LoadImages
from ..load import DELAY, ENVIRONMENT, GRACEFUL, STATE

Object = dict[str, Any]


@dataclass(frozen=True)
class Ports:
    http: int
    admin: int
    app_admin: int


@dataclass(frozen=True)
class Drain:
    """Seconds, as the chart's values."""

    delay: int = DELAY
    graceful: int = GRACEFUL
    margin: int = 10


@dataclass(frozen=True)
class Plan:
    """What is to run."""

    shape: str
    module: str = "apps.asgi:app"
    workers: int = 2
    drain: Drain = Drain()


def values(images: LoadImages, plan: Plan, ports: Ports, state: str) -> Object:
    """Values of the chart: `state` is a directory of this machine that the app's container gets."""
    app = images.all_in_one if plan.shape == "all-in-one" else images.app
    drain = plan.drain
    return {
        "shape": plan.shape,
        "app": {
            "image": _image(app),
            "module": plan.module,
            "workers": plan.workers,
            "env": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
            "volumeMounts": [{"name": "state", "mountPath": STATE}],
        },
        "gateway": {"image": _image(images.gateway)},
        "listen": {
            "host": "127.0.0.1", "http": ports.http, "admin": ports.admin,
            "appAdmin": ports.app_admin,
        },
        "drain": {"delay": drain.delay, "graceful": drain.graceful, "margin": drain.margin},
        "log": {"access": False, "format": "text"},
        "extraVolumes": [{"name": "state", "hostPath": {"path": state}}],
    }  # fmt: skip


def _image(name: str) -> Object:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "Never"}


def playable(spec: Object, name: str) -> Object:
    """A Pod of that name, from a Deployment's pod spec."""
    spec = deepcopy(spec)
    sidecars = spec.pop("initContainers", [])
    for container in sidecars:
        assert container.pop("restartPolicy") == "Always"
    containers = [*sidecars, *spec.pop("containers")]
    for container in containers:
        for kubelet in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "ports"):
            container.pop(kubelet, None)
        for mount in container["volumeMounts"]:
            mount["name"] = _own(name, mount["name"])
    volumes = spec.pop("volumes")
    for volume in volumes:
        volume["name"] = _own(name, volume["name"])
        if "emptyDir" in volume:
            volume["emptyDir"] = {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "hostNetwork": True,
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": spec["terminationGracePeriodSeconds"],
            "securityContext": spec["securityContext"],
            "containers": containers,
            "volumes": volumes,
        },
    }


@dataclass(frozen=True)
class End:
    """What a kubelet does with one container when its pod is deleted."""

    native: bool
    """A native sidecar gets SIGTERM when all other containers have ended (KEP-753)."""
    hook: tuple[str, ...]
    """The command of its preStop hook; empty if it has none."""


def end_of(spec: Object) -> dict[str, End]:
    """Container's name -> its end, from a Deployment's pod spec."""
    ends = {}
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        hook = container.get("lifecycle", {}).get("preStop", {})
        assert hook.keys() <= {"exec"}, f"no test knows how to call {hook}"
        command = tuple(hook.get("exec", {}).get("command", ()))
        ends[container["name"]] = End(container.get("restartPolicy") == "Always", command)
    return ends


def _own(pod: str, volume: str) -> str:
    return f"{pod}-{volume}"
