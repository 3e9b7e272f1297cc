"""The images that the pods run, built from the repository: gateway, app, and all in one.

They differ in their ENTRYPOINT only, so that a replacement by another shape compares like with
like. Packages come from wherever pip of this machine gets them: its certificates are mounted, its
variables are handed on.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import machine

ROOT = Path(__file__).parents[3]
APPS = ROOT / "tests/nothing_dropped/apps"
SOURCE = ("package", "gateway", "protocol", "worker", "pyproject.toml", "README.md", "LICENSE")
CERTIFICATES = "/etc/ssl/certs"

BUILD = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
RUN python3 -m venv /opt/propylon
COPY source /tmp/source
RUN /opt/propylon/bin/pip install -q /tmp/source starlette fastapi && rm -r /tmp/source
ENV PATH=/opt/propylon/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
COPY apps /app/apps
WORKDIR /app
USER 65532:65532
"""
PAUSE = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit())\n"
    "while True: signal.pause()"
)


@dataclass(frozen=True)
class Images:
    gateway: str
    app: str
    all_in_one: str
    pause: str

    def remove(self) -> None:
        for name in (self.gateway, self.app, self.all_in_one, self.pause, _name("base")):
            machine.run("podman", "rmi", "-f", name, check=False)


def _name(what: str) -> str:
    return f"localhost/{machine.PREFIX}-{what}:test"


def build(folder: Path) -> Images:
    """Builds all of them, in some ten seconds."""
    context = folder / "context"
    source = context / "source"
    source.mkdir(parents=True)
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    shutil.copytree(APPS, context / "apps")
    _build(context, "base", BUILD)
    images = {}
    for what, entrypoint in {
        "gateway": '["propylon", "gateway"]',
        "app": '["propylon", "worker"]',
        "all-in-one": '["propylon", "serve"]',
        "pause": '["python3", "/app/pause.py"]',
    }.items():
        (context / "pause.py").write_text(PAUSE)
        text = f"FROM {_name('base')}\nCOPY pause.py /app/\nENTRYPOINT {entrypoint}\n"
        images[what] = _build(context, what, text)
    return Images(images["gateway"], images["app"], images["all-in-one"], images["pause"])


def _build(context: Path, what: str, text: str) -> str:
    file = context / f"{what}.dockerfile"
    file.write_text(text)
    words = ["buildah", "bud", "-q", "--isolation", "chroot", "-t", _name(what), "-f", str(file)]
    if os.path.isdir(CERTIFICATES):
        words += ["-v", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"):
        if value := os.environ.get(name):
            words += ["--build-arg", f"{name}={value}"]
    machine.run(*words, "--build-arg", f"BASE_IMAGE={machine.BASE}", str(context))
    return _name(what)
