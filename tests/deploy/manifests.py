"""Kubernetes manifests: read, named, compared, and validated without a cluster.

Built-in kinds are validated by the API's own schemas (`kubernetes-validate` brings those of each
version of Kubernetes) and custom kinds by the operators' (`@kubernetes-models` on npm, read by
custom_kinds.mjs). Both are strict: an unknown field is a fault, since an API server would drop it
and the operator would never learn that his option does nothing.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

Manifest = dict[str, Any]

NODE_MODULES = Path(sys.prefix) / "node_modules"
MODELS = (
    "@kubernetes-models/prometheus-operator@6",
    "@kubernetes-models/gateway-api@2",
    "@kubernetes-models/keda@2",
)
INSTALL_MODELS = f"npm install --no-save --prefix {sys.prefix} {' '.join(MODELS)}"
INSTALL_VALIDATE = "pip install -e '.[deploy]'"
CUSTOM = ("monitoring.coreos.com/", "gateway.networking.k8s.io/", "keda.sh/")
"""How the apiVersion of a custom kind that we bring begins."""


def documents(text: str) -> list[Manifest]:
    """The objects of a YAML stream; what is empty is left out."""
    yaml = pytest.importorskip("yaml", reason=f"needs PyYAML: {INSTALL_VALIDATE}")
    return [document for document in yaml.safe_load_all(text) if document]


def title(manifest: Manifest) -> str:
    """Kind and name, as kubectl prints them: Deployment/propylon."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def by_title(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """The objects by kind and name, of which no two may be the same."""
    named: dict[str, Manifest] = {}
    for manifest in manifests:
        assert title(manifest) not in named, f"{title(manifest)} twice"
        named[title(manifest)] = manifest
    return named


def newest_versions(count: int = 3) -> list[str]:
    """The newest versions of Kubernetes whose schemas are installed, oldest first."""
    utils = pytest.importorskip("kubernetes_validate.utils", reason=f"needs {INSTALL_VALIDATE}")
    versions = {utils.major_minor(version) for version in utils.all_versions()}
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])[-count:]


def faults(manifests: Iterable[Manifest], versions: Iterable[str] | None = None) -> list[str]:
    """What the schemas say against the objects, a line each: object, version, field, fault.

    `versions` are Kubernetes' (such as "1.36"), which built-in kinds are validated for; by default
    the three newest. Skips the test if a tool that these objects need is missing.
    """
    custom, built_in = [], []
    for manifest in manifests:
        (custom if manifest["apiVersion"].startswith(CUSTOM) else built_in).append(manifest)
    found = _custom_faults(custom)
    for version in newest_versions() if versions is None else versions:
        found += [fault for one in built_in for fault in _built_in_faults(one, version)]
    return found


def _built_in_faults(manifest: Manifest, version: str) -> list[str]:
    utils = pytest.importorskip("kubernetes_validate.utils", reason=f"needs {INSTALL_VALIDATE}")
    where = f"{title(manifest)} ({version})"
    try:
        utils.validate(manifest, version, strict=True)
    except utils.SchemaNotFoundError as error:
        return [f"{where}: {error.message}"]
    except utils.ValidationError as error:
        return [f"{where}: {'.'.join(map(str, error.path))}: {error.message}"]
    return []


def _custom_faults(manifests: list[Manifest]) -> list[str]:
    if not manifests:
        return []
    if not shutil.which("node"):
        pytest.skip("needs node: apt-get install nodejs npm")
    if not all((NODE_MODULES / name.rpartition("@")[0]).is_dir() for name in MODELS):
        pytest.skip(f"needs the schemas of custom kinds: {INSTALL_MODELS}")
    script = Path(__file__).with_name("custom_kinds.mjs")
    ran = subprocess.run(
        ["node", script, NODE_MODULES],
        input=json.dumps(manifests),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [
        f"{title(manifest)}: {fault}"
        for manifest, found in zip(manifests, json.loads(ran.stdout), strict=True)
        for fault in found
    ]
