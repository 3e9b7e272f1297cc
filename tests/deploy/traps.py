"""The traps of sidecars, as rules about a set of manifests that is applied together.

Each rule is a function that yields what is wrong, a line each. `traps` asks all of them. Manifests
that an API server accepts may still lose requests: a probe that asks the wrong question kills a pod
because its app is slow, a selector with a typing error protects nothing, a Service that shows the
admin port shows it to everybody. tests/deploy/test_traps.py breaks the real manifests in each of
these ways and sees that the rule says so.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from .manifests import Manifest, title

USER = 65532
"""The images' uid and gid."""
LIVENESS, READINESS, STARTUP = "livenessProbe", "readinessProbe", "startupProbe"
PROBES = (LIVENESS, READINESS, STARTUP)
OURS = {"app", "gateway"}
ADMIN = {"admin", "app-admin"}
"""The names of the ports that admin listeners have."""


class Release:
    """Manifests that are applied together, with what the rules ask for.

    There is one Deployment. `gateway` is the container that accepts clients (in the all-in-one it
    is the app's as well), `sidecars` are init containers that keep running, and `ours` the
    containers that run Propylon. What operators add has no more rules than a namespace's.
    """

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.manifests = list(manifests)
        (self.deployment,) = self.of_kind("Deployment")
        template = self.deployment["spec"]["template"]
        self.labels: dict[str, str] = template["metadata"]["labels"]
        self.pod: dict[str, Any] = template["spec"]
        inits = self.pod.get("initContainers", [])
        self.sidecars = [one for one in inits if one.get("restartPolicy") == "Always"]
        self.containers: list[dict[str, Any]] = [*inits, *self.pod["containers"]]
        self.running = [*self.sidecars, *self.pod["containers"]]
        self.ours = [one for one in self.running if one["name"] in OURS]
        (self.gateway,) = [one for one in self.running if "http" in port_names(one)]

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [one for one in self.manifests if one["kind"] in kinds]

    def services(self) -> dict[str, Manifest]:
        return {one["metadata"]["name"]: one for one in self.of_kind("Service")}


def port_names(container: dict[str, Any]) -> dict[str, int]:
    """The container's ports by name."""
    return {port["name"]: port["containerPort"] for port in container.get("ports", [])}


def probe_path(container: dict[str, Any], probe: str) -> str:
    """The path that a probe asks for, without its query; "" if it is no HTTP probe."""
    path: str = container.get(probe, {}).get("httpGet", {}).get("path", "")
    return path.partition("?")[0]


VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""Kinds of volumes that `restricted` allows."""
CONTEXT_REFUSALS: dict[str, tuple[Any, ...]] = {
    "privileged": (None, False),
    "procMount": (None, "Default"),
    "runAsNonRoot": (None, True),
    "windowsOptions": (None,),
    "seLinuxOptions": (None,),
}
"""Field of a securityContext -> what it may be. Of SELinux' options some are allowed; none is
needed."""


def has_restricted_security(release: Release) -> Iterator[str]:
    """What the Pod Security Standard `restricted` asks for, with all of `baseline`, and read-only
    root file systems. Source: "Pod Security Standards" in Kubernetes' documentation."""
    pod = release.pod.get("securityContext", {})
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser") in (None, 0):
        yield "pod: may run as root"
    if pod.get("fsGroup") != USER:
        yield f"pod: fsGroup is not {USER}, so the containers may not share files of a volume"
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "pod: no seccomp profile"
    if pod.get("sysctls"):
        yield "pod: sysctls"
    yield from _refused_contexts("pod", pod)
    for container in release.containers:
        context, name = container.get("securityContext", {}), container["name"]
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: privileges may be gained"
        capabilities = context.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield f"{name}: capabilities are kept"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{name}: the root file system can be written"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: a port of the node"
        yield from _refused_contexts(name, context)
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if release.pod.get(field):
            yield f"pod: {field}"
    for volume in release.pod.get("volumes", []):
        for kind in set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {kind} is not allowed"


def _refused_contexts(name: str, context: dict[str, Any]) -> Iterator[str]:
    for field, allowed in CONTEXT_REFUSALS.items():
        if context.get(field) not in allowed:
            yield f"{name}: {field} is {context[field]}"
    if context.get("runAsUser") == 0:
        yield f"{name}: runs as root"
    for profile in ("seccompProfile", "appArmorProfile"):
        if context.get(profile, {}).get("type") == "Unconfined":
            yield f"{name}: {profile} is Unconfined"


def tells_nothing_to_the_app(release: Release) -> Iterator[str]:
    """The pod has no token of the API, and no variables for each Service of its namespace: a
    Service "propylon" would set PROPYLON_PORT."""
    if release.pod.get("automountServiceAccountToken") is not False:
        yield "pod: the token of a service account is mounted"
    if release.pod.get("enableServiceLinks") is not False:
        yield "pod: variables are set for each Service of the namespace"


def names_its_images(release: Release) -> Iterator[str]:
    """An image has a tag of its own or a digest, so that a roll-back gets what it asks for."""
    for container in release.containers:
        name, image = container["name"], container["image"]
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in ("", "latest"):
            yield f"{name}: the image {image} is whatever is newest"
        if container.get("imagePullPolicy") not in ("IfNotPresent", "Always"):
            yield f"{name}: no imagePullPolicy"


def has_resources(release: Release) -> Iterator[str]:
    """Requests for both, a limit for memory, and none for CPU: its quota (CFS) stops all threads of
    a container for the rest of each 100 ms, which is latency that nobody finds."""
    for container in release.running:
        resources, name = container.get("resources", {}), container["name"]
        if not {"cpu", "memory"} <= set(resources.get("requests", {})):
            yield f"{name}: requests no cpu or no memory"
        if "memory" not in resources.get("limits", {}):
            yield f"{name}: no limit for memory"
        if "cpu" in resources.get("limits", {}):
            yield f"{name}: a limit for cpu"


def mount_paths(container: dict[str, Any]) -> list[str]:
    return [mount["mountPath"] for mount in container.get("volumeMounts", [])]


def has_its_volumes(release: Release) -> Iterator[str]:
    """Every mount has its volume and the other way round, and what lies in memory is bounded: it
    counts against the containers' limits."""
    volumes = {volume["name"]: volume for volume in release.pod.get("volumes", [])}
    mounted: set[str] = set()
    for container in release.containers:
        mounts = container.get("volumeMounts", [])
        mounted |= {mount["name"] for mount in mounts}
        paths = mount_paths(container)
        for mount in mounts:
            if mount["name"] not in volumes:
                yield f"{container['name']}: mounts {mount['name']}, which is no volume"
        if len(set(paths)) < len(paths):
            yield f"{container['name']}: two volumes at one path"
    for container in release.ours:
        for path in {"/run/propylon", "/tmp"}.difference(mount_paths(container)):
            yield f"{container['name']}: no volume at {path}"
    for name, volume in volumes.items():
        if name not in mounted:
            yield f"volume {name}: nobody mounts it"
        if "hostPath" in volume:
            yield f"volume {name}: a folder of the node"
        folder = volume.get("emptyDir") or {}
        if folder.get("medium") == "Memory" and "sizeLimit" not in folder:
            yield f"volume {name}: no sizeLimit"


MARGIN = 20
"""Seconds from the end of the graceful timeout to that of the last container, at most: 1 in which
requests that are left are cancelled, 12 for the app's lifespan shutdown, and 6 for a native
sidecar, which gets its SIGTERM after that. See docs/KUBERNETES-DRAIN.md."""


def ends_in_order(release: Release) -> Iterator[str]:
    """The grace period has room for what the containers take at most, they all have the same
    graceful timeout, the delay is a part of it, and none has a preStop hook: that of a native
    sidecar would end the gateway before its app, and kubelet would start it anew."""
    grace = release.pod.get("terminationGracePeriodSeconds", 30)
    timeouts: set[int] = set()
    for container in release.ours:
        options = dict(word.partition("=")[::2] for word in container.get("args", []))
        timeout = int(options.get("--timeout-graceful-shutdown", 0))
        timeouts.add(timeout)
        if not timeout:
            yield f"{container['name']}: --timeout-graceful-shutdown does not follow the pod's"
        elif timeout + MARGIN > grace:
            yield (
                f"{container['name']}: may take {timeout + MARGIN} s to end, and is killed "
                f"after {grace}"
            )
        if int(options.get("--drain-delay", 0)) >= timeout > 0:
            yield f"{container['name']}: the delay leaves no time to finish"
        if "preStop" in container.get("lifecycle", {}):
            yield f"{container['name']}: a preStop hook, whose time is missing at the end"
    if len(timeouts) > 1:
        yield f"pod: graceful timeouts differ: {sorted(timeouts)}"


def shares_the_run_directory(release: Release) -> Iterator[str]:
    """All containers see the same volume at /run/propylon: the link's sockets are there."""
    shared = {
        mount["name"]
        for container in release.ours
        for mount in container.get("volumeMounts", [])
        if mount["mountPath"] == "/run/propylon"
    }
    if len(shared) > 1:
        yield f"pod: /run/propylon is {' and '.join(sorted(shared))}"


def probes_what_it_means(release: Release) -> Iterator[str]:
    """Each container has three probes, on a port that it names. Liveness asks nothing about
    workers: a slow app must not have its gateway killed, with all its connections. A native
    sidecar's startup does not either, since workers start only when it is up; readiness does."""
    for container in release.ours:
        name = container["name"]
        for probe in PROBES:
            if not probe_path(container, probe):
                yield f"{name}: no {probe} over HTTP"
                continue
            port = container[probe]["httpGet"]["port"]
            if port not in port_names(container):
                yield f"{name}: {probe} asks port {port}, which the container does not name"
            elif port not in ADMIN:
                yield f"{name}: {probe} does not ask the admin listener"
        if probe_path(container, LIVENESS) != "/livez":
            yield f"{name}: liveness asks {probe_path(container, LIVENESS)}"
        if probe_path(container, READINESS) != "/readyz":
            yield f"{name}: readiness asks {probe_path(container, READINESS)}"
        if probe_path(container, STARTUP) != "/startupz":
            yield f"{name}: startup asks {probe_path(container, STARTUP)}"


def looks_away_in_time(release: Release) -> Iterator[str]:
    """The gateway's readiness fails within its drain delay. A pod that is deleted loses its
    endpoint by that alone; one whose app is told to end for another reason, such as a container
    that is started anew, by this probe only. A gateway that drains answers 503 at once, so the
    probe's timeout does not count."""
    options = dict(word.partition("=")[::2] for word in release.gateway.get("args", []))
    delay = int(options.get("--drain-delay", 0))
    probe = release.gateway.get(READINESS, {})
    seconds = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    if seconds >= delay:
        yield f"gateway: readiness fails after {seconds} s, later than the delay of {delay} s"


def has_distinct_ports(release: Release) -> Iterator[str]:
    """The containers of a pod share one network: no number and no name is there twice where a
    Service or a probe may mean it."""
    numbers: dict[int, str] = {}
    for container in release.running:
        for port_name, number in port_names(container).items():
            if number in numbers:
                yield f"{container['name']}: port {number} ({port_name}) is {numbers[number]}'s"
            numbers[number] = container["name"]
            if len(port_name) > 15:
                yield f"{container['name']}: the name {port_name} is too long"


def rolls_without_a_gap(release: Release) -> Iterator[str]:
    """A new pod is ready before an old one goes; a disruption budget lets a node be drained."""
    spec = release.deployment["spec"]
    rolling = spec.get("strategy", {}).get("rollingUpdate", {})
    if rolling.get("maxUnavailable") not in (0, "0%"):
        yield "Deployment: a rolling update takes pods away first"
    if rolling.get("maxSurge") in (None, 0, "0%"):
        yield "Deployment: a rolling update cannot begin"
    if release.of_kind("HorizontalPodAutoscaler", "ScaledObject") and "replicas" in spec:
        yield "Deployment: replicas would undo what the autoscaler has decided"
    for budget in release.of_kind("PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable") in (0, "0%"):
            yield "PodDisruptionBudget: no node can be drained"
        if budget["spec"].get("minAvailable") in ("100%", spec.get("replicas", 1)):
            yield "PodDisruptionBudget: no node can be drained"


def selects_its_pods(release: Release) -> Iterator[str]:
    """Whatever selects pods by labels selects ours, and the Deployment's selector has no label that
    changes from one version to the next, for it cannot be changed."""
    selectors = {
        "Deployment": release.deployment["spec"]["selector"]["matchLabels"],
        **{title(one): one["spec"].get("selector", {}) for one in release.of_kind("Service")},
    }
    for one in release.of_kind("PodDisruptionBudget", "PodMonitor"):
        selectors[title(one)] = one["spec"]["selector"]["matchLabels"]
    for one in release.of_kind("NetworkPolicy"):
        selectors[title(one)] = one["spec"]["podSelector"].get("matchLabels", {})
    for spread in release.pod.get("topologySpreadConstraints", []):
        name = f"topology spread over {spread['topologyKey']}"
        selectors[name] = spread.get("labelSelector", {}).get("matchLabels", {})
    for name, selector in selectors.items():
        if not selector:
            yield f"{name}: selects every pod"
        elif not selector.items() <= release.labels.items():
            yield f"{name}: does not select the Deployment's pods"
        if {"app.kubernetes.io/version", "helm.sh/chart"} & set(selector):
            yield f"{name}: selects by a version"


def keeps_the_admin_listener_in(release: Release) -> Iterator[str]:
    """Only scrapers reach the admin listeners: no Service that clients use shows one, no route
    leads to one, and a NetworkPolicy that lets anybody in lets nobody in there. Neither calls a
    port of a native sidecar by its name: Kubernetes before 1.32 finds the names of `containers`
    alone (kubernetes/kubernetes#127958), and so do network plugins (projectcalico/calico#8881)."""
    named = [item for one in release.running for item in port_names(one).items()]
    admin = {part for item in named if item[0] in ADMIN for part in item}
    sidecars = {name for one in release.sidecars for name in port_names(one)}
    routed = set(backends(release))
    for service in release.of_kind("Service"):
        ports = {port.get("targetPort", port["port"]) for port in service["spec"]["ports"]}
        for port in ports - {part for item in named for part in item}:
            yield f"{title(service)}: no container has a port {port}"
        for port in ports & sidecars:
            yield f"{title(service)}: {port} is the name of a native sidecar's port"
        shown = ports & admin
        if shown and (ports - shown or service["spec"].get("clusterIP") != "None"):
            yield f"{title(service)}: shows the admin listener to clients"
        if shown and service["metadata"]["name"] in {name for name, _ in routed}:
            yield f"{title(service)}: a route leads to the admin listener"
    for policy in release.of_kind("NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            ports = {port.get("port") for port in rule.get("ports", [])}
            for port in ports & sidecars:
                yield f"{title(policy)}: {port} is the name of a native sidecar's port"
            if not rule.get("from") and (not ports or ports & admin):
                yield f"{title(policy)}: everybody reaches the admin listener"


def backends(release: Release) -> Iterator[tuple[str, Any]]:
    """Name and port of each Service that an Ingress or an HTTPRoute leads to."""
    for ingress in release.of_kind("Ingress"):
        for rule in ingress["spec"].get("rules", []):
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield service["name"], service["port"].get("name", service["port"].get("number"))
    for route in release.of_kind("HTTPRoute"):
        for rule in route["spec"].get("rules", []):
            for reference in rule.get("backendRefs", []):
                yield reference["name"], reference["port"]


def points_at_what_there_is(release: Release) -> Iterator[str]:
    """Routes lead to a port of a Service of ours, autoscalers scale our Deployment and only one of
    them does, and a ServiceMonitor or PodMonitor finds a Service or container that has its port."""
    services = release.services()
    for name, port in backends(release):
        ports = services.get(name, {"spec": {"ports": []}})["spec"]["ports"]
        if port not in {known for one in ports for known in (one["port"], one.get("name"))}:
            yield f"route: leads to {name}:{port}, which there is not"
    scalers = release.of_kind("HorizontalPodAutoscaler", "ScaledObject")
    for scaler in scalers:
        if scaler["spec"]["scaleTargetRef"]["name"] != release.deployment["metadata"]["name"]:
            yield f"{title(scaler)}: scales something else"
    if len(scalers) > 1:
        yield "autoscaling: two autoscalers fight about one Deployment"
    named = {name for container in release.running for name in port_names(container)}
    for monitor in release.of_kind("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if endpoint.get("port") not in named:
                yield f"{title(monitor)}: no container has a port {endpoint.get('port')}"
    for monitor in release.of_kind("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [s for s in services.values() if wanted <= s["metadata"].get("labels", {}).items()]
        ports = {port.get("name") for service in found for port in service["spec"]["ports"]}
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint.get("port") not in ports:
                yield f"{title(monitor)}: no Service that it selects has a port {endpoint['port']}"


RULES = (
    has_restricted_security,
    tells_nothing_to_the_app,
    names_its_images,
    has_resources,
    has_its_volumes,
    ends_in_order,
    shares_the_run_directory,
    probes_what_it_means,
    looks_away_in_time,
    has_distinct_ports,
    rolls_without_a_gap,
    selects_its_pods,
    keeps_the_admin_listener_in,
    points_at_what_there_is,
)


def traps(manifests: Iterable[Manifest]) -> list[str]:
    """What every rule says against the manifests; empty if they are right."""
    release = Release(manifests)
    return [fault for rule in RULES for fault in rule(release)]
