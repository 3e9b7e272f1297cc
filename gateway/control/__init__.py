"""The control socket: what an operator asks of an instance that runs, and what it answers.

`run_dir` and `pid_file` say where an instance is found, `commands` and `status` what is said,
`server` hears it and `client` says it; `instances` finds the instance that is meant, `verbs` are
what is typed, and `status_text` is the status as people read it.
"""
