"""Starts, watches, replaces and ends the gateway and worker processes; touches no request.

`fleet/` decides: it is pure, and told the time; its page says which words there are for the end
of a process. `process/` starts and ends children, `upgrade/` replaces this process's own code.
Here is what binds them: `run` (from a configuration to an exit code) -> `generations` (what each
generation asks for, and how an operator changes it) -> `supervisor` (the loop), with `operations`
(commands and signals), `status_builder`, `signals`, `file_watcher` and `systemd_notify`.
"""
