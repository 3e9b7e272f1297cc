"""What the pods' tests read from the rendered manifest: the order of the end, and what podman can
play."""

import pytest

from ..images import LoadImages
from ..render import SHAPES, Object, pod_spec, render
from .manifest import End, Plan, Ports, end_of, playable, values

IMAGES = LoadImages("gateway:1", "app:1", "all-in-one:1", "pause:1")


def spec_of(shape: str) -> Object:
    return pod_spec(render(values(IMAGES, Plan(shape), Ports(8000, 9180, 9181), "/somewhere")))


def test_only_a_native_sidecar_waits_for_the_others() -> None:
    app, waits = End(native=False, hook=()), End(native=True, hook=())
    ends = {shape: end_of(spec_of(shape)) for shape in SHAPES}
    assert ends == {
        "all-in-one": {"app": app},
        "native-sidecar": {"gateway": waits, "app": app},
        "classic-sidecar": {"gateway": app, "app": app},
    }


def test_a_hook_is_read_and_one_that_nobody_can_call_is_refused() -> None:
    spec = spec_of("native-sidecar")
    spec["initContainers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    assert end_of(spec)["gateway"] == End(native=True, hook=("sleep", "5"))
    spec["containers"][0]["lifecycle"] = {"preStop": {"httpGet": {"path": "/", "port": 1}}}
    with pytest.raises(AssertionError, match="httpGet"):
        end_of(spec)


def test_what_podman_plays_has_all_containers_and_nothing_of_a_kubelet() -> None:
    for shape in SHAPES:
        spec = spec_of(shape)
        played = playable(spec, "one")["spec"]
        names = [each["name"] for each in (*spec.get("initContainers", ()), *spec["containers"])]
        assert [each["name"] for each in played["containers"]] == names
        assert "initContainers" not in played
        assert not any("readinessProbe" in each for each in played["containers"])
        assert {each["name"].partition("-")[0] for each in played["volumes"]} == {"one"}
        assert "readinessProbe" in spec["containers"][0], "the manifest itself is left as it was"
