"""Starts, watches, replaces and ends the gateway and worker processes; touches no request.

What is decided is pure, and told the time: `messages` -> `seats` -> `crew` -> `children`, with
`rollout` (a reload), `ending` (a stop), `links` and `heartbeats` (what is known of the children).
What is done: `run` -> `plan` -> `launch` -> `spawn` (`zygote` with --preload) -> `supervisor`, with
`reaper` (strangers' processes), `log_files` and `key_copies` (what --user needs), `import_check`.
What is asked for: `signals`, `commands` -> `control` -> `orders`, `status` <- `survey`; `waits`.
An upgrade: `upgrade`, `handover`, `succession`.
"""
