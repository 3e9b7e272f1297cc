"""The control socket: what an operator asks of a running instance, and what it answers.

Reading order: `run_dir`, `pid_file` (where an instance is found) -> `commands`, `status` (what
travels on the socket) -> `server` (the supervisor's end), `client` (the operator's end) ->
`instances` (which instance is meant) -> `healthcheck` (what a container engine asks) -> `rates`
(two reports) -> `durations`, `status_text` (the status as people read it) -> `top_view`,
`top_drawing`, `terminal`, `top` (the same, live) -> `verbs` (what is typed).
"""
