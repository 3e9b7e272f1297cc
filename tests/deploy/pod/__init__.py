"""A pod's life and end, replayed with real processes: what kubelet does, without a cluster.

    python -m tests.deploy.pod [--shape native-sidecar] [--lag 2] [--markdown]

**The problem.** A pod is deleted. From that moment two things happen that do not know of each
other. On the node kubelet ends the containers. In the cluster the endpoint is withdrawn: the
endpoint controller sees that the pod is terminating, every kube-proxy and every ingress hears of
it, and until the last one has, new connections still come to this pod. That takes a fraction of a
second on a quiet day and several seconds on a bad one. A server that stops accepting when it gets
SIGTERM therefore refuses clients, and the server is not wrong by any document that it can read.

With a sidecar the order on the node matters too. In a *native* sidecar (KEP-753: an init container
with `restartPolicy: Always`) the main containers get SIGTERM at once, and the sidecar gets it only
when all of them have exited. For a log shipper that is right. For a gateway it is the wrong way
round: the app is told to leave while its gateway has not heard of anything and clients still come.
In a *classic* sidecar (two ordinary containers) both get SIGTERM at once, in no order.

**What kubelet does** (`kuberuntime_container.go`, `killContainer`, and
`kuberuntime_termination_order.go`; KEP-753, "Termination of containers"), for each container at the
same time, with the pod's grace period as its budget:

1. runs its preStop hook, if it has one, also a sidecar's; what it took is taken from the budget;
2. a native sidecar waits until all main containers have exited, and then until the sidecars that
   started after it have; what it waited, in whole seconds, is taken from the budget too;
3. if less than 2 seconds are left of the budget, it is 2 seconds;
4. sends SIGTERM, and SIGKILL when the budget is spent.

A container that ends by itself during a pod's life is started anew (`restartPolicy: Always`). A
liveness probe that fails three times ends one container in the same way (1, 3, 4) and starts it
anew. Startup and liveness probes end with the pod's deletion, readiness probes go on. SIGKILL for a
container's first process ends all that is in its pid namespace.

**What stands for what.** A container is a process group of ours with its own run of `propylon
gateway`, `propylon worker` or `propylon serve`; the shared volume is a folder. The Service is a
list of endpoints from which each new connection takes the next (`service.Service`): kube-proxy
rewrites a connection's destination once, when it is opened, and is not in its way afterwards. So
the clients here connect straight to the endpoint that they were given, and see each refusal and
each reset as the kernel made it; a proxy between would hide both. The clients are those of
`tests.nothing_dropped`, with its strict rules about what is a failure.

Reading order: `timeline` -> `container` -> `kubelet` -> `service` -> `shapes` -> `load` ->
`rollout` -> `__main__`; then `test_termination` and `test_life`. docs/KUBERNETES-DRAIN.md says what
follows for operators.
"""
