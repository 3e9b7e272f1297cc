"""The supervisor: it starts, watches, replaces and ends gateway and worker processes. It touches no
request.

`fleet/` decides; it is pure and is told the time, and its page has the verbs for the end of a
process. `process/` starts and ends child processes. `upgrade/` replaces the supervisor's own code.
The files here bind them together.

Reading order: `run` (from a configuration to an exit code) -> `generations` (what each generation
asks for, and how an operator changes it) -> `fleet` -> `supervisor` (the loop), `child_ends` ->
`operations` (commands and signals), `signals`, `log_reopening` -> `status_builder`, `problems`,
`own_problems`, `no_workers`, `full_volume` -> `instance_metrics` (what was counted),
`metrics_collection`, `own_metrics`, `traffic`, `app_metrics` (what the apps count) ->
`autoscaling` -> `process` -> `file_watcher` (--reload), `systemd_notify` -> `upgrade` ->
`admin_view` (--admin-bind).
"""
