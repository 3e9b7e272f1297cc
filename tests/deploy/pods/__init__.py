"""Real pods under load: podman runs what the Helm chart renders, and its containers are replaced.

    python -m tests.deploy.pods [--kinds "app beside,pod native"]
    python -m tests.deploy.pods --speed

The containers run the images of deploy/images (`tests.deploy.images`), with the app that
`tests.nothing_dropped` has for its clients.

Read `machine` first (podman, and what this machine's may not have), then `manifest` (from the
chart's Deployment to a Pod that podman can play), `pod` (one that runs: started, ended in
Kubernetes' order), `service` (a proxy that plays the Service), `replacements` (what is replaced,
and what it may cost), `speed` (what containers cost).
"""
