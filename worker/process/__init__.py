"""The worker process beside its app: imports, logs, forks, the channel to its supervisor, its end.

Reading order: `own_imports`, `json_lines`, `own_log`, `app_children` (what an app must not disturb)
-> `supervisor_channel` -> `orphan_guard` -> `zygote` (--preload).
"""
