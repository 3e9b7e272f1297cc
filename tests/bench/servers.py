"""A contestant's processes: started on ground of their own, watched, ended without a rest."""

import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.request import urlopen

import trustme

from ..end_to_end.other_proxies import free_port
from ..end_to_end.server import descendants, environment, stat
from .processes import cpu_seconds, die_with_parent, end, memory, role

APPS = Path(__file__).parent / "apps"
BOOT = 40.0
"""Seconds to answer the first request; sixty-four pools take a while."""
GRACE = 10.0
"""Seconds that a stop may take before it is a kill: the load has ended by then."""


class DidNotStart(Exception):
    """With the end of its log."""


@dataclass(frozen=True)
class Ground:
    """What a contestant is started with."""

    app: str
    """module:attribute, below `apps`."""
    port: int
    tls: bool
    folder: Path
    """For its sockets, configuration and certificate, all its own."""

    @property
    def wsgi(self) -> bool:
        return self.app.endswith(":wsgi")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"

    @property
    def socket(self) -> Path:
        """Between a proxy and what is behind it."""
        return self.folder / "app.sock"

    @cached_property
    def certificate(self) -> tuple[str, str]:
        """Paths of the chain and the key."""
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(
            "127.0.0.1", key_type=trustme.KeyType.ECDSA
        )
        # PKCS#8, which every contestant reads.
        key.write_bytes(pkcs8(issued.private_key_pem.bytes()))
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return str(chain), str(key)

    def tls_flags(self, certfile: str, keyfile: str) -> list[str]:
        """The contestant's words for the two, with their paths; nothing without TLS."""
        chain, key = self.certificate if self.tls else ("", "")
        return [certfile, chain, keyfile, key] if self.tls else []


def pkcs8(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as ser

    key = ser.load_pem_private_key(pem, None)
    return key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())


Commands = Callable[[Ground], list[list[str]]]
"""The processes to start; the last faces the clients."""


@dataclass(frozen=True)
class Server:
    """A contestant that runs."""

    ground: Ground
    processes: list[subprocess.Popen[bytes]]

    @property
    def url(self) -> str:
        return self.ground.url

    def pids(self) -> list[int]:
        own = [process.pid for process in self.processes]
        return [*own, *(pid for one in own for pid in descendants(one))]

    def cpu(self) -> dict[int, float]:
        """Seconds used so far by each process."""
        return {pid: cpu_seconds(pid) for pid in self.pids()}

    def resident(self) -> int:
        return sum(memory(pid) for pid in self.pids())

    def log(self, lines: int = 12) -> str:
        text = (self.ground.folder / "log").read_text("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def trouble(self, path: str) -> str:
        """What is wrong with an answer to that path; "": nothing."""
        context = ssl._create_unverified_context() if self.ground.tls else None
        try:
            with urlopen(self.url + path, context=context, timeout=5):
                return ""
        except OSError as error:
            return str(error)

    def wait_for_answer(self, path: str) -> None:
        """Raises DidNotStart."""
        until = time.monotonic() + BOOT
        while fault := self.trouble(path):
            if any(p.poll() is not None for p in self.processes) or time.monotonic() > until:
                raise DidNotStart(f"does not answer: {fault}\n{self.log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Whoever faces the clients first, and then whatever is left."""
        family = self.pids()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        until = time.monotonic() + GRACE
        while any(map(stat, family)) and time.monotonic() < until:
            time.sleep(0.02)
        end(family)


@contextmanager
def running(
    commands: Commands, app: str, tls: bool = False, ready: tuple[str, ...] = ("/",)
) -> Iterator[Server]:
    """It, once these paths are answered with 200. Raises Absent and DidNotStart."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # nginx's workers are another user
        ground = Ground(app, free_port(), tls, folder)
        server = Server(ground, [])
        stack.callback(server.stop)
        env = environment(XDG_CONFIG_HOME=str(folder), XDG_DATA_HOME=str(folder))
        with (folder / "log").open("wb") as log:
            for command in commands(ground):
                server.processes.append(
                    subprocess.Popen(
                        command, cwd=APPS, env=env, stdout=log, stderr=log,
                        preexec_fn=die_with_parent,
                    )
                )  # fmt: skip
        for path in ready:
            server.wait_for_answer(path)
        yield server


def cpu_by_role(before: dict[int, float], after: dict[int, float]) -> dict[str, float]:
    """Seconds used meanwhile, of each kind of process that used any."""
    used: dict[str, float] = {}
    for pid, seconds in after.items():
        name = role(pid)
        used[name] = used.get(name, 0.0) + seconds - before.get(pid, 0.0)
    return {name: seconds for name, seconds in used.items() if seconds}
