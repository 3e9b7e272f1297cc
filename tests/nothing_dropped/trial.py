"""One contestant in one variant: all up, all disturbed, all counted, all gone."""

import asyncio
import os
import shutil
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..compare.processes import Absent
from ..compare.server import DidNotStart
from ..compare.strict_client import Failed
from ..end_to_end.server import stat
from .actions import Actions
from .clients import Crowd, KeepAlive, NewConnections, NewPosts, Pipelining, Posts
from .contestants import CONTESTANTS, Contestant
from .http2 import Multiplexing
from .scene import Scene
from .servers import Ground, Server, trouble
from .streams import Downloads, Echoes, Events, Uploads
from .tally import Tally
from .variants import Variant

FINISH = 6.0
"""Seconds that clients have at the end for what they are at; a download takes that long."""
RECOVER = 25.0
"""Seconds after the last disturbance in which all must be well."""
MOST_WAITING = 600
"""Requests of the crowd that are under way: a client, too, has its limits."""
AFTER_FAILURE = 0.1
"""Seconds that a client waits before it tries again."""


class Client(Protocol):
    kind: str

    async def once(self) -> None: ...


@dataclass
class Result:
    contestant: str
    variant: str
    state: str
    """`ran`, `n/a`, `absent` or `did not start`."""
    why: str = ""
    seconds: float = 0.0
    failures: dict[str, dict[str, int]] = field(default_factory=dict)
    """Kind of client -> cause -> how many."""
    allowed: list[tuple[str, str, int]] = field(default_factory=list)
    """(cause, why it may be, how many)."""
    answers: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    longest: float = 0.0
    """Seconds that a short request waited for its answer, at most."""
    outage: float = 0.0
    """Seconds in which nobody was answered, at most."""
    log: str = ""
    """The end of the server's, if there were failures."""

    def take(self, tally: Tally) -> None:
        for (client, what), count in sorted(tally.failures.items()):
            self.failures.setdefault(client, {})[what] = count
        self.allowed = [(what, why, count) for (what, why), count in tally.allowed.items()]
        self.answers, self.notes = dict(tally.answers), dict(tally.notes)
        self.seen = [asdict(seen) for seen in tally.seen]
        self.longest, self.outage = round(tally.longest, 3), round(tally.outage, 3)

    @property
    def total(self) -> int:
        return sum(sum(causes.values()) for causes in self.failures.values())


def cast(scene: Scene, asgi: bool, http2: bool = False) -> list[Client]:
    """The nine kinds of client, a few of each: tens in all, of moderate appetite."""
    kinds: list[tuple[type, int]] = [
        (NewConnections, 6), (KeepAlive, 8), (Pipelining, 3), (Posts, 4), (NewPosts, 3),
        (Uploads, 3), (Downloads, 2), (Events, 4),
    ]  # fmt: skip
    if asgi:
        kinds.append((Echoes, 4))
    if http2:
        kinds.append((Multiplexing, 1))
    return [kind(scene, f"{kind.__name__}{i}") for kind, count in kinds for i in range(count)]


async def steadily(scene: Scene, client: Client) -> None:
    """The client, again and again until the end, whatever happens to it."""
    while not scene.ending.is_set():
        await counted(scene, client)


async def counted(scene: Scene, client: Client) -> None:
    try:
        await client.once()
    except Failed as failure:
        scene.fail(client.kind, failure)
        await asyncio.sleep(AFTER_FAILURE)
    except Exception as error:  # a fault of the harness, which must not pass for silence
        scene.fail(client.kind, Failed(f"harness: {type(error).__name__}", repr(error)))
        await asyncio.sleep(AFTER_FAILURE)


async def crowd(scene: Scene, rate: float) -> None:
    """Callers at a fixed rate, whether the last were answered or not."""
    tasks: set[asyncio.Task[None]] = set()
    began, sent = time.monotonic(), 0
    while not scene.ending.is_set():
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, due):
            if len(tasks) >= MOST_WAITING:
                scene.tally.note("crowd: held back, so many wait")
                continue
            task = asyncio.ensure_future(counted(scene, Crowd(scene, f"crowd{number}")))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sent = due
        await asyncio.sleep(0.02)
    if tasks:
        await asyncio.wait(tasks, timeout=FINISH)


async def perform(actions: Actions, scene: Scene, variant: Variant, seconds: float) -> None:
    """Clients and disturbance, for so many seconds, and then what was begun is finished."""
    who = actions.contestant
    clients = cast(scene, who.asgi, who.http2)
    tasks = [asyncio.ensure_future(steadily(scene, client)) for client in clients]
    if variant.crowd:
        tasks.append(asyncio.ensure_future(crowd(scene, variant.crowd)))
    action = asyncio.ensure_future(getattr(actions, variant.action)())
    await asyncio.wait([action], timeout=seconds)
    scene.tally.end_outage(for_good=True)
    scene.ending.set()
    await action
    _, late = await asyncio.wait(tasks, timeout=FINISH)
    for task in late:
        task.cancel()
        scene.tally.note("clients cancelled at the end")
    await asyncio.gather(*tasks, return_exceptions=True)


async def recovered(actions: Actions, scene: Scene, variant: Variant) -> None:
    """Whether the server is well after all, and has what the variant wants."""
    await actions.settle()
    wanted = actions.ground.version
    scene.tally.note("versions of the code that served", len(scene.versions))
    if variant.wants == "the new code":
        wanted = actions.ground.deploy()
        actions.begin_reload()
    scene.serving.clear()
    scene.versions.clear()
    began, fault = time.monotonic(), None
    probe = NewConnections(scene, "probe")
    well = 0
    while well < 3:
        if time.monotonic() > began + RECOVER:
            raise Failed("did not recover", f"{variant.wants} after {RECOVER:.0f} s: {fault}")
        fault = await trouble(scene.address)
        if fault is None:
            with suppress(Failed):
                await probe.once()
            if variant.wants == "the new code" and scene.versions != {wanted}:
                fault = f"version {scene.versions} instead of {wanted}"
            if variant.wants == "no stopped worker" and (left := list(filter(stat, scene.stopped))):
                fault = f"stopped workers are still there: {left}"
        well = well + 1 if fault is None else 0
        if variant.wants == "the new code":
            scene.versions.clear()
        await asyncio.sleep(0.05)
    await actions.settle()


def records(scene: Scene, ground: Ground) -> None:
    """(7) What the app did, against what its clients were told."""
    text = ground.record.read_text() if ground.record.exists() else ""
    done = Counter(text.splitlines())
    for identity, said in scene.posted.items():
        if said == "status 200" and not done[identity]:
            scene.fail("post", Failed("lost", f"{identity}: answered 200 and not done"))
        if said.startswith("status 503") and done[identity]:
            scene.fail("post", Failed("done in spite of 503", identity))
        if said in ("", "status 502") and done[identity]:
            scene.tally.note("post: done and not answered")
    for identity, count in done.items():
        if count > 1:
            scene.fail("post", Failed("done twice", f"{identity}: {count} times"))
        if identity not in scene.posted:
            scene.fail("post", Failed("never sent", repr(identity)))
    scene.tally.note("post: ids", len(scene.posted))


async def play(
    contestant: Contestant, variant: Variant, seconds: float, folder: Path
) -> tuple[Scene, Server]:
    """Raises DidNotStart or Absent."""
    ground = Ground(folder=folder, settings=variant.settings)
    ground.deploy(variant.first)
    stops = list(contestant.stop_signals)
    server = Server(contestant.commands(ground), ground, stops)
    scene = Scene(ground.address, Tally(lambda client, failure: None))
    scene.tally.allows = variant.allows(scene.cuts)
    try:
        await server.start()
        scene.tally.began = time.monotonic()
        actions = Actions(contestant, server, scene, variant)
        try:
            await perform(actions, scene, variant, max(seconds, variant.seconds))
            await recovered(actions, scene, variant)
            scene.refusal_expected = True
            await server.stop()
            await server.all_gone()
        except Failed as failure:
            scene.fail("server", failure)
    finally:
        server.end()
    records(scene, ground)
    return scene, server


def keep_log(log: Path, folder: Path, name: str) -> None:
    if log.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, folder / name)


async def run_trial(
    name: str, variant_name: str, variant: Variant, seconds: float, logs: Path | None = None
) -> Result:
    """Of the contestant of that name. The variant may be another than the name's. The server's
    whole log goes into the folder `logs`."""
    contestant = CONTESTANTS[name]
    result = Result(name, variant_name, "ran")
    if not contestant.has(variant.needs):
        result.state = "n/a"
        return result
    with tempfile.TemporaryDirectory(prefix="nothing-dropped-") as path:
        folder = Path(path)
        os.chmod(folder, 0o755)  # nginx's workers are another user
        began = time.monotonic()
        try:
            scene, server = await play(contestant, variant, seconds, folder)
        except Absent as error:
            result.state, result.why = "absent", str(error)
            return result
        except DidNotStart as error:
            result.state, result.why = "did not start", str(error)
            return result
        finally:
            if logs is not None:
                keep_log(folder / "log", logs, f"{name}, {variant_name}.log")
        result.seconds = time.monotonic() - began
        result.take(scene.tally)
        if result.total:
            result.log = server.log_end(40)
    return result
