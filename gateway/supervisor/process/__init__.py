"""Child processes: they are started, spoken to, waited for, and ended.

Reading order: `child` (a child and its channel) -> `zygote` (--preload) -> `launcher` (the
processes of a generation) with `key_copies` and `log_files` (--user) -> `exit_reason` ->
`oom_kills` -> `reaper` -> `import_check` (`propylon check`).
"""
