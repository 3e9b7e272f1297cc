"""deploy/compose/: both files are what the Compose Specification allows, with no key misspelt;
their containers have no right too many, and end in order. test_compose_load.py runs them."""

import re
from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.config.options import Options

compose_spec = pytest.importorskip(
    "compose_spec", reason="needs compose-spec: pip install -e '.[deploy]'"
)
yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install -e '.[deploy]'")

FOLDER = Path(__file__).parents[2] / "deploy/compose"
FILES = ("compose.yaml", "sidecar.compose.yaml")


def filled_in(name: str, *, https: bool = False) -> str:
    """A file with its variables' defaults, and with what is commented out for HTTPS."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (FOLDER / name).read_text())
    if https:
        text = re.sub(r"^( *)# (PROPYLON_SSL|secrets:|  tls|    file:)", r"\1\2", text, flags=re.M)
    return text


def services(name: str) -> dict[str, Any]:
    return yaml.safe_load(filled_in(name))["services"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
def test_the_specification_allows_it(name: str, https: bool) -> None:
    text = filled_in(name, https=https)
    compose_spec.PyCompose.from_yaml(text)
    assert ("secrets" in yaml.safe_load(text)) == https


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("stop_grace_period:", "stop_grace:"), ("interval: 10s", "interval: ten"), ("ALL", "{}")],
)
def test_what_it_does_not_allow_is_found(right: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="services"):
        compose_spec.PyCompose.from_yaml(filled_in("compose.yaml").replace(right, wrong))


@pytest.mark.parametrize("name", FILES)
def test_no_right_too_many(name: str) -> None:
    for service in services(name).values():
        assert service["user"] == "65532:65532"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        assert "privileged" not in service
        assert service["healthcheck"]["test"][:3] == ["CMD", "propylon", "healthcheck"]


@pytest.mark.parametrize("name", FILES)
def test_the_times_add_up(name: str) -> None:
    default = Options.__dataclass_fields__["timeout_graceful_shutdown"].default
    for service in services(name).values():
        graceful = float(service["environment"]["PROPYLON_TIMEOUT_GRACEFUL_SHUTDOWN"])
        assert graceful == default
        assert float(service["stop_grace_period"].removesuffix("s")) >= graceful + 10


def test_gateway_and_app_meet_and_do_not_wait_for_each_other() -> None:
    both = services("sidecar.compose.yaml")
    for service in both.values():
        assert "depends_on" not in service
        assert "sockets:/run/propylon" in service["volumes"]
        assert service["environment"]["PROPYLON_RUN_DIR"] == "/run/propylon"
    app = both["app"]
    assert not {"ports", "container_name", "hostname"} & app.keys()  # several of them run at once


@pytest.mark.parametrize("name", FILES)
def test_the_volume_of_sockets_is_ours_and_podman_can_make_it(name: str) -> None:
    sockets, _ = yaml.safe_load(filled_in(name))["volumes"].values()
    options = sockets["driver_opts"]["o"]
    assert "uid=65532,gid=65532,mode=2770" in options
    assert not re.search(r"\bsize=", options)  # a quota of the disk, for podman
    for service in services(name).values():
        assert not any("uid=" in mount for mount in service["tmpfs"])  # which podman refuses


@pytest.mark.parametrize(("name", "front"), [(FILES[0], "propylon"), (FILES[1], "gateway")])
def test_large_bodies_have_a_disk(name: str, front: str) -> None:
    """Kept for a WSGI app, in /tmp they would find no room beyond its 64 MB. A volume without
    options is on disk, and gets the mode of the image's /var/tmp."""
    assert "temp:/var/tmp" in services(name)[front]["volumes"]
    assert yaml.safe_load(filled_in(name))["volumes"]["temp"] == {}
