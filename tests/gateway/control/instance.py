"""An instance without a gateway or workers: a run directory, the control socket, and a handler that
answers as a supervisor does. `python -m tests.gateway.control.instance [RUN_DIR [worker]]`."""

import os
import sys
from dataclasses import replace

import trio
from propylon.gateway.control.commands import (
    Command,
    Drain,
    Reload,
    Result,
    Rollback,
    Scale,
    Status,
    Stop,
    Upgrade,
)
from propylon.gateway.control.run_dir import open_run_dir
from propylon.gateway.control.server import ControlServer, Say
from propylon.gateway.observe.process_log import begin_log
from propylon.gateway.settings import LogSettings

from .reports import CALM, TROUBLE

ABORTED = (
    "Not reloaded: worker 1 (pid 7) could not start: SyntaxError: invalid syntax\n"
    '  File "/srv/app/main.py", line 3\n'
    "    def \x1b[31m(\n"
    "SyntaxError: invalid syntax"
)


class Instance:
    def __init__(self, run_dir: str, scope: trio.CancelScope) -> None:
        self._run_dir = run_dir
        self._scope = scope
        self._reloads = 0
        self._let_go = trio.Event()

    async def handle(self, command: Command, say: Say) -> Result:
        match command:
            case Status():
                report = replace(
                    CALM, pid=os.getpid(), run_dir=self._run_dir, ended=TROUBLE.ended[:1]
                )
                return Result(True, "", report)
            case Reload(wait=False):
                return Result(True, "Reload to generation 2 has begun")
            case Reload():
                return await self._reload(say)
            case Scale(workers=workers, relative=relative, pool=pool, auto=auto):
                said = f"scale {workers} relative={relative} pool={pool!r}"
                return Result(True, f"{said} auto" if auto else said)
            case Drain():
                self._let_go.set()
                return Result(True, "Draining: 2 requests are under way")
            case Stop(now=now):
                say("1 request is under way")
                if not now:
                    await self._let_go.wait()
                self._scope.cancel()
                await trio.sleep_forever()
            case Rollback():
                return Result(False, "there is no configuration to go back to")
            case Upgrade():
                os.kill(os.getpid(), 9)
        raise AssertionError(command)

    async def _reload(self, say: Say) -> Result:
        self._reloads += 1
        say("canary: worker 1 starts")
        if self._reloads == 2:
            return Result(False, ABORTED)
        if self._reloads == 3:
            await self._let_go.wait()
        return Result(True, "Reloaded: generation 2")


async def main(path: str | None, kind: str) -> None:
    begin_log(LogSettings(), {"process": "supervisor"})
    run_dir = open_run_dir(path, ["default"], 1, with_gateway=kind == "serve")
    async with trio.open_nursery() as nursery:
        handler = Instance(run_dir.path, nursery.cancel_scope)
        await nursery.start(ControlServer(run_dir.control_socket, handler.handle).run)
        print(f"ready {run_dir.path}", flush=True)
    run_dir.close()


if __name__ == "__main__":
    trio.run(main, *(sys.argv[1:] + [None, "serve"][len(sys.argv) - 1 :]))
